// The entries of the lane index, read straight from its leaf pages, a few at a time. An index scan would read
// whole pages and compare each of their entries with its keys: a claim that wants one job of each of fifty
// lanes would look at ten thousand entries.
//
// The reader relies on what PostgreSQL documents in nbtree's README and nbtree.h: entries are in the order of
// their keys, then of their rows; the right half of a page that was split is to its right; and a scan with an
// MVCC snapshot need not pin a page after it has read the page's entries.
#pragma once

#include "core/limits.hpp"
#include "core/page_hint.hpp"
#include "core/skip_ranges.hpp"
#include "pg/values.hpp"

namespace fairq::tables {

class LaneReader {
public:
    // Whether a LaneReader can read the index: a btree with the definition of job_live_lane. Runs inside call().
    static bool reads(Relation index, Relation table);
    // Table and index have to stay open and locked until finish(). Runs inside call().
    void open(Relation table, Relation index, Snapshot snapshot);
    void finish();
    // Whose lanes are read from here on. Comes first.
    void set_queue(std::string_view queue);

    // Begins at the key `from` of the tenant's lane. dead_too: next() also returns dead entries, whose rows no
    // snapshot sees. expected: how many entries the caller will probably look at. hint: where `from` may be.
    void start(std::string_view tenant, core::LaneKey from, int expected, bool dead_too,
               core::PageHint hint = {});
    // The key of the next entry; a job may have several entries. None at the end of the lane.
    std::optional<core::LaneKey> next();
    // Whether next() left out dead entries right in front of the entry that it returned last.
    bool is_behind_dead() const { return entries_[at_ - 1].behind_dead; }
    // Stores the entry's row in the slot; false when the snapshot sees no row. (When no snapshot sees one, the
    // reader marks the entry as dead.)
    bool fetch(TupleTableSlot *slot);
    // The same, without pruning the row's page.
    bool peek(TupleTableSlot *slot);
    // The page and item at which the last search ended.
    core::PageHint hint() const { return hint_; }

    // The first tenant after `after` (bytewise) that has an entry in the queue, dead or alive; or none. Then hint() is
    // where its lane begins.
    std::optional<std::string> next_lane(std::string_view after);
    // The first queue after `after` (bytewise) that has an entry, dead or alive; or none.
    std::optional<std::string> next_queue(std::string_view after);

    struct Spot {
        Buffer page; // locked for reading
        OffsetNumber item;
    };

private:
    static constexpr int kMost = 512; // entries; a page has some 200
    static constexpr int kKeys = 4;

    struct Entry {
        core::LaneKey place;
        ItemPointerData row;
        OffsetNumber item; // InvalidOffsetNumber: one row of a posting list, which cannot be marked alone
        bool behind_dead;
    };
    // Where the reader goes on: behind the entry with this key and row; or at the key, if the row is invalid.
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
    bool is_of_queue(IndexTuple tuple) const;
    text *first_behind(int keys, Datum name);

    Relation table_, index_;
    Snapshot snapshot_;
    IndexFetchTableData *rows_;
    BTScanInsert key_;
    std::string queue_ = {};
    Datum queue_datum_ = 0;
    char queue_entry_[core::kMaxQueueBytes + 1]; // the queue as an entry of the index has it
    BlockNumber pages_;                          // of the index when it was opened; it may have grown since

    core::PageHint hint_{};
    bool hint_is_of_lane_;           // false: the hint belongs to the lane that was read before this one
    bool lanes_are_in_order_ = true; // lanes without a page hint have begun near where the last search ended
    Position behind_{};
    bool dead_too_, ended_;
    bool skipped_; // dead entries were left out since the last entry that was read
    int wanted_, count_ = 0, at_ = 0, dead_ = 0;
    BlockNumber page_; // that the entries were read from, and the page's LSN at that moment
    XLogRecPtr page_lsn_;
    Entry entries_[kMost];
    OffsetNumber dead_items_[kMost];
};

} // namespace fairq::tables
