// The extension's part of the server's shared memory: segments that exist as long as the server runs, each under a
// lock of its own.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::pg {

namespace shared_memory {

struct Segment {
    const char *name, *tranche;
    Size (*size)(); // 0: the segment is not wanted
    void (*attach)(void *at);
    void (*initialize)(LWLock *lock); // by the process that creates the segment, after it has attached to it
};

constexpr size_t kSegments = 3;
// By _PG_init, when preloaded, with all segments.
void install_hooks(const std::array<const Segment *, kSegments> &segments);

} // namespace shared_memory

// Holds the lock of a segment. Code that holds it loads, stores and sets latches, and calls nothing that may raise.
class LockScope {
public:
    LockScope(LWLock *lock, LWLockMode mode) : lock_(lock) { LWLockAcquire(lock_, mode); }
    ~LockScope() { LWLockRelease(lock_); }
    LockScope(const LockScope &) = delete;
    LockScope &operator=(const LockScope &) = delete;

private:
    LWLock *lock_;
};

// The place of the current database's queue with that table in an array of queues; or -1. The caller holds the lock.
template <class Queue, size_t n>
int place_of_queue(const Queue (&queues)[n], Oid table) {
    for (size_t i = 0; i < n; ++i)
        if (queues[i].table == table && queues[i].database == MyDatabaseId)
            return static_cast<int>(i);
    return -1;
}

} // namespace fairq::pg
