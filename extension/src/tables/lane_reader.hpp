// The entries of the lane index, read straight from its leaf pages, a few at a time. An index scan would read
// whole pages and compare each of their entries with its keys: a claim that wants one job of each of fifty
// lanes would look at ten thousand entries for them.
//
// What it relies on is what README and nbtree.h of PostgreSQL's nbtree say: entries stand in the order of
// their keys and then of their rows, a page that was split has its right half to its right, and under an
// MVCC snapshot a scan need not pin the page that it has read entries from.
#pragma once

#include "core/page_hint.hpp"
#include "core/skip_ranges.hpp"
#include "pg/values.hpp"

namespace fairq::tables {

class LaneReader {
public:
    // Whether the index is one that a LaneReader can read. Runs inside call().
    static bool reads(Relation index, Relation table);
    // Table and index have to stay open and locked until finish(). Runs inside call().
    void open(Relation table, Relation index, Snapshot snapshot);
    void finish();

    // Begins at that place of the lane. dead_too: dead entries count as well, behind which no snapshot sees a
    // row. expected: how many entries the caller is likely to look at. hint: where that place may be.
    void start(std::string_view tenant, core::LaneKey from, int expected, bool dead_too,
               core::PageHint hint = {});
    // The place of the next entry; a job may have several. None at the end of the lane.
    std::optional<core::LaneKey> next();
    // Whether dead entries were left out right in front of it.
    bool is_behind_dead() const { return entries_[at_ - 1].behind_dead; }
    // The row of the entry, into the slot; false when the snapshot sees none. (When no snapshot sees one, the
    // entry is marked as dead.)
    bool fetch(TupleTableSlot *slot);
    // The same, without pruning the row's page.
    bool peek(TupleTableSlot *slot);
    // Where the last search ended.
    core::PageHint hint() const { return hint_; }

    // The first tenant after `after` (bytewise) that has an entry, dead or alive; or none. Then hint() is
    // where its lane begins.
    std::optional<std::string> next_lane(std::string_view after);

    struct Spot {
        Buffer page; // locked for reading
        OffsetNumber item;
    };

private:
    static constexpr int kMost = 512; // entries; a page has some 200
    static constexpr int kKeys = 3;

    struct Entry {
        core::LaneKey place;
        ItemPointerData row;
        OffsetNumber item; // InvalidOffsetNumber: of a posting list, whose rows cannot be marked alone
        bool behind_dead;
    };
    // The entry behind which to go on: its key and its row; without a row, the reader goes on at the key.
    struct Position {
        Datum tenant;
        int16 priority;
        int64 position;
        ItemPointerData row;
    };

    void read();
    Spot find_position();
    void set_hint(Spot at);
    Spot find_at_hint();
    bool starts_at(Spot &at) const;
    Spot find();
    OffsetNumber first_item(Page page, int guess = 0) const;
    int compare(Page page, OffsetNumber item) const;
    void read_page(Page page, OffsetNumber item);
    bool is_of_lane(IndexTuple tuple) const;
    void add(IndexTuple tuple, OffsetNumber item);
    void note(bool dead);
    void mark_dead();
    text *first_tenant_behind(Datum tenant);

    Relation table_, index_;
    Snapshot snapshot_;
    IndexFetchTableData *rows_;
    BTScanInsert key_;
    BlockNumber pages_; // the index has at least so many

    core::PageHint hint_{};
    bool hint_is_of_lane_;           // else of the lane that was read before it
    bool lanes_are_in_order_ = true; // a lane without a hint begins where the last one ended
    Position behind_{};
    bool dead_too_, ended_;
    bool skipped_; // dead entries, since the last one
    int wanted_, count_ = 0, at_ = 0, dead_ = 0;
    BlockNumber page_; // where the entries were read, and its state then
    XLogRecPtr page_lsn_;
    Entry entries_[kMost];
    OffsetNumber dead_items_[kMost];
};

} // namespace fairq::tables
