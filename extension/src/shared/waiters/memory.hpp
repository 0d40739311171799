// Where waiters are registered: a fixed number of places in shared memory, in a list for each queue that has
// some. For the files of this folder only.
#pragma once

#include "core/siphash.hpp"
#include "pg/shared_memory.hpp"

namespace fairq::shared::waiters {

constexpr int kPlaces = 1024;
constexpr int kQueues = 64;
constexpr uint32 kBuckets = 256;
constexpr int kTenants = 4;

struct Place {
    PGPROC *proc; // null: free
    int32 next;   // in the queue's list, towards those that came later, or in that of free places; index + 1
    int32 previous;
    int32 queue;
    bool woken; // and so in no list any more
    int32 bound;
    uint64 tenants[kTenants]; // hashes, of a waiter that is bound to so many; bound to more: is always woken
};

struct Queue {
    Oid database, table; // InvalidOid: free
    uint64 used;
    int32 places;         // taken; woken ones too
    int32 first, last;    // that wait; index + 1
    TimestampTz due_at;   // the next scheduled job, as the leader knows it; 0: it has not looked
    TimestampTz opens_at; // DT_NOEND: no rate is known to keep jobs back
};

// What can be read without the lock. Queues that share a bucket only look once more than they had to.
struct Bucket {
    pg_atomic_uint64 news;
    pg_atomic_uint32 waiting;
};

struct Memory {
    LWLock *lock;
    core::SipKey key; // of the tenants' hashes
    uint64 clock;
    int32 free;
    Bucket buckets[kBuckets];
    Queue queues[kQueues];
    Place places[kPlaces];
};

extern Memory *memory; // null: not there

struct Exclusive : pg::LockScope {
    Exclusive() : pg::LockScope(memory->lock, LW_EXCLUSIVE) {}
};

Bucket &bucket_of(Oid table);
uint64 hash_of(std::string_view tenant);

// All that follows needs the lock; nothing raises.
int find_queue(Oid table);         // or -1
int find_or_make_queue(Oid table); // or -1; takes the least recently used one's place
int take_place(int queue);         // or -1: at the end of the queue's list, for this process
void unlink(int place);            // out of the list; the next leader learns that it is
void free_place(int place);
void wake(int place);
void wake_leader(int queue);
// Any `jobs` of them, those that came last first. One that is bound to tenants is no substitute: when the
// others do not suffice all of the bound ones are woken.
void wake_any(int queue, int64 jobs);

// Without the lock: the end of a transaction of this process, whether it waits or not. After an error, its
// wake-up is another's.
void end_with_transaction(bool error);

} // namespace fairq::shared::waiters
