// Batches of rows (see batch_insert.hpp).
#include "pg/batch_insert.hpp"

namespace fairq::pg {

namespace {

bool is_operand(const void *node) {
    return IsA(node, Var) || IsA(node, Const);
}

// Whether the condition is of a kind that the extension's own indexes have. A condition of another kind may call a
// function of a user.
bool calls_only_postgres(const void *condition) {
    if (IsA(condition, NullTest))
        return is_operand(static_cast<NullTest const *>(condition)->arg);
    if (!IsA(condition, OpExpr))
        return false;
    auto const *const comparison = static_cast<OpExpr const *>(condition);
    return comparison->opfuncid < FirstNormalObjectId && is_operand(linitial(comparison->args)) &&
           is_operand(llast(comparison->args));
}

bool may_call_functions(const IndexInfo *index) {
    bool known = index->ii_Expressions == NIL;
    for (int i = 0; known && i < list_length(index->ii_Predicate); ++i)
        known = calls_only_postgres(list_nth(index->ii_Predicate, i));
    return !known;
}

} // namespace

Indexes::Indexes(Relation table) {
    may_call_functions_ = call([&] {
        executor_ = CreateExecutorState();
        indexes_ = makeNode(ResultRelInfo);
        InitResultRelInfo(indexes_, table, 0, nullptr, 0);
        ExecOpenIndices(indexes_, false);
        IndexInfo *const *const all = indexes_->ri_IndexRelationInfo;
        return std::any_of(all, all + indexes_->ri_NumIndices, may_call_functions);
    });
}

void Indexes::add(TupleTableSlot *row, bool update, bool only_summarizing) {
    if (indexes_->ri_NumIndices > 0)
        compat::insert_index_entries(indexes_, row, executor_, update, only_summarizing);
}

void Indexes::close() {
    call([&] {
        ExecCloseIndices(indexes_);
        FreeExecutorState(executor_);
    });
}

BatchInsert::BatchInsert(Relation table, CommandId command)
    : table_(table), command_(command), indexes_(table) {}

TupleTableSlot *BatchInsert::next() {
    if (count_ == kMostRows || bytes_ >= kMostBytes)
        write();
    if (count_ == made_)
        rows_[made_++] = call([&] { return table_slot_create(table_, nullptr); });
    return rows_[count_];
}

TupleTableSlot *BatchInsert::row() {
    TupleTableSlot *const slot = next();
    std::fill_n(slot->tts_isnull, slot->tts_tupleDescriptor->natts, true);
    return slot;
}

void BatchInsert::add() {
    call([&] {
        TupleTableSlot *const slot = rows_[count_++];
        ExecStoreVirtualTuple(slot);
        bytes_ += ExecFetchSlotHeapTuple(slot, true, nullptr)->t_len;
    });
}

HeapTupleHeader BatchInsert::add_copy(HeapTupleData row) {
    TupleTableSlot *const slot = next();
    call([&] { ExecForceStoreHeapTuple(&row, slot, false); });
    ++count_;
    bytes_ += row.t_len;
    return reinterpret_cast<HeapTupleTableSlot *>(slot)->tuple->t_data;
}

void BatchInsert::write() {
    indexes_.write([&] {
        table_multi_insert(table_, rows_, count_, command_, 0, nullptr);
        for (int i = 0; i < count_; ++i) {
            indexes_.add(rows_[i], false);
            ExecClearTuple(rows_[i]);
        }
    });
    count_ = 0;
    bytes_ = 0;
}

void BatchInsert::finish() {
    if (count_ > 0)
        write();
    call([&] {
        for (int i = 0; i < made_; ++i)
            ExecDropSingleTupleTableSlot(rows_[i]);
    });
    indexes_.close();
}

} // namespace fairq::pg
