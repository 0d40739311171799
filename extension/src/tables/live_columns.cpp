// Oids of relations and of the enum, looked up once (see live_columns.hpp).
#include "tables/live_columns.hpp"

#include "pg/errors.hpp"
#include "tables/live_table.hpp"

namespace fairq::tables {

namespace {

// The oid of each name, remembered until the catalog may have changed: a call looks up some twenty names. Plain
// data, because a callback in which nothing may raise empties it.
struct Known {
    Oid schema, oid;
    char name[NAMEDATALEN];
};
constexpr int kMostKnown = 32;
Known known[kMostKnown];
int known_count = 0;
std::uint64_t changes = 0;

void forget(Datum, int, uint32) {
    known_count = 0;
    ++changes;
}

// load() returns the oid, or InvalidOid, which is not remembered. Relations and statuses share the list, because no
// relation has the name of a status.
template <class Load>
Oid oid_of(Oid schema, const char *name, Load &&load) {
    for (int i = 0; i < known_count; ++i)
        if (known[i].schema == schema && strcmp(known[i].name, name) == 0)
            return known[i].oid;
    std::uint64_t const before = changes;
    Oid const oid = pg::call(load);
    if (OidIsValid(oid) && changes == before && known_count < kMostKnown) {
        Known &place = known[known_count++];
        place.schema = schema;
        place.oid = oid;
        strlcpy(place.name, name, sizeof place.name);
    }
    return oid;
}

} // namespace

void install_name_callbacks() {
    for (SysCacheIdentifier const cache : {RELNAMENSP, TYPENAMENSP, ENUMTYPOIDNAME})
        CacheRegisterSyscacheCallback(cache, forget, 0);
}

Oid relation_in(Oid schema, const char *name) {
    Oid const oid = oid_of(schema, name, [&] { return get_relname_relid(name, schema); });
    if (OidIsValid(oid))
        return oid;
    if (OidIsValid(pg::call([&] { return get_relname_relid("job_live", schema); })))
        pg::raise_missing_relation(name);
    pg::raise_not_installed();
}

Oid status_type(Oid schema) {
    return pg::call([&] {
        return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("job_status"),
                               ObjectIdGetDatum(schema));
    });
}

Datum status_datum(Oid schema, const char *label) {
    return ObjectIdGetDatum(oid_of(schema, label, [&] {
        return GetSysCacheOid2(ENUMTYPOIDNAME, Anum_pg_enum_oid, ObjectIdGetDatum(status_type(schema)),
                               CStringGetDatum(label));
    }));
}

Oid live_table_oid(Oid schema) {
    return relation_in(schema, "job_live");
}

} // namespace fairq::tables
