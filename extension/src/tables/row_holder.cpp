// Holders of rows (see row_holder.hpp).
#include "tables/row_holder.hpp"

#include "tables/job_row.hpp"

namespace fairq::tables {

namespace {

HeapTupleHeader header_of(TupleTableSlot *slot) {
    return reinterpret_cast<BufferHeapTupleTableSlot *>(slot)->base.tuple->t_data;
}

int process_of(TransactionId xid) {
    return pg::call([&] { return BackendXidGetPid(SubTransGetTopmostTransaction(xid)); });
}

} // namespace

bool is_held(TupleTableSlot *slot) {
    HeapTupleHeader const header = header_of(slot);
    uint16 const infomask = header->t_infomask;
    if ((infomask & (HEAP_XMAX_INVALID | HEAP_XMAX_IS_MULTI)) || HEAP_XMAX_IS_KEYSHR_LOCKED(infomask))
        return false;
    TransactionId const xmax = HeapTupleHeaderGetRawXmax(header);
    return pg::call([&] {
        return TransactionIdIsCurrentTransactionId(xmax) ? !HEAP_XMAX_IS_LOCKED_ONLY(infomask)
                                                         : TransactionIdIsInProgress(xmax);
    });
}

std::optional<int> holder_of_job(Oid schema, int64 job_id) {
    JobRow job(schema, job_id);
    std::optional<int> holder;
    if (job.found() && is_held(job.slot()))
        holder = process_of(HeapTupleHeaderGetRawXmax(header_of(job.slot())));
    job.close();
    return holder;
}

} // namespace fairq::tables
