// The memory of the ring: a fixed number of queues, and of lanes, which all queues of the server share. A queue is found
// by a hash of its database, table and name, a lane by a hash of its queue and tenant. For the files of this folder only.
#pragma once

#include "core/histogram.hpp"
#include "core/holds.hpp"
#include "core/lane_name.hpp"
#include "core/limits.hpp"
#include "core/page_hint.hpp"
#include "core/schedule.hpp"
#include "core/siphash.hpp"
#include "core/skip_ranges.hpp"
#include "pg/shared_memory.hpp"

namespace fairq::shared::ring {

// The places before and behind a place in a list of lanes; index + 1, or 0 for none.
struct Links {
    int32 next, previous;
};

// A lane. At the same index, Memory::scheduled has its entry in the schedule, and Memory::held what is known of its hold.
struct Lane {
    int32 next;                  // in its bucket, or in the list of free lanes; index + 1
    int16 queue;                 // -1: free
    int16 length;                // of the tenant's name
    uint32 tenant_hash;          // of the tenant
    uint32 hash;                 // of queue and tenant
    uint32 generation;           // how many tenants have used this index
    Links of_tenant;             // in the list of lanes with such a tenant_hash
    Links of_queue;              // in the list of lanes of its queue
    uint64 changed_at;           // Queue::clock when the lane was last entered
    int64 served, served_before; // jobs in all, and how many of them before it last came into the schedule
    int64 minute;                // that got[0] and due[0] are of; got[1] and due[1] are of the minute before
    double got[2], due[2];       // jobs that the lane got, and that were its share
    double due_since;            // virtual time up to which `due` is counted
    TimestampTz limited_at;      // when a limit of the tenant's own last held the lane back
    int64 queued;                // queued jobs, valid while count_generation is that of the last count
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
    int32 next;          // in its bucket; index + 1
    int16 length;        // of its name
    char name[core::kMaxQueueBytes + 1];
    uint64 name_hash; // by which the waiters know its name
    int32 lanes;      // the first of its lanes; index + 1
    TimestampTz used_at;
    uint64 clock;           // counts changes of lanes
    bool complete;          // every lane with an entry in the index is known, or will be entered by a commit
    bool overflowed;        // a lane found no room
    TimestampTz claimed_at; // when a session last claimed
    int64 minute;           // of began[0] and dwell[0]; began[1] and dwell[1] are of the minute before
    double began[2];        // virtual time when the minute began
    uint32 dwell[2][core::kWaitBuckets]; // how long jobs of quiet tenants have waited
    TimestampTz rescanned_at;
    int rescan_length;
    char rescan[core::kMaxNameBytes + 1]; // the rescan has seen the lanes up to this tenant's,
    core::LaneKey rescan_key;             // and in this tenant's lane the skip ranges up to this key
    core::ScheduleState schedule;
    core::HoldState holds;
    LaneChange changes[kChanges]; // the last ones: number n is at n % kChanges
    std::string_view queue_name() const { return {name, static_cast<size_t>(length)}; }
};

// What the queued counts of all queues with this table come from.
struct Counting {
    Oid database, table; // InvalidOid: free
    uint64 generation;   // of the count; 0: the queued counts are unknown
    bool ended;          // that count has ended
    bool whole;          // every lane with queued jobs had room
};

// The claim slots of the queue at the same index; they outlive it.
struct ClaimSlots {
    int32 claiming; // claims at work, each of which holds a slot
    ConditionVariable one_is_free;
};

struct Memory {
    LWLock *lock;
    core::SipKey key;       // of the hashes of names
    uint64 clock;           // counts lives of queues, and counts of queued jobs
    int32 queue_count;      // how many elements queues, queue_bucket and claim_slots have
    int32 queues_used;      // queues from this index on were never used
    TimestampTz refused_at; // when a queue last found no place
    int32 counting_count;   // how many elements countings has
    int32 capacity;         // how many elements bucket, tenant_bucket, scheduled, held and lane have
    int32 used;             // lanes from this index on were never used
    int32 free;             // first in the list of free lanes; index + 1
    int32 hand;             // where the search for a lane that is not in the schedule goes on
    Queue *queues;
    ClaimSlots *claim_slots;
    Counting *countings;
    int32 *queue_bucket;  // first queue with such a hash; index + 1
    int32 *bucket;        // first lane with such a hash; index + 1
    int32 *tenant_bucket; // first lane whose tenant has such a hash; index + 1
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
int find_queue(Oid table, std::string_view name); // or -1
// A queue that no session has used for a while may lose its place; -1: no place is free, and all queues are in use.
int find_or_make_queue(Oid table, std::string_view name);
int find_queue_or_free_place(Oid table, std::string_view name); // takes no place from another queue
void forget_queue(int queue);                                   // and its lanes
void free_queue_place(int queue);                               // when it has no lane any more
bool is_of(const Queue &queue, Oid table);                      // of this database
// Calls each(place) for the lanes that the tenant has in the queues with this table.
template <class Each>
void for_lanes_of(Oid table, std::string_view tenant, Each &&each);
// Calls each(queue) for the queues with this table.
template <class Each>
void for_queues_of(Oid table, Each &&each);
Counting *find_counting(Oid database, Oid table);          // or null
int find_lane(int queue, std::string_view tenant);         // or -1
int find_or_make_lane(int queue, std::string_view tenant); // or -1 when there is no room
// Loads the lane (or, if not `lane`, its bucket, which has to come first) into the processor's cache.
void prefetch_lane(int queue, std::string_view tenant, bool lane);
// The tenant's lane, which may have jobs to claim in this range, enters the schedule; if there is no room for
// it, the ring is not complete from here on.
void enter(int queue, std::string_view tenant, core::KeyRange where);
// The tenant's limits, which hold over all queues with this table, may let more jobs run than before.
void open(Oid table, std::string_view tenant);
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
void acquire_claim_slot(Oid table, std::string_view queue);
// Ends the holds that are older than the last event of all lanes, in the queues with this table of this database.
void end_older_holds(Oid table);

// ------------------------------------------------------------------------------------------ in full

uint32 hash_of_name(std::string_view tenant);

template <class Each>
void for_lanes_of(Oid table, std::string_view tenant, Each &&each) {
    uint32 const hash = hash_of_name(tenant);
    int32 link = memory->tenant_bucket[hash % static_cast<uint32>(memory->capacity)];
    while (link != 0) {
        int const place = link - 1;
        Lane const &lane = memory->lane[place];
        link = lane.of_tenant.next;
        if (lane.tenant_hash == hash && is_of(memory->queues[lane.queue], table) && lane.name() == tenant)
            each(place);
    }
}

template <class Each>
void for_queues_of(Oid table, Each &&each) {
    for (int queue = 0; queue < memory->queues_used; ++queue)
        if (is_of(memory->queues[queue], table))
            each(queue);
}

} // namespace fairq::shared::ring
