// Where the ring lives: a fixed number of lanes in shared memory, which the queues of the server share, found
// by a hash of queue and tenant. For the files of this folder only.
#pragma once

#include "core/histogram.hpp"
#include "core/limits.hpp"
#include "core/page_hint.hpp"
#include "core/schedule.hpp"
#include "core/siphash.hpp"
#include "core/skip_ranges.hpp"
#include "pg/shared_memory.hpp"

namespace fairq::shared::ring {

constexpr int kQueues = 16;

// As many jobs of a tenant are running as its cap allows, as a claim saw it that began at that number of
// openings. It is so until the tenant opens, but is looked at again every second: somebody may have
// written directly to the tables.
struct AtCap {
    int32 cap; // 0: nobody has found it so
    uint64 openings;
    TimestampTz at;
};

// A place for a lane. Its part in the schedule stands in Memory::scheduled, at the same index.
struct Lane {
    int32 next;   // in its bucket, or in the list of free places; index + 1
    int16 queue;  // -1: free
    int16 length; // of the tenant's name
    uint32 hash;
    uint32 generation;           // counts the uses of this place
    uint64 touched;              // the queue's clock when it was last entered
    int64 served, served_before; // in all, and when it was last entered
    int64 minute;                // of the figures below: got and due in this one, and in the one before
    double got[2], due[2];
    double due_since;       // virtual time up to which due is counted
    TimestampTz limited_at; // when a limit of the tenant's own last held it back
    int64 queued;           // its queued jobs, if counted_with is Queue::queued_count_id
    uint64 counted_with;
    uint64 opened; // at which opening a job of it last came, or one that counts for its cap ended
    AtCap at_cap;  // the last claim that found it so
    core::SkipRanges skip_ranges;
    core::PageHint hint; // where the last walk began
    int32 drawn;         // jobs that claims have drawn and not settled yet
    char tenant[core::kMaxNameBytes + 1];
    std::string_view name() const { return {tenant, static_cast<size_t>(length)}; }
};

// What happened to a lane at a tick of the queue's clock.
struct Touch {
    uint32 lane; // its hash
    core::KeyRange where;
};
constexpr uint64 kTouches = 1024; // that are remembered

struct Queue {
    Oid database, table; // InvalidOid: free
    uint64 used;
    uint64 clock;           // counts entries into lanes
    uint64 all_opened;      // at which opening jobs of who knows which tenants ended
    bool complete;          // every lane with an entry in the index is known, or will be entered by a commit
    bool overflowed;        // there was no place for a lane
    TimestampTz claimed_at; // last, by anybody
    int64 minute;           // of what follows: this one's, and the one's before
    double began[2];        // virtual time when it began
    uint32 dwell[2][core::kWaitBuckets]; // how long jobs of quiet tenants have waited
    uint64 queued_count_id;              // names the count that the lanes' queued counts come from; 0: none
    bool queued_counted;                 // that count has ended
    bool queued_counts_whole;            // it had a place for every tenant
    TimestampTz rescanned_at;
    int rescan_length;
    char rescan[core::kMaxNameBytes + 1]; // the rescan has seen the lanes up to here
    core::LaneKey rescan_key;             // of the last of them, the skip ranges up to here
    core::ScheduleState schedule;
    Touch touches[kTouches]; // the last ones: number n at n % kTouches
};

struct Memory {
    LWLock *lock;
    core::SipKey key; // of the tenants' hashes
    uint64 clock;
    uint64 openings; // counts what lets a tenant run more: jobs that enter its lane, or leave its cap
    int32 capacity;
    int32 used; // places beyond were never used
    int32 free; // index + 1
    int32 hand; // where the search for a lane that has left goes on
    Queue queues[kQueues];
    int32 claiming[kQueues]; // claims at work
    ConditionVariable claim_slot_free[kQueues];
    int32 *bucket;                  // index + 1; capacity of them
    core::ScheduledLane *scheduled; // capacity
    Lane *lane;                     // capacity
};

extern Memory *memory; // null: not there
bool has_news();       // this transaction brings something that the ring learns when it commits

struct Exclusive : pg::LockScope {
    Exclusive() : pg::LockScope(memory->lock, LW_EXCLUSIVE) {}
};

// All that follows needs the lock.
int find_queue(Oid table);                         // or -1
int find_or_make_queue(Oid table);                 // takes the least recently used one's place
int find_lane(int queue, std::string_view tenant); // or -1
void prefetch_lane(int queue, std::string_view tenant, bool lane); // first the way to it, then itself
int find_or_make_lane(int queue, std::string_view tenant);         // or -1: there is no place
// Enters the lane, makes it if there is a place; without one the ring is not complete from here on. `where`
// there may be something to claim.
void enter(int queue, std::string_view tenant, core::KeyRange where);
void open(int queue, std::string_view tenant); // it may run more than before
int known_cap(int place, TimestampTz now);     // at which the tenant is; 0: it may be below
// Makes skip ranges of what somebody passed in the lane, but for what was touched since that moment of the clock.
void make_skip_ranges(int place, const std::vector<core::KeyRange> &scanned, uint64 since);
void forget_skip_ranges(int queue); // nor does anybody who is claiming just now make any
core::Schedule schedule_of(int queue);
void install_draw_callbacks();      // ring.cpp
void acquire_claim_slot(Oid table); // ring_admission.cpp; until release_claim_slot()
// ring_figures.cpp. To be called before the schedule moves on:
void begin_minute(int queue, TimestampTz now);
// What a lane did since the last look at it; before it leaves.
void account(int place, int got);
bool at_first_turn(int place);                // has got nothing since it was entered
bool below_share(int place, TimestampTz now); // in the last minute; of a lane that is accounted for

} // namespace fairq::shared::ring
