// Lanes that a transaction touches, entered into the ring when it ends.
#include "pg/ring.hpp"

#include "pg/journal.hpp"
#include "pg/ring_memory.hpp"

#include <unordered_map>

namespace fairq::pg::ring {

namespace {

constexpr int kEnterAtOnce = 256; // lanes, for one hold of the lock

using Lanes = std::unordered_map<std::string, core::Touched>;

struct Touched {
    Lanes at_commit, at_abort;
    bool forget_gaps_at_abort = false;
    std::unordered_map<std::string, int> weights;

    void clear() {
        at_commit.clear();
        at_abort.clear();
        weights.clear();
        forget_gaps_at_abort = false;
    }
};
Journal<Touched> touched;

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
        int const queue = find_queue(touched.table());
        for (int i = 0; i < kEnterAtOnce && lane != lanes.end(); ++i, ++lane)
            if (queue >= 0) // else nobody has claimed yet: the survey is still to come
                enter_at(queue, lane->first, lane->second);
    }
}

void weigh_all() {
    Exclusive const lock;
    int const queue = find_queue(touched.table());
    for (auto const &[tenant, weight] : touched->weights) {
        int const lane = queue < 0 ? -1 : find_lane(queue, tenant);
        if (lane >= 0)
            schedule_of(queue).set_weight(lane, weight);
    }
}

void rolled_back() {
    enter_all(touched->at_abort);
    if (!touched->forget_gaps_at_abort)
        return;
    Exclusive const lock;
    if (int const queue = find_queue(touched.table()); queue >= 0)
        forget_gaps(queue);
}

// A lane entered for nothing costs one look at it: so no list for each savepoint. What a prepared transaction
// leaves, whichever way it ends, the survey finds.
void at_end(Ending ending) {
    if (!touched)
        return;
    if (ending == Ending::commit) {
        enter_all(touched->at_commit);
        if (!touched->weights.empty())
            weigh_all();
    }
    if (ending == Ending::abort || ending == Ending::savepoint_abort)
        rolled_back();
    if (is_over(ending))
        touched->clear();
}

} // namespace

void install_callbacks() {
    hear_of_endings<at_end>();
}

void activate_at_commit(Oid table, std::string_view tenant, core::Stretch where) {
    if (memory != nullptr)
        touched.of(table).at_commit[std::string(tenant)].add(where);
}

void activate_at_abort(Oid table, std::string_view tenant, core::Stretch where) {
    if (memory != nullptr)
        touched.of(table).at_abort[std::string(tenant)].add(where);
}

void forget_gaps_at_abort(Oid table) {
    if (memory != nullptr)
        touched.of(table).forget_gaps_at_abort = true;
}

void activate_own() {
    if (touched)
        enter_all(touched->at_commit);
}

void weigh_at_commit(Oid table, std::string_view tenant, int weight) {
    if (memory != nullptr)
        touched.of(table).weights[std::string(tenant)] = weight;
}

} // namespace fairq::pg::ring
