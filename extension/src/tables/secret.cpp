// Reading queue_secret (see secret.hpp): below SQL, because a claim needs it while it walks below SQL itself.
#include "tables/secret.hpp"

#include "pg/errors.hpp"
#include "pg/table_cache.hpp"
#include "tables/live_columns.hpp"
#include "tables/open_relation.hpp"

namespace fairq::tables {

namespace {

// Reads the key from the first row; false when there is none or it has another length. Runs inside call().
bool read_first(Relation table, core::SipKey *key) {
    TupleTableSlot *const row = table_slot_create(table, nullptr);
    TableScanDesc const scan = table_beginscan(table, GetActiveSnapshot(), 0, nullptr);
    bool found = table_scan_getnextslot(scan, ForwardScanDirection, row);
    if (found) {
        bool null = false;
        bytea *const bytes = DatumGetByteaPP(slot_getattr(row, 1, &null));
        found = VARSIZE_ANY_EXHDR(bytes) == sizeof *key;
        if (found)
            memcpy(key, VARDATA_ANY(bytes), sizeof *key);
    }
    table_endscan(scan);
    ExecDropSingleTupleTableSlot(row);
    return found;
}

core::SipKey read(Oid schema) {
    core::SipKey key{};
    Relation const table = open_table(schema, "queue_secret", AccessShareLock);
    if (!pg::call([&] { return read_first(table, &key); }))
        pg::raise_no_secret();
    pg::call([&] { table_close(table, AccessShareLock); });
    return key;
}

} // namespace

const core::SipKey &secret(Oid schema) {
    static pg::table_cache::Copy<core::SipKey> copy;
    return copy.get(relation_in(schema, "queue_secret"), [&] { return read(schema); });
}

} // namespace fairq::tables
