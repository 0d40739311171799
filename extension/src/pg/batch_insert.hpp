// Rows written below SQL, many at a time: what an INSERT does without its executor, and with one record of
// the log for each page instead of each row.
#pragma once

#include "pg/transaction.hpp"

namespace fairq::pg {

// The indexes of a table, to be given entries for its new rows.
class Indexes {
public:
    explicit Indexes(Relation table); // opens them
    void close();

    // Runs body, which calls add(), inside call() and in memory that goes with it. An index that a user has made
    // may call functions with the extension's rights: names in them must not mean what the caller's search_path
    // says.
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
    bool may_call_functions_; // other than PostgreSQL's own
};

// Use: construct, row + add for each, finish. After an error the transaction's abort releases what it holds.
class BatchInsert {
public:
    BatchInsert(Relation table, CommandId command); // the table stays open and locked until finish()

    // The next row, all NULL: the caller fills its tts_values and tts_isnull. Then add() copies the row, so that
    // what the values point to may go.
    TupleTableSlot *row();
    void add();
    // Instead of both: adds a row as it stands on its page. Returns the copy that is going to be written, which
    // the caller may change before the next row.
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
