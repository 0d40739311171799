// Leases begin and end (see leases.hpp).
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
constexpr TableShape kLeases{RELKIND_RELATION, kColumnsOfLeases, kLeaseColumns, nullptr, 0, false};

// How many jobs were claimed under the lease. The ids of a large claim are compressed: this unpacks only the array's
// header, because a worker that completes its jobs one by one reads the lease for each. Runs inside call().
int64 jobs_of(TupleTableSlot *lease) {
    bool null = false;
    constexpr int32 kHeader = ARR_OVERHEAD_NONULLS(1) - VARHDRSZ;
    auto *const ids = reinterpret_cast<ArrayType *>(
        PG_DETOAST_DATUM_SLICE(slot_getattr(lease, kJobIds, &null), 0, kHeader));
    return ArrayGetNItems(ARR_NDIM(ids), ARR_DIMS(ids));
}

// See end_lease(). It waits for no lock on the row: a transaction locks leases before jobs, and here it has locked
// the jobs already. Runs inside call().
bool end_in(Relation table, TupleTableSlot *lease, int64 jobs) {
    if (jobs_of(lease) != jobs)
        return true;
    TM_FailureData failure;
    return table_tuple_delete(table, &lease->tts_tid, GetCurrentCommandId(true), GetActiveSnapshot(),
                              InvalidSnapshot, false, &failure, false) == TM_Ok;
}

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

bool end_lease(Oid schema, int64 lock_token, int64 jobs) {
    Relation const table = open_table(schema, "job_leases", RowExclusiveLock);
    bool ended = false;
    if (is_as_made(table, kLeases)) {
        pg::IndexScan scan(open_for_scan(schema, "job_leases", "job_leases_pkey"), 1,
                           pg::IndexScan::Sees::active);
        scan.start({{1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(lock_token)}});
        ended = scan.next() && pg::call([&] { return end_in(table, scan.slot(), jobs); });
        scan.close();
    }
    pg::call([&] {
        table_close(table, NoLock);
        CommandCounterIncrement();
    });
    return ended;
}

} // namespace fairq::tables
