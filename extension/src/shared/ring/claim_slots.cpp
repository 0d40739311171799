// How many claims of a queue are at work at once (see Ring). More than there are skip ranges to remember would only
// take each other's jobs for a look, page by page: a server with more sessions than processors would do
// little else. So the others wait for a moment.
#include "shared/ring/memory.hpp"
#include "shared/ring/ring.hpp"

namespace fairq::shared::ring {

namespace {

constexpr int kAtOnce = core::SkipRanges::kMost / 2; // a claim at work splits a skip range
constexpr long kPatience = 100; // milliseconds, then it goes ahead: somebody may be stuck

int inside = -1; // the queue that this session's claim works in

// False when enough are at work already.
bool try_to_acquire(Oid table, bool at_once, int &queue) {
    Exclusive const lock;
    queue = find_or_make_queue(table);
    if (!at_once && memory->claiming[queue] >= kAtOnce)
        return false;
    ++memory->claiming[queue];
    inside = queue;
    return true;
}

// Runs inside call().
void wait_for_claim_slot(Oid table, int queue) {
    ConditionVariable *const free = &memory->claim_slot_free[queue];
    ConditionVariablePrepareToSleep(free);
    for (bool late = false; !try_to_acquire(table, late, queue);)
        late = ConditionVariableTimedSleep(free, kPatience, PG_WAIT_EXTENSION);
    ConditionVariableCancelSleep();
}

} // namespace

void acquire_claim_slot(Oid table) {
    int queue = -1;
    if (inside < 0 && !try_to_acquire(table, false, queue))
        pg::call([&] { wait_for_claim_slot(table, queue); });
}

void release_claim_slot() {
    if (inside < 0)
        return;
    {
        Exclusive const lock;
        --memory->claiming[inside];
    }
    ConditionVariableSignal(&memory->claim_slot_free[inside]);
    inside = -1;
}

} // namespace fairq::shared::ring
