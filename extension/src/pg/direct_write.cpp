// Batches of rows (see direct_write.hpp).
#include "pg/direct_write.hpp"

namespace fairq::pg {

bool fires_nothing(Relation table) {
    TupleConstr const *const constraints = RelationGetDescr(table)->constr;
    return table->rd_rel->relkind == RELKIND_RELATION && table->trigdesc == nullptr &&
           table->rd_rules == nullptr && !table->rd_rel->relrowsecurity &&
           table->rd_rel->relreplident != REPLICA_IDENTITY_NOTHING &&
           (constraints == nullptr || !constraints->has_generated_stored);
}

BatchInsert::BatchInsert(Relation table, CommandId command) : table_(table), command_(command) {
    call([&] {
        executor_ = CreateExecutorState();
        indexes_ = makeNode(ResultRelInfo);
        InitResultRelInfo(indexes_, table_, 0, nullptr, 0);
        ExecOpenIndices(indexes_, false);
    });
}

TupleTableSlot *BatchInsert::row() {
    if (count_ == made_)
        rows_[made_++] = call([&] { return table_slot_create(table_, nullptr); });
    TupleTableSlot *const slot = rows_[count_];
    std::fill_n(slot->tts_isnull, slot->tts_tupleDescriptor->natts, true);
    return slot;
}

void BatchInsert::add() {
    call([&] {
        TupleTableSlot *const slot = rows_[count_++];
        ExecStoreVirtualTuple(slot);
        bytes_ += ExecFetchSlotHeapTuple(slot, true, nullptr)->t_len;
        if (count_ == kMostRows || bytes_ >= kMostBytes)
            write();
    });
}

void BatchInsert::write() {
    MemoryContext const context = MemoryContextSwitchTo(GetPerTupleMemoryContext(executor_));
    table_multi_insert(table_, rows_, count_, command_, 0, nullptr);
    MemoryContextSwitchTo(context);
    for (int i = 0; i < count_; ++i) {
        if (indexes_->ri_NumIndices > 0)
            compat::insert_index_entries(indexes_, rows_[i], executor_, false);
        ExecClearTuple(rows_[i]);
    }
    ResetPerTupleExprContext(executor_);
    count_ = 0;
    bytes_ = 0;
}

void BatchInsert::finish() {
    call([&] {
        if (count_ > 0)
            write();
        for (int i = 0; i < made_; ++i)
            ExecDropSingleTupleTableSlot(rows_[i]);
        ExecCloseIndices(indexes_);
        FreeExecutorState(executor_);
    });
}

} // namespace fairq::pg
