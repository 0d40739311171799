// How segments are made (see shared_memory.hpp): the postmaster requests their memory, then initializes them. Where
// backends are not forked, each of them attaches to the existing segments.
#include "pg/shared_memory.hpp"

namespace fairq::pg::shared_memory {

namespace {

std::array<const Segment *, kSegments> all;
shmem_startup_hook_type previous_startup = nullptr;
int databases = 64; // the setting fairq.max_databases

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

void define_settings() {
    DefineCustomIntVariable(
        "fairq.max_databases",
        "For how many databases with the extension shared memory has room; in further ones, "
        "claims walk over the index.",
        nullptr, &databases, databases, 1, 10000, PGC_POSTMASTER, 0, nullptr, nullptr, nullptr);
}

int max_databases() {
    return databases;
}

void install_hooks(const std::array<const Segment *, kSegments> &segments) {
    all = segments;
    compat::at_shmem_request<request>();
    previous_startup = shmem_startup_hook;
    shmem_startup_hook = startup;
}

} // namespace fairq::pg::shared_memory
