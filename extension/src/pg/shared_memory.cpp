// How segments come about (see shared_memory.hpp): the postmaster asks for them, then makes them. Where
// processes are not forked each of them attaches to what it finds.
#include "pg/shared_memory.hpp"

namespace fairq::pg::shared_memory {

namespace {

std::array<const Segment *, kSegments> all;
shmem_startup_hook_type previous_startup = nullptr;

void request() {
    for (Segment const *const segment : all) {
        if (segment->size() == 0)
            continue;
        RequestAddinShmemSpace(MAXALIGN(segment->size()));
        RequestNamedLWLockTranche(segment->tranche, 1);
    }
}

void startup() {
    if (previous_startup)
        previous_startup();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    for (Segment const *const segment : all) {
        if (segment->size() == 0)
            continue;
        bool found = false;
        segment->attach(ShmemInitStruct(segment->name, segment->size(), &found));
        if (!found)
            segment->initialize(&GetNamedLWLockTranche(segment->tranche)->lock);
    }
    LWLockRelease(AddinShmemInitLock);
}

} // namespace

uint64 secret_word() {
    uint64 word = 0;
    if (!pg_strong_random(&word, sizeof word))
        elog(FATAL, "could not generate random bits");
    return word;
}

void install_hooks(const std::array<const Segment *, kSegments> &segments) {
    all = segments;
    compat::at_shmem_request<request>();
    previous_startup = shmem_startup_hook;
    shmem_startup_hook = startup;
}

} // namespace fairq::pg::shared_memory
