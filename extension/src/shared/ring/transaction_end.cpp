// Lanes that a transaction touches, entered into the ring when it ends.
#include "pg/transaction_end.hpp"
#include "shared/ring/memory.hpp"
#include "shared/ring/ring.hpp"

#include <map>
#include <set>

namespace fairq::shared::ring {

namespace {

constexpr int kEnterAtOnce = 256; // lanes, for one hold of the lock

// By their names: the order in which lanes enter the ring is nobody's secret, and nobody's choice.
using Lanes = std::map<std::string, core::DirtyRanges, std::less<>>;

// What one level of the transaction touched, should it be rolled back.
struct Level {
    int nesting;
    bool forget_skip_ranges = false;
    Lanes lanes = {};
};

struct Touched {
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
pg::PendingChanges<Touched> touched;

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
        int const queue = find_queue(touched.table());
        for (int i = 0; i < kEnterAtOnce && lane != lanes.end(); ++i, ++lane)
            if (queue >= 0) // else nobody has claimed yet: the rescan is still to come
                enter_at(queue, lane->first, lane->second);
    }
}

void open_tenants() {
    auto tenant = touched->opened.begin();
    while (tenant != touched->opened.end()) {
        Exclusive const lock;
        int const queue = find_queue(touched.table());
        for (int i = 0; i < kEnterAtOnce && tenant != touched->opened.end(); ++i, ++tenant)
            if (queue >= 0)
                open(queue, *tenant);
    }
}

void open_all() {
    Exclusive const lock;
    if (int const queue = find_queue(touched.table()); queue >= 0)
        memory->queues[queue].all_opened = ++memory->openings;
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

Level &level_of(Oid table) {
    std::vector<Level> &levels = touched.of(table).at_abort;
    int const nesting = GetCurrentTransactionNestLevel();
    if (levels.empty() || levels.back().nesting < nesting)
        levels.push_back({nesting});
    return levels.back();
}

// What levels above did stays: their lanes would be looked at for nothing, as often as a savepoint is rolled
// back, and a claim may look at so many lanes only.
void rolled_back(size_t left) {
    for (std::vector<Level> &levels = touched->at_abort; levels.size() > left; levels.pop_back()) {
        enter_all(levels.back().lanes);
        if (!levels.back().forget_skip_ranges)
            continue;
        Exclusive const lock;
        if (int const queue = find_queue(touched.table()); queue >= 0)
            forget_skip_ranges(queue);
    }
}

// What is to be entered at the commit stays there when a savepoint is rolled back: a lane entered for nothing
// costs one look at it. What a prepared transaction leaves, whichever way it ends, the rescan finds, or the
// end of a second.
void at_end(pg::TransactionEvent event) {
    if (!touched)
        return;
    if (event == pg::TransactionEvent::commit) {
        enter_all(touched->at_commit);
        open_tenants();
        if (touched->all_opened)
            open_all();
        if (!touched->weights.empty())
            weigh_all();
    }
    std::vector<Level> &levels = touched->at_abort;
    rolled_back(event == pg::TransactionEvent::abort ? 0
                                                     : follow_savepoint(event, levels.data(), levels.size()));
    if (is_over(event))
        touched->clear();
}

} // namespace

void install_callbacks() {
    pg::on_transaction_end<at_end>();
    install_draw_callbacks();
}

namespace {

// Those of one call come in the order of their names.
void add(Lanes &lanes, std::string_view tenant, core::KeyRange where) {
    auto found = lanes.find(tenant);
    if (found == lanes.end())
        found = lanes.emplace_hint(lanes.end(), tenant, core::DirtyRanges());
    found->second.add(where);
}

} // namespace

void activate_at_commit(Oid table, std::string_view tenant, core::KeyRange where) {
    if (memory != nullptr)
        add(touched.of(table).at_commit, tenant, where);
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
    if (touched)
        enter_all(touched->at_commit);
}

bool has_news() {
    return touched && !(touched->at_commit.empty() && touched->opened.empty() && !touched->all_opened);
}

void open_at_commit(Oid table, std::string_view tenant) {
    if (memory != nullptr)
        touched.of(table).opened.emplace(tenant);
}

void open_all_at_commit(Oid table) {
    if (memory != nullptr)
        touched.of(table).all_opened = true;
}

void weigh_at_commit(Oid table, std::string_view tenant, int weight) {
    if (memory != nullptr)
        touched.of(table).weights[std::string(tenant)] = weight;
}

} // namespace fairq::shared::ring
