// Rows written below SQL, many at a time: as an INSERT would, but without an executor, and with one WAL record for
// each page instead of one for each row.
#pragma once

#include "pg/transaction.hpp"

namespace fairq::pg {

// The indexes of a table, which need entries for its new rows.
class Indexes {
public:
    explicit Indexes(Relation table); // opens them
    void close();

    // Runs body, which calls add(), inside call() and in memory that is freed afterwards. An index that a user has
    // made may call functions, and they run with the extension's rights: so the caller's search_path must not decide
    // what the names in these functions mean.
    template <class F>
    void write(F &&body) {
        auto const in_own_memory = [&] {
            MemoryContext const context = MemoryContextSwitchTo(GetPerTupleMemoryContext(executor_));
            body();
            MemoryContextSwitchTo(context);
            ResetPerTupleExprContext(executor_);
        };
        if (may_call_functions_)
            with_own_names([&] { call(in_own_memory); });
        else
            call(in_own_memory);
    }
    void add(TupleTableSlot *row, bool update, bool only_summarizing = false);

private:
    EState *executor_;
    ResultRelInfo *indexes_;
    bool may_call_functions_; // whether an index may call a function that is not PostgreSQL's own
};

// Use: construct, row + add for each, finish. After an error the transaction's abort releases what it holds.
class BatchInsert {
public:
    BatchInsert(Relation table, CommandId command); // the table stays open and locked until finish()

    // The next row, all NULL: the caller fills its tts_values and tts_isnull. Then add() copies the row, so that the
    // caller may free what the values point to.
    TupleTableSlot *row();
    void add();
    // In place of row() and add(): adds a copy of a row as it is on its page. Returns the copy, which the caller may
    // change until it adds the next row.
    HeapTupleHeader add_copy(HeapTupleData row);
    void finish();

private:
    // A batch is large enough for many rows a page, as COPY's are, and fits the processor's cache.
    static constexpr int kMostRows = 200;
    static constexpr size_t kMostBytes = 65536;

    TupleTableSlot *next();
    void write();

    Relation table_;
    CommandId command_;
    Indexes indexes_;
    TupleTableSlot *rows_[kMostRows];
    int count_ = 0, made_ = 0;
    size_t bytes_ = 0;
};

} // namespace fairq::pg
