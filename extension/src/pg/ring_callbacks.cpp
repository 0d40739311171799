// Lanes that a transaction touches, entered into the ring when it ends. The callbacks run where nothing may
// raise: an allocation that fails there would, so the lists are complete before.
#include "pg/ring.hpp"

#include "pg/ring_memory.hpp"

#include <unordered_map>

namespace fairq::pg::ring {

namespace {

constexpr int kEnterAtOnce = 256; // lanes, for one hold of the lock

using Lanes = std::unordered_map<std::string, core::Touched>;

// What one level of the transaction touched, should it be rolled back.
struct Level {
    int nesting;
    bool forget_gaps = false;
    Lanes lanes = {};
};

// Made on first use and never destroyed: no constructor may run when the library is loaded.
struct Touched {
    Oid table = InvalidOid;
    Lanes at_commit;
    std::vector<Level> at_abort; // never a nesting less than the one before
    std::unordered_map<std::string, int> weights;
};
Touched *touched = nullptr;

Touched &touched_of(Oid table) {
    if (touched == nullptr)
        touched = new Touched;
    touched->table = table; // a database has the extension once
    return *touched;
}

void enter_at(int queue, const std::string &tenant, const core::Touched &places) {
    if (places.begin() == places.end())
        enter(queue, tenant, core::Stretch{});
    for (core::Stretch const &where : places)
        enter(queue, tenant, where);
}

void enter_all(const Lanes &lanes) {
    auto lane = lanes.begin();
    while (lane != lanes.end()) {
        Exclusive const lock;
        int const queue = find_queue(touched->table);
        for (int i = 0; i < kEnterAtOnce && lane != lanes.end(); ++i, ++lane)
            if (queue >= 0) // else nobody has claimed yet: the survey is still to come
                enter_at(queue, lane->first, lane->second);
    }
}

void weigh_all() {
    Exclusive const lock;
    int const queue = find_queue(touched->table);
    for (auto const &[tenant, weight] : touched->weights) {
        int const lane = queue < 0 ? -1 : find_lane(queue, tenant);
        if (lane >= 0)
            schedule_of(queue).set_weight(lane, weight);
    }
}

Level &level_of(Oid table) {
    std::vector<Level> &levels = touched_of(table).at_abort;
    int const nesting = GetCurrentTransactionNestLevel();
    if (levels.empty() || levels.back().nesting < nesting)
        levels.push_back({nesting});
    return levels.back();
}

// From that level on. What levels above did stays: their lanes would be looked at for nothing, as often as a
// savepoint is rolled back, and a claim may look at so many lanes only.
void rolled_back(int nesting) {
    for (; !touched->at_abort.empty() && touched->at_abort.back().nesting >= nesting;
         touched->at_abort.pop_back()) {
        enter_all(touched->at_abort.back().lanes);
        if (!touched->at_abort.back().forget_gaps)
            continue;
        Exclusive const lock;
        if (int const queue = find_queue(touched->table); queue >= 0)
            forget_gaps(queue);
    }
}

void forget() {
    touched->at_commit.clear();
    touched->at_abort.clear();
    touched->weights.clear();
}

void at_end_of_transaction(XactEvent event, void *) {
    if (touched == nullptr)
        return;
    if (event == XACT_EVENT_COMMIT) {
        enter_all(touched->at_commit);
        if (!touched->weights.empty())
            weigh_all();
    }
    if (event == XACT_EVENT_ABORT)
        rolled_back(0);
    // A prepared transaction ends elsewhere: whichever way, the survey finds what it leaves.
    if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
        forget();
}

// What is to be entered at the commit stays there: a lane entered for nothing costs one look at it.
void at_end_of_savepoint(SubXactEvent event, SubTransactionId, SubTransactionId, void *) {
    if (touched == nullptr)
        return;
    int const nesting = GetCurrentTransactionNestLevel();
    if (event == SUBXACT_EVENT_ABORT_SUB)
        rolled_back(nesting);
    if (event == SUBXACT_EVENT_COMMIT_SUB)
        for (auto level = touched->at_abort.rbegin();
             level != touched->at_abort.rend() && level->nesting >= nesting; ++level)
            level->nesting = nesting - 1;
}

} // namespace

void install_callbacks() {
    if (memory == nullptr && !process_shared_preload_libraries_in_progress)
        return;
    RegisterXactCallback(at_end_of_transaction, nullptr);
    RegisterSubXactCallback(at_end_of_savepoint, nullptr);
    install_draw_callbacks();
    install_admission();
}

void activate_at_commit(Oid table, std::string_view tenant, core::Stretch where) {
    if (memory != nullptr)
        touched_of(table).at_commit[std::string(tenant)].add(where);
}

void activate_at_abort(Oid table, std::string_view tenant, core::Stretch where) {
    if (memory != nullptr)
        level_of(table).lanes[std::string(tenant)].add(where);
}

void forget_gaps_at_abort(Oid table) {
    if (memory != nullptr)
        level_of(table).forget_gaps = true;
}

void activate_own() {
    if (touched != nullptr)
        enter_all(touched->at_commit);
}

void weigh_at_commit(Oid table, std::string_view tenant, int weight) {
    if (memory != nullptr)
        touched_of(table).weights[std::string(tenant)] = weight;
}

} // namespace fairq::pg::ring
