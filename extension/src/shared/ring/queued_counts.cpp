// Changes of the queued counts, and how a commit brings them into shared memory (see queued_counts.hpp).
#include "shared/ring/queued_counts.hpp"

#include "core/job_status.hpp"
#include "pg/transaction_end.hpp"
#include "shared/counters.hpp"
#include "shared/ring/memory.hpp"

namespace fairq::shared::queued_counts {

namespace {

using ring::Counting;
using ring::Exclusive;
using ring::memory;

constexpr size_t kAddAtOnce = 256; // changes, while the lock is held once
constexpr size_t kShort = 4096;    // changes: a list that is not longer is not worth shortening

struct Change {
    int nesting;
    int64 jobs;
    core::OwnLaneName lane;
};

struct Changes {
    std::vector<Change> changes;
    size_t shorten_at = kShort;
};
pg::PendingChanges<Changes> pending;

// Adds up the changes by lane and level: a transaction may call a verb a million times for few lanes.
void shorten() {
    std::map<int, std::map<core::OwnLaneName, size_t, core::LaneOrder>> places;
    std::vector<Change> shorter;
    for (Change &change : pending->changes) {
        auto const [found, is_new] = places[change.nesting].emplace(change.lane, shorter.size());
        if (is_new)
            shorter.push_back(std::move(change));
        else
            shorter[found->second].jobs += change.jobs;
    }
    pending->changes = std::move(shorter);
    pending->shorten_at = std::max(kShort, 2 * pending->changes.size());
}

// What follows can run when a transaction has ended, where nothing may raise an error. add() needs the lock.
void add(Oid table, Counting &counting, core::LaneName name, int64 jobs) {
    int const queue = ring::find_queue_or_free_place(table, name.queue);
    int const place = queue < 0 ? -1 : ring::find_or_make_lane(queue, name.tenant);
    if (place < 0) {
        counting.whole = false;
        return;
    }
    ring::Lane &lane = memory->lane[place];
    lane.queued = jobs + (lane.count_generation == counting.generation ? lane.queued : 0);
    lane.count_generation = counting.generation;
}

// Adds up to kAddAtOnce changes from `change` on, and moves `change` behind them. generation: of the count that they
// belong to; 0: the last one.
template <class At, class End, class Add>
void add_some(Oid table, uint64 generation, At &change, End end, Add &&add_one) {
    Exclusive const lock;
    Counting *const counting = ring::find_counting(MyDatabaseId, table);
    bool const wanted = counting != nullptr && counting->generation != 0 &&
                        (generation == 0 || counting->generation == generation);
    for (size_t i = 0; i < kAddAtOnce && change != end; ++i, ++change)
        if (wanted)
            add_one(*counting, *change);
}

// All counts of this database, because a database has the extension once.
void forget_queued_counts() {
    Exclusive const lock;
    for (int i = 0; i < memory->counting_count; ++i)
        if (memory->countings[i].database == MyDatabaseId)
            memory->countings[i].generation = 0;
}

bool agrees_with_status_counts() {
    std::optional<StatusCounts> const counted = counters::pending();
    int64 queued = counted ? counted->by_status[0][core::index_of(core::JobStatus::queued)] : 0;
    if (pending)
        for (Change const &change : pending->changes)
            queued -= change.jobs;
    return queued == 0;
}

void add_all() {
    if (!pending)
        return;
    auto change = pending->changes.cbegin();
    while (change != pending->changes.cend())
        add_some(
            pending.table(), 0, change, pending->changes.cend(),
            [](Counting &counting, const Change &of) { add(pending.table(), counting, of.lane, of.jobs); });
}

bool changes_something() {
    return (pending && !pending->changes.empty()) || counters::pending();
}

// Removes the changes that a savepoint has rolled back.
void shorten_to(size_t left) {
    std::vector<Change> &changes = pending->changes;
    changes.erase(changes.begin() + static_cast<std::ptrdiff_t>(left), changes.end());
}

void at_end(pg::TransactionEvent event) {
    if (memory == nullptr)
        return;
    if (event == pg::TransactionEvent::commit) {
        if (agrees_with_status_counts())
            add_all();
        else
            forget_queued_counts();
    }
    if (event == pg::TransactionEvent::prepare && changes_something())
        forget_queued_counts();
    if (!pending)
        return;
    if (is_over(event)) {
        pending->changes.clear();
        pending->shorten_at = kShort;
    } else {
        shorten_to(follow_savepoint(event, pending->changes.data(), pending->changes.size()));
    }
}

} // namespace

void install_callbacks() {
    pg::on_transaction_end<at_end>();
}

void changed(Oid table, core::LaneName lane, int64 jobs) {
    if (memory == nullptr || jobs == 0)
        return;
    if (pending.of(table).changes.size() >= pending->shorten_at)
        shorten();
    pending->changes.push_back({GetCurrentTransactionNestLevel(), jobs, core::OwnLaneName(lane)});
}

void add_pending(QueuedCounts &counts) {
    if (pending)
        for (Change const &change : pending->changes)
            counts[change.lane] += change.jobs;
}

uint64 begin_count(Oid table) {
    if (memory == nullptr)
        return 0;
    Exclusive const lock;
    Counting *counting = ring::find_counting(MyDatabaseId, table);
    if (counting ==
        nullptr) // the place of the count that began the longest ago; 0: it is free, or unknown anyway
        counting = std::min_element(
            memory->countings, memory->countings + memory->counting_count,
            [](const Counting &a, const Counting &b) { return a.generation < b.generation; });
    *counting = {MyDatabaseId, table, ++memory->clock, false, true};
    return counting->generation;
}

// Lanes with the most jobs come first: if there is not enough room, those with few jobs are left out.
void end_count(Oid table, uint64 generation, const QueuedCounts &counted) {
    if (generation == 0)
        return;
    std::vector<const QueuedCounts::value_type *> sorted;
    for (auto const &lane : counted)
        sorted.push_back(&lane);
    std::stable_sort(sorted.begin(), sorted.end(), [](auto *a, auto *b) { return a->second > b->second; });
    for (auto lane = sorted.cbegin(); lane != sorted.cend();)
        add_some(table, generation, lane, sorted.cend(),
                 [&](Counting &counting, auto *of) { add(table, counting, of->first, of->second); });
    Exclusive const lock;
    Counting *const counting = ring::find_counting(MyDatabaseId, table);
    if (counting != nullptr && counting->generation == generation)
        counting->ended = true;
}

} // namespace fairq::shared::queued_counts
