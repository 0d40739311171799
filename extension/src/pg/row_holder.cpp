// Who has a row just now (see row_holder.hpp).
#include "pg/row_holder.hpp"

#include "pg/live_columns.hpp"

namespace fairq::pg {

namespace {

HeapTupleHeader header_of(TupleTableSlot *slot) {
    return reinterpret_cast<BufferHeapTupleTableSlot *>(slot)->base.tuple->t_data;
}

int process_of(TransactionId xid) {
    return call([&] { return BackendXidGetPid(SubTransGetTopmostTransaction(xid)); });
}

} // namespace

bool held_by_somebody(TupleTableSlot *slot) {
    HeapTupleHeader const header = header_of(slot);
    uint16 const infomask = header->t_infomask;
    if ((infomask & (HEAP_XMAX_INVALID | HEAP_XMAX_IS_MULTI)) || HEAP_XMAX_IS_KEYSHR_LOCKED(infomask))
        return false;
    TransactionId const xmax = HeapTupleHeaderGetRawXmax(header);
    return call([&] {
        return TransactionIdIsCurrentTransactionId(xmax) ? !HEAP_XMAX_IS_LOCKED_ONLY(infomask)
                                                         : TransactionIdIsInProgress(xmax);
    });
}

std::optional<int> holder_of_job(Oid schema, int64 job_id) {
    Oid const table_oid = relation_in(schema, "job_live"), index_oid = relation_in(schema, "job_live_pkey");
    Relation table = nullptr, index = nullptr;
    IndexScanDesc scan = nullptr;
    TupleTableSlot *slot = nullptr;
    bool const found = call([&] {
        table = table_open(table_oid, AccessShareLock);
        index = index_open(index_oid, AccessShareLock);
        slot = table_slot_create(table, nullptr);
        scan = compat::index_beginscan(table, index, GetActiveSnapshot(), 1);
        ScanKeyData key;
        ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(job_id));
        index_rescan(scan, &key, 1, nullptr, 0);
        return index_getnext_slot(scan, ForwardScanDirection, slot);
    });
    std::optional<int> holder;
    if (found && held_by_somebody(slot))
        holder = process_of(HeapTupleHeaderGetRawXmax(header_of(slot)));
    call([&] {
        index_endscan(scan);
        ExecDropSingleTupleTableSlot(slot);
        index_close(index, AccessShareLock);
        table_close(table, AccessShareLock);
    });
    return holder;
}

} // namespace fairq::pg
