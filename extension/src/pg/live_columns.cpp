// Names and keys of job_live (see live_columns.hpp).
#include "pg/live_table.hpp"

#include "pg/errors.hpp"
#include "pg/live_columns.hpp"

namespace fairq::pg {

Oid relation_in(Oid schema, const char *name) {
    Oid const oid = call([&] { return get_relname_relid(name, schema); });
    if (!OidIsValid(oid))
        raise_not_installed();
    return oid;
}

Datum status_datum(Oid schema, const char *label) {
    return call([&] {
        Oid const type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("job_status"),
                                         ObjectIdGetDatum(schema));
        return ObjectIdGetDatum(GetSysCacheOid2(ENUMTYPOIDNAME, Anum_pg_enum_oid, ObjectIdGetDatum(type),
                                                CStringGetDatum(label)));
    });
}

Oid live_table_oid(Oid schema) {
    return relation_in(schema, "job_live");
}

void tenant_key(ScanKey key, StrategyNumber strategy, RegProcedure compare, Datum tenant) {
    ScanKeyEntryInitialize(key, 0, 1, strategy, InvalidOid, C_COLLATION_OID, compare, tenant);
}

std::string_view text_in(TupleTableSlot *slot, Column column) {
    bool null = false;
    return text_of(call([&] { return slot_getattr(slot, column, &null); }));
}

} // namespace fairq::pg
