// The memory of the waiters: a fixed number of slots in shared memory, one for each waiting session, and a
// list of slots for each queue that has waiters. For the files of this folder only.
#pragma once

#include "core/siphash.hpp"
#include "pg/shared_memory.hpp"

namespace fairq::shared::waiters {

constexpr int kSlots = 1024;
constexpr uint32 kBuckets = 4096;
constexpr int kTenants = 4;
constexpr int kQueues = 4;
constexpr int kOpenings = 16;

struct Slot {
    PGPROC *proc; // null: free
    int32 next;   // in the queue's list, towards waiters that came later, or in that of free slots; index + 1
    int32 previous;
    int32 queue;
    bool woken;  // and therefore in no list any more
    int32 bound; // to how many tenants the waiter is bound; 0: to none, it takes jobs of any tenant
    // Their hashes; a waiter that is bound to more tenants is woken when jobs of any tenant come.
    uint64 tenants[kTenants];
    int32 queue_count; // of how many queues the waiter takes jobs; 0: of any
    // Their hashes; a waiter for more queues is woken when jobs of any queue come.
    uint64 queues[kQueues];

    bool takes_of(uint64 of) const {
        return queue_count == 0 || queue_count > kQueues ||
               std::find(queues, queues + queue_count, of) != queues + queue_count;
    }
};

// When a rate lets the next job of a queue through.
struct Opening {
    uint64 queue; // the hash of its name
    int64 at;     // by the monotonic clock
};

// The waiters of all queues with one table.
struct Queue {
    Oid database, table; // InvalidOid: free
    uint64 used;
    int32 slots;        // how many the queue's waiters have, woken ones included
    int32 first, last;  // waiters in the list; index + 1
    TimestampTz due_at; // when the next scheduled job is due, as the leader knows it; 0: it has not looked
    Opening openings[kOpenings]; // the first opening_count of them are known
    int32 opening_count;
    int64
        others_open_at; // of queues for which there was no room: any waiter may be wanted then; DT_NOEND: none

    int64 opens_at() const;
};

// What can be read without the lock: one bucket for a table, with all its queues, and one for each of its queues. Some may
// share a bucket; then their sessions sometimes look for jobs in vain.
struct Bucket {
    pg_atomic_uint64 news;    // counts transactions that brought something to claim
    pg_atomic_uint32 waiting; // of a table: waiters that were not woken
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
Bucket &bucket_of(Oid table, uint64 queue);

// All that follows needs the lock; nothing raises an error.
int find_queue(Oid table);         // or -1
int find_or_make_queue(Oid table); // or -1; the least recently used queue without waiters may lose its entry
int take_slot(int queue);          // for this process, at the end of the queue's list; or -1
void unlink(int slot);             // takes the waiter out of the list; the next leader is woken
void free_slot(int slot);
void wake(int slot);
void wake_leader(int queue);
// Notes when a rate opens. True: nothing was to open before.
bool note_opening(int queue, Opening opening);
void wake_opened(int queue, int64 now); // those for whom a rate has opened: one for each
// Wakes `jobs` waiters of that queue of jobs (none: of any), those that came last first. A waiter that is bound to tenants may have no use for a
// job: it does not count, and if the unbound waiters do not suffice, all bound ones are woken.
void wake_any(int queue, int64 jobs, std::optional<uint64> of = std::nullopt);

// To be called without the lock, at the end of each transaction of this process. If an error ends the transaction
// after this process was woken as a waiter, another waiter is woken.
void end_with_transaction(bool error);

} // namespace fairq::shared::waiters
