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
void define_settings(); // by _PG_init, when preloaded, before install_hooks()
int max_databases();    // for how many databases each segment has room; valid once the server starts
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

// The place of the current database's queue with that table in an array of `count` queues; or -1. The caller holds the
// lock. Another queue may get the place as soon as the lock is free: a session that comes back asks again.
template <class Queue>
int place_of_queue(const Queue *queues, int count, Oid table) {
    for (int i = 0; i < count; ++i)
        if (queues[i].table == table && queues[i].database == MyDatabaseId)
            return i;
    return -1;
}

} // namespace fairq::pg
