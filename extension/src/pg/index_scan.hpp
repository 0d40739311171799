// The rows of a table, read by one of its indexes below SQL: without planning, without an executor.
#pragma once

#include "pg/values.hpp"

#include <initializer_list>

namespace fairq::pg {

// Both open and locked with AccessShareLock.
struct IndexedTable {
    Relation table, index;
};

// A condition on a column of the index (1: its first one). compare: the operator's function, such as F_TEXTEQ.
struct ScanCondition {
    AttrNumber column;
    StrategyNumber strategy;
    RegProcedure compare;
    Datum value;
};

// Use: construct, start and next as often as needed, close. After an error the transaction's abort releases
// what the scan holds: it has no destructor, which might raise.
class IndexScan {
public:
    // Which rows a scan sees: those of the active snapshot; those of a new snapshot, as a statement would take it;
    // those of this moment, whatever the isolation level; or those of transactions in progress as well.
    enum class Sees { active, statement, latest, uncommitted };

    // conditions: how many each start() gives.
    IndexScan(IndexedTable opened, int conditions, Sees sees);
    IndexScan(const IndexScan &) = delete;
    IndexScan &operator=(const IndexScan &) = delete;
    // To be called before the first start() by a caller of next_entry().
    void want_entries() { scan_->xs_want_itup = true; }
    // From now on the scan sees the rows of this moment.
    void renew_snapshot();

    void start(std::initializer_list<ScanCondition> conditions,
               ScanDirection direction = ForwardScanDirection);
    // The next row, into slot().
    bool next();
    // The next entry of the index, whether a row is behind it or not.
    bool next_entry();
    // Stores the row of that entry in a slot of the table; false when the scan sees no row.
    bool fetch(TupleTableSlot *row);
    void close();

    // A column of the entry, which is never NULL in the extension's indexes.
    Datum entry(AttrNumber column) const;
    Value value(AttrNumber column) const; // of the row
    TupleTableSlot *slot() const { return slot_; }
    Relation table() const { return opened_.table; }

private:
    static constexpr int kMostConditions = 2;

    IndexedTable opened_;
    IndexScanDesc scan_;
    TupleTableSlot *slot_;
    Snapshot registered_ = nullptr; // none with Sees::uncommitted
    SnapshotData uncommitted_{};
    ScanDirection direction_ = ForwardScanDirection;
};

} // namespace fairq::pg
