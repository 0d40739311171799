// Names and keys of job_live (see live_columns.hpp).
#include "tables/live_columns.hpp"

#include "pg/errors.hpp"
#include "tables/live_table.hpp"

namespace fairq::tables {

namespace {

// What names stood for, until the catalog may have changed: a call looks up some twenty of them. Plain data,
// emptied where nothing may raise.
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

// load(): the oid, or InvalidOid, which is not kept. No relation has the name of a status.
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

Datum status_datum(Oid schema, const char *label) {
    return ObjectIdGetDatum(oid_of(schema, label, [&] {
        Oid const type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("job_status"),
                                         ObjectIdGetDatum(schema));
        return GetSysCacheOid2(ENUMTYPOIDNAME, Anum_pg_enum_oid, ObjectIdGetDatum(type),
                               CStringGetDatum(label));
    }));
}

Oid live_table_oid(Oid schema) {
    return relation_in(schema, "job_live");
}

void tenant_key(ScanKey key, StrategyNumber strategy, RegProcedure compare, Datum tenant) {
    ScanKeyEntryInitialize(key, 0, 1, strategy, InvalidOid, C_COLLATION_OID, compare, tenant);
}

std::string_view text_in(TupleTableSlot *slot, Column column) {
    bool null = false;
    return pg::text_of(pg::call([&] { return slot_getattr(slot, column, &null); }));
}

} // namespace fairq::tables
