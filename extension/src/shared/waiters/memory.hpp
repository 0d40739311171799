// The memory of the waiters: a fixed number of slots in shared memory, one for each waiting session, and a
// list of slots for each queue that has waiters. For the files of this folder only.
#pragma once

#include "core/siphash.hpp"
#include "pg/shared_memory.hpp"

namespace fairq::shared::waiters {

constexpr int kSlots = 1024;
constexpr uint32 kBuckets = 256;
constexpr int kTenants = 4;

struct Slot {
    PGPROC *proc; // null: free
    int32 next;   // in the queue's list, towards waiters that came later, or in that of free slots; index + 1
    int32 previous;
    int32 queue;
    bool woken;  // and therefore in no list any more
    int32 bound; // to how many tenants the waiter is bound; 0: to none, it takes jobs of any tenant
    // Their hashes; a waiter that is bound to more tenants is woken when jobs of any tenant come.
    uint64 tenants[kTenants];
};

struct Queue {
    Oid database, table; // InvalidOid: free
    uint64 used;
    int32 slots;        // how many the queue's waiters have, woken ones included
    int32 first, last;  // waiters in the list; index + 1
    TimestampTz due_at; // when the next scheduled job is due, as the leader knows it; 0: it has not looked
    int64
        opens_at; // when a rate lets the next job through, by the monotonic clock; DT_NOEND: none is known to
};

// What can be read without the lock. Queues may share a bucket; then their sessions sometimes look for jobs in vain.
struct Bucket {
    pg_atomic_uint64 news;    // counts transactions that brought something to claim
    pg_atomic_uint32 waiting; // waiters that were not woken
};

struct Memory {
    LWLock *lock;
    core::SipKey key; // of the tenants' hashes
    uint64 clock;
    int32 free;
    Bucket buckets[kBuckets];
    Slot slots[kSlots];
    int32 queue_count;
    Queue queues[FLEXIBLE_ARRAY_MEMBER];
};

extern Memory *memory; // null: the library was not preloaded

struct Exclusive : pg::LockScope {
    Exclusive() : pg::LockScope(memory->lock, LW_EXCLUSIVE) {}
};

Bucket &bucket_of(Oid table);
uint64 hash_of(std::string_view tenant);

// All that follows needs the lock; nothing raises an error.
int find_queue(Oid table);         // or -1
int find_or_make_queue(Oid table); // or -1; the least recently used queue without waiters may lose its entry
int take_slot(int queue);          // for this process, at the end of the queue's list; or -1
void unlink(int slot);             // takes the waiter out of the list; the next leader is woken
void free_slot(int slot);
void wake(int slot);
void wake_leader(int queue);
// Wakes `jobs` waiters, those that came last first. A waiter that is bound to tenants may have no use for a
// job: it does not count, and if the unbound waiters do not suffice, all bound ones are woken.
void wake_any(int queue, int64 jobs);

// To be called without the lock, at the end of each transaction of this process. If an error ends the transaction
// after this process was woken as a waiter, another waiter is woken.
void end_with_transaction(bool error);

} // namespace fairq::shared::waiters
