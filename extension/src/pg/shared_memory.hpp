// Our part of the server's shared memory: segments that are there from its start to its end, each under a
// lock of its own.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::pg {

namespace shared_memory {

struct Segment {
    const char *name, *tranche;
    Size (*size)(); // 0: it is not wanted
    void (*attach)(void *at);
    void (*initialize)(LWLock *lock); // once, when it is attached
};

constexpr size_t kSegments = 3;
// By _PG_init, when preloaded, with all that there are.
void install_hooks(const std::array<const Segment *, kSegments> &segments);

// A secret for a segment that is initialized just now.
uint64 secret_word();

} // namespace shared_memory

// Holds the lock of a segment. What is done meanwhile is a leaf: loads and stores, nothing that may raise.
class LockScope {
public:
    LockScope(LWLock *lock, LWLockMode mode) : lock_(lock) { LWLockAcquire(lock_, mode); }
    ~LockScope() { LWLockRelease(lock_); }
    LockScope(const LockScope &) = delete;
    LockScope &operator=(const LockScope &) = delete;

private:
    LWLock *lock_;
};

// The queue's place in an array of such, by their `database` and `table`; or -1. The caller holds the lock.
template <class Queue, size_t n>
int place_of_queue(const Queue (&queues)[n], Oid table) {
    for (size_t i = 0; i < n; ++i)
        if (queues[i].table == table && queues[i].database == MyDatabaseId)
            return static_cast<int>(i);
    return -1;
}

} // namespace fairq::pg
