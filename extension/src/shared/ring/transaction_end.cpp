// What a transaction changes in the ring when it ends: the lanes that it enters, opens and weighs.
#include "pg/transaction_end.hpp"
#include "shared/ring/memory.hpp"
#include "shared/ring/ring.hpp"

#include <map>
#include <set>

namespace fairq::shared::ring {

namespace {

constexpr int kEnterAtOnce = 256; // lanes, while the lock is held once

// In the order of names: the order in which lanes enter the ring must not depend on the secret key of a hash.
using Lanes = std::map<std::string, core::DirtyRanges, std::less<>>;

// The lanes to enter when this nesting level of the transaction is rolled back.
struct Level {
    int nesting;
    bool forget_skip_ranges = false;
    Lanes lanes = {};
};

struct Pending {
    Lanes at_commit;
    std::vector<Level> at_abort;
    std::map<std::string, int, std::less<>> weights;
    std::set<std::string, std::less<>> opened;
    bool all_opened = false;

    void clear() {
        at_commit.clear();
        at_abort.clear();
        weights.clear();
        opened.clear();
        all_opened = false;
    }
};
pg::PendingChanges<Pending> pending;

void enter_at(int queue, const std::string &tenant, const core::DirtyRanges &places) {
    if (places.begin() == places.end())
        enter(queue, tenant, core::KeyRange{});
    for (core::KeyRange const &where : places)
        enter(queue, tenant, where);
}

void enter_all(const Lanes &lanes) {
    auto lane = lanes.begin();
    while (lane != lanes.end()) {
        Exclusive const lock;
        int const queue = find_queue(pending.table());
        for (int i = 0; i < kEnterAtOnce && lane != lanes.end(); ++i, ++lane)
            if (queue >= 0) // otherwise no session has claimed yet, and the rescan is still to come
                enter_at(queue, lane->first, lane->second);
    }
}

void open_tenants() {
    auto tenant = pending->opened.begin();
    while (tenant != pending->opened.end()) {
        Exclusive const lock;
        int const queue = find_queue(pending.table());
        for (int i = 0; i < kEnterAtOnce && tenant != pending->opened.end(); ++i, ++tenant)
            if (queue >= 0)
                open(queue, *tenant);
    }
}

void open_all() {
    Exclusive const lock;
    if (int const queue = find_queue(pending.table()); queue >= 0)
        memory->queues[queue].all_opened = ++memory->openings;
}

void weigh_all() {
    Exclusive const lock;
    int const queue = find_queue(pending.table());
    for (auto const &[tenant, weight] : pending->weights) {
        int const lane = queue < 0 ? -1 : find_lane(queue, tenant);
        if (lane >= 0)
            schedule_of(queue).set_weight(lane, weight);
    }
}

Level &level_of(Oid table) {
    std::vector<Level> &levels = pending.of(table).at_abort;
    int const nesting = GetCurrentTransactionNestLevel();
    if (levels.empty() || levels.back().nesting < nesting)
        levels.push_back({nesting});
    return levels.back();
}

// Enters the lanes of the levels that are rolled back. The lanes of the `left` outer levels must not enter: at each
// rollback of a savepoint, claims would look at them for nothing, and a claim looks at a limited number of lanes.
void roll_back(size_t left) {
    for (std::vector<Level> &levels = pending->at_abort; levels.size() > left; levels.pop_back()) {
        enter_all(levels.back().lanes);
        if (!levels.back().forget_skip_ranges)
            continue;
        Exclusive const lock;
        if (int const queue = find_queue(pending.table()); queue >= 0)
            forget_skip_ranges(queue);
    }
}

// The rollback of a savepoint leaves the lanes to enter at the commit as they are: a lane that is entered for
// nothing costs a claim one look. What a prepared transaction changes, the rescan finds however it ends, and
// claims count again after a second (see AtCap).
void at_end(pg::TransactionEvent event) {
    if (!pending)
        return;
    if (event == pg::TransactionEvent::commit) {
        enter_all(pending->at_commit);
        open_tenants();
        if (pending->all_opened)
            open_all();
        if (!pending->weights.empty())
            weigh_all();
    }
    std::vector<Level> &levels = pending->at_abort;
    roll_back(event == pg::TransactionEvent::abort ? 0
                                                   : follow_savepoint(event, levels.data(), levels.size()));
    if (is_over(event))
        pending->clear();
}

} // namespace

void install_callbacks() {
    pg::on_transaction_end<at_end>();
    install_draw_callbacks();
}

namespace {

// A call adds its lanes in the order of their names, mostly behind all lanes that are there.
void add(Lanes &lanes, std::string_view tenant, core::KeyRange where) {
    auto found = lanes.find(tenant);
    if (found == lanes.end())
        found = lanes.emplace_hint(lanes.end(), tenant, core::DirtyRanges());
    found->second.add(where);
}

} // namespace

void activate_at_commit(Oid table, std::string_view tenant, core::KeyRange where) {
    if (memory != nullptr)
        add(pending.of(table).at_commit, tenant, where);
}

void activate_at_abort(Oid table, std::string_view tenant, core::KeyRange where) {
    if (memory != nullptr)
        add(level_of(table).lanes, tenant, where);
}

void forget_skip_ranges_at_abort(Oid table) {
    if (memory != nullptr)
        level_of(table).forget_skip_ranges = true;
}

void activate_own() {
    if (pending)
        enter_all(pending->at_commit);
}

bool has_pending_changes() {
    return pending && !(pending->at_commit.empty() && pending->opened.empty() && !pending->all_opened);
}

void open_at_commit(Oid table, std::string_view tenant) {
    if (memory != nullptr)
        pending.of(table).opened.emplace(tenant);
}

void open_all_at_commit(Oid table) {
    if (memory != nullptr)
        pending.of(table).all_opened = true;
}

void weigh_at_commit(Oid table, std::string_view tenant, int weight) {
    if (memory != nullptr)
        pending.of(table).weights[std::string(tenant)] = weight;
}

} // namespace fairq::shared::ring
