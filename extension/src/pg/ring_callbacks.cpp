// Lanes that a transaction touches, entered into the ring when it ends. The callbacks run where nothing may
// raise: an allocation that fails there would, so the lists are complete before.
#include "pg/ring.hpp"

#include "pg/ring_memory.hpp"

#include <unordered_map>
#include <unordered_set>

namespace fairq::pg::ring {

namespace {

constexpr int kEnterAtOnce = 256; // lanes, for one hold of the lock

// Made on first use and never destroyed: no constructor may run when the library is loaded.
struct Touched {
    Oid table = InvalidOid;
    std::unordered_set<std::string> at_commit, at_abort;
    std::unordered_map<std::string, int> weights;
};
Touched *touched = nullptr;

Touched &touched_of(Oid table) {
    if (touched == nullptr)
        touched = new Touched;
    touched->table = table; // a database has the extension once
    return *touched;
}

void enter_all(const std::unordered_set<std::string> &tenants) {
    auto tenant = tenants.begin();
    while (tenant != tenants.end()) {
        Exclusive const lock;
        int const queue = find_queue(touched->table);
        for (int i = 0; i < kEnterAtOnce && tenant != tenants.end(); ++i, ++tenant)
            if (queue >= 0) // else nobody has claimed yet: the survey is still to come
                enter(queue, *tenant);
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
        enter_all(touched->at_abort);
    // A prepared transaction ends elsewhere: whichever way, the survey finds what it leaves.
    if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
        forget();
}

// A lane entered for nothing costs one look at it: so no list for each savepoint.
void at_end_of_savepoint(SubXactEvent event, SubTransactionId, SubTransactionId, void *) {
    if (touched != nullptr && event == SUBXACT_EVENT_ABORT_SUB)
        enter_all(touched->at_abort);
}

} // namespace

void install_callbacks() {
    if (memory == nullptr && !process_shared_preload_libraries_in_progress)
        return;
    RegisterXactCallback(at_end_of_transaction, nullptr);
    RegisterSubXactCallback(at_end_of_savepoint, nullptr);
}

void activate_at_commit(Oid table, std::string_view tenant) {
    if (memory != nullptr)
        touched_of(table).at_commit.emplace(tenant);
}

void activate_at_abort(Oid table, std::string_view tenant) {
    if (memory != nullptr)
        touched_of(table).at_abort.emplace(tenant);
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
