// The memory of the ring: a fixed number of lanes in shared memory, which all queues of the server share and
// which are found by a hash of queue and tenant. For the files of this folder only.
#pragma once

#include "core/histogram.hpp"
#include "core/holds.hpp"
#include "core/limits.hpp"
#include "core/page_hint.hpp"
#include "core/schedule.hpp"
#include "core/siphash.hpp"
#include "core/skip_ranges.hpp"
#include "pg/shared_memory.hpp"

namespace fairq::shared::ring {

// A lane. At the same index, Memory::scheduled has its entry in the schedule, and Memory::held what is known of its hold.
struct Lane {
    int32 next;                  // in its bucket, or in the list of free lanes; index + 1
    int16 queue;                 // -1: free
    int16 length;                // of the tenant's name
    uint32 hash;                 // of queue and tenant
    uint32 generation;           // how many tenants have used this index
    uint64 changed_at;           // Queue::clock when the lane was last entered
    int64 served, served_before; // jobs in all, and how many of them before it last came into the schedule
    int64 minute;                // that got[0] and due[0] are of; got[1] and due[1] are of the minute before
    double got[2], due[2];       // jobs that the lane got, and that were its share
    double due_since;            // virtual time up to which `due` is counted
    TimestampTz limited_at;      // when a limit of the tenant's own last held the lane back
    int64 queued;                // queued jobs, valid while count_generation is the queue's
    uint64 count_generation;
    core::SkipRanges skip_ranges;
    core::PageHint hint; // where the last walk along the lane began
    int32 drawn;         // jobs that claims have drawn and not settled yet
    char tenant[core::kMaxNameBytes + 1];
    std::string_view name() const { return {tenant, static_cast<size_t>(length)}; }
};

// Jobs in this range of a lane became claimable. The changes of a queue are numbered by its clock.
struct LaneChange {
    uint32 lane; // its hash
    core::KeyRange where;
};
constexpr uint64 kChanges = 1024; // how many of them a queue remembers

struct Queue {
    Oid database, table; // InvalidOid: free
    uint64 life;         // differs for each queue that has had this place
    TimestampTz used_at;
    uint64 clock;           // counts changes of lanes
    bool complete;          // every lane with an entry in the index is known, or will be entered by a commit
    bool overflowed;        // a lane found no room
    TimestampTz claimed_at; // when a session last claimed
    int64 minute;           // of began[0] and dwell[0]; began[1] and dwell[1] are of the minute before
    double began[2];        // virtual time when the minute began
    uint32 dwell[2][core::kWaitBuckets]; // how long jobs of quiet tenants have waited
    uint64 count_generation;             // of the count that the queued counts come from; 0: they are unknown
    bool count_ended;                    // that count has ended
    bool queued_counts_whole;            // every tenant with queued jobs had room
    TimestampTz rescanned_at;
    int rescan_length;
    char rescan[core::kMaxNameBytes + 1]; // the rescan has seen the lanes up to this tenant's,
    core::LaneKey rescan_key;             // and in this tenant's lane the skip ranges up to this key
    core::ScheduleState schedule;
    core::HoldState holds;
    LaneChange changes[kChanges]; // the last ones: number n is at n % kChanges
};

// The claim slots of the queue at the same index; they outlive it.
struct ClaimSlots {
    int32 claiming; // claims at work, each of which holds a slot
    ConditionVariable one_is_free;
};

struct Memory {
    LWLock *lock;
    core::SipKey key;  // of the tenants' hashes
    uint64 clock;      // counts lives of queues, and counts of queued jobs
    int32 queue_count; // how many elements queues and claim_slots have
    int32 capacity;    // how many elements bucket, scheduled, held and lane have
    int32 used;        // lanes from this index on were never used
    int32 free;        // first in the list of free lanes; index + 1
    int32 hand;        // where the search for a lane that is not in the schedule goes on
    Queue *queues;
    ClaimSlots *claim_slots;
    int32 *bucket; // first lane with such a hash; index + 1
    core::ScheduledLane *scheduled;
    core::HeldLane *held;
    Lane *lane;
};

extern Memory *memory; // null: not preloaded, or fairq.ring_lanes is 0
bool may_hold_lanes(); // false: this transaction has changed limits or paused types

struct Exclusive : pg::LockScope {
    Exclusive() : pg::LockScope(memory->lock, LW_EXCLUSIVE) {}
};

// All that follows needs the lock. A place is the index of a lane.
int find_queue(Oid table); // or -1
// A queue that no session has used for a while may lose its place; -1: no place is free, and all queues are in use.
int find_or_make_queue(Oid table);
int find_lane(int queue, std::string_view tenant);         // or -1
int find_or_make_lane(int queue, std::string_view tenant); // or -1 when there is no room
// Loads the lane (or, if not `lane`, its bucket, which has to come first) into the processor's cache.
void prefetch_lane(int queue, std::string_view tenant, bool lane);
// The tenant's lane, which may have jobs to claim in this range, enters the schedule; if there is no room for
// it, the ring is not complete from here on.
void enter(int queue, std::string_view tenant, core::KeyRange where);
// The tenant's limits may let more jobs run than before.
void open(int queue, std::string_view tenant);
void hold_ended(int place); // to be called after each end of a hold
// Makes skip ranges of what a claim has scanned, except where the lane has changed after the change number `since`.
void make_skip_ranges(int place, const std::vector<core::KeyRange> &scanned, uint64 since);
void forget_skip_ranges(int queue); // what claims at work have scanned makes no skip ranges either
core::Schedule schedule_of(int queue);
core::Holds holds_of(int queue);
void install_draw_callbacks();
void begin_minute(int queue, TimestampTz now); // to be called before the schedule moves on
void account(int place, int got);              // adds what the lane did since the last call; before it leaves
bool is_unserved(int place);                   // it has got no job since it came into the schedule
bool below_share(int place, TimestampTz now);  // in the last minute; account() comes first

// Without the lock. acquire_claim_slot() (claim_slots.cpp) holds a claim slot until release_claim_slot().
void acquire_claim_slot(Oid table);
// Ends the holds that are older than the last event of all lanes of this database's queue.
void end_older_holds(Oid table);

} // namespace fairq::shared::ring
