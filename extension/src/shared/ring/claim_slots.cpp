// How many claims of a queue are at work at once (see Ring). More than there are gaps to remember would only
// take each other's jobs for a look, page by page: a server with more sessions than processors would do
// little else. So the others wait for a moment.
#include "shared/ring/ring.hpp"

#include "shared/ring/memory.hpp"

namespace fairq::shared::ring {

namespace {

constexpr int kAtOnce = core::Gaps::kMost / 2; // a claim at work splits a gap
constexpr long kPatience = 100;                // milliseconds, then it goes ahead: somebody may be stuck

int inside = -1; // the queue that this session's claim works in

// False when enough are at work already.
bool try_to_enter(Oid table, bool at_once, int &queue) {
    Exclusive const lock;
    queue = find_or_make_queue(table);
    if (!at_once && memory->claiming[queue] >= kAtOnce)
        return false;
    ++memory->claiming[queue];
    inside = queue;
    return true;
}

// Runs inside call().
void wait_to_enter(Oid table, int queue) {
    ConditionVariable *const free = &memory->free_to_claim[queue];
    ConditionVariablePrepareToSleep(free);
    for (bool late = false; !try_to_enter(table, late, queue);)
        late = ConditionVariableTimedSleep(free, kPatience, PG_WAIT_EXTENSION);
    ConditionVariableCancelSleep();
}

} // namespace

void enter_queue(Oid table) {
    int queue = -1;
    if (inside < 0 && !try_to_enter(table, false, queue))
        pg::call([&] { wait_to_enter(table, queue); });
}

void leave() {
    if (inside < 0)
        return;
    {
        Exclusive const lock;
        --memory->claiming[inside];
    }
    ConditionVariableSignal(&memory->free_to_claim[inside]);
    inside = -1;
}

} // namespace fairq::shared::ring
