// Claim slots: only kAtOnce claims of a queue work at the same time, and each further claim waits for a moment (see
// Ring). More claims than that would split a lane into more skip ranges than it has room for: then claims would walk
// over jobs that other claims are taking, page by page, and a busy server would do little else.
#include "shared/ring/memory.hpp"
#include "shared/ring/ring.hpp"

namespace fairq::shared::ring {

namespace {

constexpr int kAtOnce = core::SkipRanges::kMost / 2; // each claim at work can split a skip range in two
constexpr long kPatience = 100; // milliseconds; then the claim goes ahead: a session with a slot may be stuck

int held_slot = -1; // the place of the queue of which this session's claim holds a slot; -1: none

// False when all slots are taken. A queue without a place has no slots, and no skip ranges that would need them.
bool try_to_acquire(Oid table, std::string_view name, bool at_once, int &queue) {
    Exclusive const lock;
    queue = find_or_make_queue(table, name);
    if (queue < 0)
        return true;
    if (!at_once && memory->claim_slots[queue].claiming >= kAtOnce)
        return false;
    ++memory->claim_slots[queue].claiming;
    held_slot = queue;
    return true;
}

// Runs inside call().
void wait_for_claim_slot(Oid table, std::string_view name, int queue) {
    ConditionVariable *const free = &memory->claim_slots[queue].one_is_free;
    ConditionVariablePrepareToSleep(free);
    for (bool late = false; !try_to_acquire(table, name, late, queue);)
        late = ConditionVariableTimedSleep(free, kPatience, PG_WAIT_EXTENSION);
    ConditionVariableCancelSleep();
}

} // namespace

void acquire_claim_slot(Oid table, std::string_view name) {
    int queue = -1;
    if (held_slot < 0 && !try_to_acquire(table, name, false, queue))
        pg::call([&] { wait_for_claim_slot(table, name, queue); });
}

void release_claim_slot() {
    if (held_slot < 0)
        return;
    {
        Exclusive const lock;
        --memory->claim_slots[held_slot].claiming;
    }
    ConditionVariableSignal(&memory->claim_slots[held_slot].one_is_free);
    held_slot = -1;
}

} // namespace fairq::shared::ring
