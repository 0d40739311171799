// Leases begin (see leases.hpp).
#include "tables/leases.hpp"

#include "pg/batch_insert.hpp"
#include "tables/open_relation.hpp"
#include "tables/table_shape.hpp"

namespace fairq::tables {

namespace {

// The columns of job_leases, as sql/fairq.sql orders them.
enum LeaseColumn : AttrNumber { kToken = 1, kWorker, kSince, kHeartbeatAt, kJobIds };
constexpr int kLeaseColumns = kJobIds;
constexpr ShapeColumn kColumnsOfLeases[kLeaseColumns] = {
    {"lock_token", INT8OID, true},       {"worker_id", TEXTOID, true},
    {"locked_at", TIMESTAMPTZOID, true}, {"heartbeat_at", TIMESTAMPTZOID, true},
    {"job_ids", INT8ARRAYOID, true},
};
constexpr TableShape kLeases{RELKIND_RELATION, kColumnsOfLeases, kLeaseColumns, nullptr, 0, true};

} // namespace

bool insert_lease(Oid schema, const ClaimStamp &stamp, const std::vector<int64> &jobs) {
    Datum const worker = pg::of(stamp.worker).datum, ids = pg::of(jobs).datum;
    Relation const table = open_table(schema, "job_leases", RowExclusiveLock);
    bool const possible = is_as_made(table, kLeases);
    if (possible) {
        pg::BatchInsert batch(table, pg::call([] { return GetCurrentCommandId(true); }));
        TupleTableSlot *const row = batch.row();
        Datum const at = TimestampTzGetDatum(stamp.at);
        Datum const values[] = {Int64GetDatum(stamp.lock_token), worker, at, at, ids};
        std::copy(std::begin(values), std::end(values), row->tts_values);
        std::fill_n(row->tts_isnull, kLeaseColumns, false);
        batch.add();
        batch.finish();
    }
    pg::call([&] {
        table_close(table, NoLock);
        CommandCounterIncrement();
    });
    return possible;
}

} // namespace fairq::tables
