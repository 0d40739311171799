// Jobs by their ids (see job_row.hpp).
#include "tables/job_row.hpp"

#include "tables/live_columns.hpp"
#include "tables/open_relation.hpp"

namespace fairq::tables {

namespace {

// job_queue has the first columns of job_live. Runs inside call().
Datum as_row_of(Oid row_type, TupleTableSlot *slot) {
    TupleDesc const columns = lookup_rowtype_tupdesc(row_type, -1);
    HeapTuple const copy = ExecCopySlotHeapTuple(slot);
    HeapTupleHeaderSetNatts(copy->t_data, columns->natts);
    Datum const row = heap_copy_tuple_as_datum(copy, columns);
    ReleaseTupleDesc(columns);
    return row;
}

} // namespace

JobRow::JobRow(Oid schema, int64 id)
    : scan_(open_for_scan(schema, "job_live", "job_live_pkey"), 1, pg::IndexScan::Sees::active) {
    scan_.start({{1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(id)}});
    found_ = scan_.next();
}

std::optional<HandledJob> job_of_lease(Oid schema, int64 id, int64 lock_token, Oid row_type) {
    JobRow job(schema, id);
    std::optional<HandledJob> handled;
    if (pg::Value const token = job.found() ? job.value(kLockToken) : pg::Value{};
        !token.null && DatumGetInt64(token.datum) == lock_token)
        handled = {pg::call([&] { return as_row_of(row_type, job.slot()); }),
                   std::string(pg::text_of(job.value(kType).datum)),
                   pg::microseconds_of(*DatumGetIntervalP(job.value(kTimeout).datum))};
    job.close();
    return handled;
}

} // namespace fairq::tables
