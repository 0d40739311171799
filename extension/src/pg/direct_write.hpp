// Rows written below SQL, many at a time: what an INSERT does without its executor, and with one record of
// the log for each page instead of each row.
#pragma once

#include "pg/live_columns.hpp"

namespace fairq::pg {

// Whether writing to the table is no more than to change its rows: no trigger, rule or row security, nothing
// that only the executor would do.
bool fires_nothing(Relation table);

// Use: construct, row + add for each, finish. After an error the transaction's abort releases what it holds.
class BatchInsert {
public:
    BatchInsert(Relation table, CommandId command); // the table stays open and locked until finish()

    // The next row, all NULL: its tts_values and tts_isnull are to be filled. Then add() copies it, and what
    // the values point to may go.
    TupleTableSlot *row();
    void add();
    void finish();

private:
    // As COPY does: enough for many rows a page, little enough to stay in the processor's cache.
    static constexpr int kMostRows = 200;
    static constexpr size_t kMostBytes = 65536;

    void write(); // runs inside call()

    Relation table_;
    CommandId command_;
    EState *executor_;
    ResultRelInfo *indexes_;
    TupleTableSlot *rows_[kMostRows];
    int count_ = 0, made_ = 0;
    size_t bytes_ = 0;
};

} // namespace fairq::pg
