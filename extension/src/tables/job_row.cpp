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

JobRow::JobRow(Oid schema, int64 id) {
    table_ = open_table(schema, "job_live", AccessShareLock);
    index_ = open_index(schema, "job_live_pkey", AccessShareLock);
    found_ = pg::call([&] {
        slot_ = table_slot_create(table_, nullptr);
        scan_ = pg::compat::index_beginscan(table_, index_, GetActiveSnapshot(), 1);
        ScanKeyData key;
        ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(id));
        index_rescan(scan_, &key, 1, nullptr, 0);
        return index_getnext_slot(scan_, ForwardScanDirection, slot_);
    });
}

void JobRow::close() {
    pg::call([&] {
        index_endscan(scan_);
        ExecDropSingleTupleTableSlot(slot_);
        index_close(index_, AccessShareLock);
        table_close(table_, AccessShareLock);
    });
}

std::optional<HandledJob> job_of_lease(Oid schema, int64 id, int64 lock_token, Oid row_type) {
    JobRow job(schema, id);
    std::optional<HandledJob> handled;
    auto const value = [&](Column column) {
        bool null = false;
        Datum const datum = pg::call([&] { return slot_getattr(job.slot(), column, &null); });
        return pg::Value{datum, null};
    };
    if (pg::Value const token = job.found() ? value(kLockToken) : pg::Value{};
        !token.null && DatumGetInt64(token.datum) == lock_token)
        handled = {pg::call([&] { return as_row_of(row_type, job.slot()); }),
                   std::string(text_in(job.slot(), kType)),
                   pg::microseconds_of(*DatumGetIntervalP(value(kTimeout).datum))};
    job.close();
    return handled;
}

} // namespace fairq::tables
