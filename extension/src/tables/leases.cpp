// Leases begin and end (see leases.hpp).
#include "tables/leases.hpp"

#include "pg/batch_insert.hpp"
#include "tables/open_relation.hpp"

namespace fairq::tables {

namespace {

// The columns of job_leases, as sql/fairq.sql orders them.
enum LeaseColumn : AttrNumber { kToken = 1, kWorker, kSince, kHeartbeatAt, kJobIds };
constexpr Oid kTypes[] = {INT8OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8ARRAYOID};
constexpr int kLeaseColumns = kJobIds;

// Whether the table is as our script made it, with nothing on it that only the executor would do.
bool is_plain(Relation table) {
    TupleDesc const row = RelationGetDescr(table);
    if (!pg::fires_nothing(table) || row->natts != kLeaseColumns)
        return false;
    for (int i = 0; i < kLeaseColumns; ++i)
        if (TupleDescAttr(row, i)->atttypid != kTypes[i] || !TupleDescAttr(row, i)->attnotnull)
            return false;
    return row->constr->num_check == 0;
}

// How many jobs were claimed under the lease. The ids of a large claim are compressed: only the array's
// header is unpacked, since a worker that completes them one by one asks here for each.
int64 jobs_of(TupleTableSlot *lease) {
    bool null = false;
    constexpr int32 kHeader = ARR_OVERHEAD_NONULLS(1) - VARHDRSZ;
    auto *const ids = reinterpret_cast<ArrayType *>(
        PG_DETOAST_DATUM_SLICE(slot_getattr(lease, kJobIds, &null), 0, kHeader));
    return ArrayGetNItems(ARR_NDIM(ids), ARR_DIMS(ids));
}

// True: the lease has ended, or is not one of so many jobs. False: somebody has its row, or has changed it
// since the snapshot. Nobody is waited for: the order of locks is from leases to jobs, and here the jobs are
// locked already. Runs inside call().
bool end_in(Relation table, TupleTableSlot *lease, int64 jobs) {
    if (jobs_of(lease) != jobs)
        return true;
    TM_FailureData failure;
    return table_tuple_delete(table, &lease->tts_tid, GetCurrentCommandId(true), GetActiveSnapshot(),
                              InvalidSnapshot, false, &failure, false) == TM_Ok;
}

// Runs inside call().
bool find_and_end(Relation table, Relation index, int64 lock_token, int64 jobs) {
    TupleTableSlot *const lease = table_slot_create(table, nullptr);
    IndexScanDesc const scan = pg::compat::index_beginscan(table, index, GetActiveSnapshot(), 1);
    ScanKeyData token;
    ScanKeyInit(&token, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(lock_token));
    index_rescan(scan, &token, 1, nullptr, 0);
    bool const ended = index_getnext_slot(scan, ForwardScanDirection, lease) && end_in(table, lease, jobs);
    index_endscan(scan);
    ExecDropSingleTupleTableSlot(lease);
    return ended;
}

} // namespace

bool insert_lease(Oid schema, const ClaimStamp &stamp, const std::vector<int64> &jobs) {
    Datum const worker = pg::of(stamp.worker).datum, ids = pg::of(jobs).datum;
    Relation const table = open_table(schema, "job_leases", RowExclusiveLock);
    bool const possible = is_plain(table);
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
    Relation const key = open_index(schema, "job_leases_pkey", AccessShareLock);
    return pg::call([&] {
        bool const ended = is_plain(table) && find_and_end(table, key, lock_token, jobs);
        index_close(key, NoLock);
        table_close(table, NoLock);
        CommandCounterIncrement();
        return ended;
    });
}

} // namespace fairq::tables
