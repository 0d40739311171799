// The owner of the tables (see owner.hpp).
#include "tables/owner.hpp"

#include "pg/errors.hpp"
#include "tables/live_table.hpp"

namespace fairq::tables {

namespace {

// InvalidOid for a relation that does not exist.
Oid owner_of_relation(Oid relation) {
    return pg::call([&] {
        HeapTuple const tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
        if (!HeapTupleIsValid(tuple))
            return InvalidOid;
        Oid const owner = (reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple)))->relowner;
        ReleaseSysCache(tuple);
        return owner;
    });
}

} // namespace

Oid owner_of_extension(Oid schema) {
    Oid const owner = owner_of_relation(live_table_oid(schema));
    if (!OidIsValid(owner))
        pg::raise_not_installed();
    return owner;
}

bool extension_owns(Oid schema, const char *relation) {
    Oid const owner = owner_of_relation(pg::call([&] { return get_relname_relid(relation, schema); }));
    return OidIsValid(owner) && owner == owner_of_extension(schema);
}

} // namespace fairq::tables
