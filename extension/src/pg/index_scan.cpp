// Index scans (see index_scan.hpp).
#include "pg/index_scan.hpp"

namespace fairq::pg {

namespace {

Snapshot snapshot_of(IndexScan::Sees sees) {
    switch (sees) {
    case IndexScan::Sees::active:
        return GetActiveSnapshot();
    case IndexScan::Sees::statement:
        return GetTransactionSnapshot();
    case IndexScan::Sees::latest:
    case IndexScan::Sees::uncommitted:
        break;
    }
    return GetLatestSnapshot();
}

} // namespace

// The snapshot is registered: the server keeps only one latest snapshot, which the next caller overwrites.
IndexScan::IndexScan(IndexedTable opened, int conditions, Sees sees) : opened_(opened) {
    Assert(conditions <= kMostConditions);
    uncommitted_.snapshot_type = SNAPSHOT_DIRTY;
    call([&] {
        if (sees != Sees::uncommitted)
            registered_ = RegisterSnapshot(snapshot_of(sees));
        slot_ = table_slot_create(opened_.table, nullptr);
        scan_ = compat::index_beginscan(opened_.table, opened_.index,
                                        registered_ ? registered_ : &uncommitted_, conditions);
    });
}

void IndexScan::renew_snapshot() {
    call([&] {
        UnregisterSnapshot(registered_);
        scan_->xs_snapshot = registered_ = RegisterSnapshot(GetLatestSnapshot());
    });
}

void IndexScan::start(std::initializer_list<ScanCondition> conditions, ScanDirection direction) {
    direction_ = direction;
    call([&] {
        ScanKeyData keys[kMostConditions];
        int count = 0;
        for (ScanCondition const &condition : conditions)
            ScanKeyEntryInitialize(&keys[count++], 0, condition.column, condition.strategy, InvalidOid,
                                   opened_.index->rd_indcollation[condition.column - 1], condition.compare,
                                   condition.value);
        index_rescan(scan_, keys, count, nullptr, 0);
    });
}

bool IndexScan::next() {
    check_interrupts();
    return call([&] { return index_getnext_slot(scan_, direction_, slot_); });
}

bool IndexScan::next_entry() {
    check_interrupts();
    return call([&] { return index_getnext_tid(scan_, direction_) != nullptr; });
}

bool IndexScan::fetch(TupleTableSlot *row) {
    return call([&] { return index_fetch_heap(scan_, row); });
}

Datum IndexScan::entry(AttrNumber column) const {
    bool null = false;
    return index_getattr(scan_->xs_itup, column, scan_->xs_itupdesc, &null);
}

Value IndexScan::value(AttrNumber column) const {
    bool null = false;
    Datum const datum = call([&] { return slot_getattr(slot_, column, &null); });
    return {datum, null};
}

void IndexScan::close() {
    call([&] {
        index_endscan(scan_);
        ExecDropSingleTupleTableSlot(slot_);
        if (registered_)
            UnregisterSnapshot(registered_);
        index_close(opened_.index, AccessShareLock);
        table_close(opened_.table, AccessShareLock);
    });
}

} // namespace fairq::pg
