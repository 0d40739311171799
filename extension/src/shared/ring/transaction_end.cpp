// What a transaction changes in the ring when it ends: the lanes that it enters, opens and weighs (see ring.hpp).
#include "pg/transaction_end.hpp"
#include "shared/ring/memory.hpp"
#include "shared/ring/ring.hpp"

#include <map>
#include <set>

namespace fairq::shared::ring {

namespace {

constexpr int kEnterAtOnce = 256; // lanes, while the lock is held once

// In the order of names: the order in which lanes enter the ring must not depend on the secret key of a hash.
using Lanes = std::map<core::OwnLaneName, core::DirtyRanges, core::LaneOrder>;

// The lanes to enter when this nesting level of the transaction is rolled back.
struct Level {
    int nesting;
    bool forget_skip_ranges = false;
    Lanes lanes = {};
};

struct Skipped {
    core::OwnLaneName lane;
    std::vector<core::KeyRange> ranges;
    uint64 since; // the ring's clock
};

struct Pending {
    Lanes at_commit;
    std::vector<Skipped> skipped;
    std::vector<Level> at_abort;
    std::map<std::string, int, std::less<>> weights;
    std::set<std::string, std::less<>> opened;
    bool opened_all[core::kHoldReasons] = {};
    bool changes_rules = false; // stays when a savepoint takes the change back, because copies may be late

    void clear() {
        at_commit.clear();
        skipped.clear();
        at_abort.clear();
        weights.clear();
        opened.clear();
        opened_all[0] = opened_all[1] = false;
        changes_rules = false;
    }
};
pg::PendingChanges<Pending> pending;
bool committed = false; // the transaction has committed, and has not told yet what its commit opens

void enter_at(int queue, const std::string &tenant, const core::DirtyRanges &places) {
    if (places.begin() == places.end())
        enter(queue, tenant, core::KeyRange{});
    for (core::KeyRange const &where : places)
        enter(queue, tenant, where);
}

// Lanes of one queue follow each other, so that it is looked for once.
class QueueFinder {
public:
    int find(const std::string &name) {
        if (last_ == nullptr || *last_ != name)
            queue_ = find_queue(pending.table(), name);
        last_ = &name;
        return queue_;
    }

private:
    const std::string *last_ = nullptr;
    int queue_ = -1;
};

void enter_all(const Lanes &lanes) {
    auto lane = lanes.begin();
    while (lane != lanes.end()) {
        Exclusive const lock;
        QueueFinder finder;
        for (int i = 0; i < kEnterAtOnce && lane != lanes.end(); ++i, ++lane)
            // otherwise no session has claimed from the queue yet, and the rescan is still to come
            if (int const queue = finder.find(lane->first.queue); queue >= 0)
                enter_at(queue, lane->first.tenant, lane->second);
    }
}

const std::string &tenant_of(const std::string &tenant) {
    return tenant;
}
const std::string &tenant_of(const Lanes::value_type &lane) {
    return lane.first.tenant;
}

template <class Tenants>
void open_each(const Tenants &tenants) {
    auto tenant = tenants.begin();
    while (tenant != tenants.end()) {
        Exclusive const lock;
        for (int i = 0; i < kEnterAtOnce && tenant != tenants.end(); ++i, ++tenant)
            open(pending.table(), tenant_of(*tenant));
    }
}

void open_all() {
    if (!pending->opened_all[0] && !pending->opened_all[1])
        return;
    {
        Exclusive const lock;
        for (core::HoldReason const reason : {core::HoldReason::limits, core::HoldReason::jobs})
            if (pending->opened_all[static_cast<int>(reason)])
                for_queues_of(pending.table(), [&](int queue) { holds_of(queue).happened_to_all(reason); });
    }
    end_older_holds(pending.table());
}

void skip_all() {
    auto skipped = pending->skipped.begin();
    while (skipped != pending->skipped.end()) {
        Exclusive const lock;
        QueueFinder finder;
        for (int i = 0; i < kEnterAtOnce && skipped != pending->skipped.end(); ++i, ++skipped) {
            int const queue = finder.find(skipped->lane.queue);
            int const place = queue < 0 ? -1 : find_or_make_lane(queue, skipped->lane.tenant);
            if (place >= 0)
                make_skip_ranges(place, skipped->ranges, skipped->since);
        }
    }
}

void weigh_all() {
    Exclusive const lock;
    for (auto const &[tenant, weight] : pending->weights)
        for_lanes_of(pending.table(), tenant, [&, to = weight](int place) {
            schedule_of(memory->lane[place].queue).set_weight(place, to);
        });
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
        open_each(levels.back().lanes); // their jobs do not run any more, and have not used up a rate
        if (!levels.back().forget_skip_ranges)
            continue;
        Exclusive const lock;
        for_queues_of(pending.table(), forget_skip_ranges);
    }
}

// The rollback of a savepoint leaves the lanes to enter at the commit as they are: a lane that is entered for
// nothing costs a claim one look. What a prepared transaction changes, the rescan finds however it ends.
void at_end(pg::TransactionEvent event) {
    if (!pending)
        return;
    if (event == pg::TransactionEvent::commit) {
        skip_all(); // first: a job that this transaction brings may be in one of the ranges
        enter_all(pending->at_commit);
        if (!pending->weights.empty())
            weigh_all();
        committed = true;
    }
    std::vector<Level> &levels = pending->at_abort;
    roll_back(event == pg::TransactionEvent::abort ? 0
                                                   : follow_savepoint(event, levels.data(), levels.size()));
    if (is_over(event) && !committed)
        pending->clear();
}

// Other sessions' copies of limits and paused types are out of date from the end of the callbacks of a commit on. If a
// claim were told before that a tenant is open, it could still judge it by an old copy, and hold it anew.
void after_locks(ResourceReleasePhase phase, bool, bool, void *) {
    if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !committed)
        return;
    committed = false;
    open_each(pending->opened);
    open_all();
    pending->clear();
}

} // namespace

void install_callbacks() {
    pg::on_transaction_end<at_end>();
    RegisterResourceReleaseCallback(after_locks, nullptr);
    install_draw_callbacks();
}

namespace {

// A call adds its lanes in the order of their names, mostly behind all lanes that are there.
void add(Lanes &lanes, core::LaneName lane, core::KeyRange where) {
    auto found = lanes.find(lane);
    if (found == lanes.end())
        found = lanes.emplace_hint(lanes.end(), lane, core::DirtyRanges());
    found->second.add(where);
}

} // namespace

void activate_at_commit(Oid table, core::LaneName lane, core::KeyRange where) {
    if (memory != nullptr)
        add(pending.of(table).at_commit, lane, where);
}

void activate_at_abort(Oid table, core::LaneName lane, core::KeyRange where) {
    if (memory != nullptr)
        add(level_of(table).lanes, lane, where);
}

void forget_skip_ranges_at_abort(Oid table) {
    if (memory != nullptr)
        level_of(table).forget_skip_ranges = true;
}

// It allocates memory only without the lock.
Clocks ring_clocks(Oid table) {
    struct Clock {
        char name[core::kMaxQueueBytes + 1];
        uint64 at;
    };
    std::vector<Clock> found(memory == nullptr ? 0 : static_cast<size_t>(memory->queue_count));
    size_t count = 0;
    if (memory != nullptr) {
        Exclusive const lock;
        for_queues_of(table, [&](int queue) {
            Queue const &of = memory->queues[queue];
            memcpy(found[count].name, of.name, sizeof of.name);
            found[count++].at = of.clock;
        });
    }
    Clocks clocks;
    for (size_t i = 0; i < count; ++i)
        clocks.emplace(found[i].name, found[i].at);
    return clocks;
}

void skip_at_commit(Oid table, core::LaneName lane, std::vector<core::KeyRange> ranges, uint64 clock) {
    if (memory != nullptr && GetCurrentTransactionNestLevel() == 1)
        pending.of(table).skipped.push_back({core::OwnLaneName(lane), std::move(ranges), clock});
}

void activate_own() {
    if (!pending)
        return;
    enter_all(pending->at_commit);
    open_each(pending->opened);
    open_all();
}

bool may_hold_lanes() {
    return !pending || !pending->changes_rules;
}

void open_at_commit(Oid table, std::string_view tenant) {
    if (memory != nullptr)
        pending.of(table).opened.emplace(tenant);
}

void open_all_at_commit(Oid table, core::HoldReason reason) {
    if (memory != nullptr)
        pending.of(table).opened_all[static_cast<int>(reason)] = true;
}

void rules_changed(Oid table) {
    if (memory != nullptr)
        pending.of(table).changes_rules = true;
}

void weigh_at_commit(Oid table, std::string_view tenant, int weight) {
    if (memory != nullptr)
        pending.of(table).weights[std::string(tenant)] = weight;
}

} // namespace fairq::shared::ring
