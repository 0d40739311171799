// Changes of the queued counts, and how a commit brings them into shared memory (see queued_counts.hpp).
#include "shared/ring/queued_counts.hpp"

#include "core/job_status.hpp"
#include "pg/transaction_end.hpp"
#include "shared/counters.hpp"
#include "shared/ring/memory.hpp"

namespace fairq::shared::queued_counts {

namespace {

using ring::Exclusive;
using ring::memory;
using ring::Queue;

constexpr size_t kAddAtOnce = 256; // changes, while the lock is held once
constexpr size_t kShort = 4096;    // changes: a list that is not longer is not worth shortening

struct Change {
    int nesting;
    int64 jobs;
    std::string tenant;
};

struct Changes {
    std::vector<Change> changes;
    size_t shorten_at = kShort;
};
pg::PendingChanges<Changes> pending;

// One key for all changes of one tenant on one nesting level.
std::string key_of(const Change &change) {
    return std::to_string(change.nesting) + ' ' + change.tenant;
}

// Adds up the changes by tenant and level: a transaction may call a verb a million times for few tenants.
void shorten() {
    shared::NameMap<size_t> places;
    std::vector<Change> shorter;
    for (Change &change : pending->changes) {
        auto const [found, is_new] = places.emplace(key_of(change), shorter.size());
        if (is_new)
            shorter.push_back(std::move(change));
        else
            shorter[found->second].jobs += change.jobs;
    }
    pending->changes = std::move(shorter);
    pending->shorten_at = std::max(kShort, 2 * pending->changes.size());
}

// What follows can run when a transaction has ended, where nothing may raise an error. add() needs the lock.
void add(int queue, const std::string &tenant, int64 jobs) {
    Queue &of = memory->queues[queue];
    int const place = ring::find_or_make_lane(queue, tenant);
    if (place < 0) {
        of.queued_counts_whole = false;
        return;
    }
    ring::Lane &lane = memory->lane[place];
    lane.queued = jobs + (lane.count_generation == of.count_generation ? lane.queued : 0);
    lane.count_generation = of.count_generation;
}

// Adds up to kAddAtOnce changes from `change` on, and moves `change` behind them.
template <class At, class End, class Jobs>
void add_some(Oid table, uint64 generation, At &change, End end, Jobs jobs) {
    Exclusive const lock;
    int const queue = ring::find_queue(table);
    bool const wanted = queue >= 0 && memory->queues[queue].count_generation != 0 &&
                        (generation == 0 || memory->queues[queue].count_generation == generation);
    for (size_t i = 0; i < kAddAtOnce && change != end; ++i, ++change)
        if (wanted)
            jobs(queue, *change);
}

// All queues of this database, because a database has the extension once.
void forget_queued_counts() {
    Exclusive const lock;
    for (int queue = 0; queue < memory->queue_count; ++queue)
        if (memory->queues[queue].database == MyDatabaseId)
            memory->queues[queue].count_generation = 0;
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
        add_some(pending.table(), 0, change, pending->changes.cend(),
                 [](int queue, const Change &of) { add(queue, of.tenant, of.jobs); });
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

void changed(Oid table, std::string_view tenant, int64 jobs) {
    if (memory == nullptr || jobs == 0)
        return;
    if (pending.of(table).changes.size() >= pending->shorten_at)
        shorten();
    pending->changes.push_back({GetCurrentTransactionNestLevel(), jobs, std::string(tenant)});
}

void add_pending(QueuedCounts &counts) {
    if (pending)
        for (Change const &change : pending->changes)
            counts[change.tenant] += change.jobs;
}

uint64 begin_count(Oid table) {
    if (memory == nullptr)
        return 0;
    Exclusive const lock;
    int const place = ring::find_or_make_queue(table);
    if (place < 0)
        return 0;
    Queue &queue = memory->queues[place];
    queue.count_generation = ++memory->clock;
    queue.count_ended = false;
    queue.queued_counts_whole = true;
    return queue.count_generation;
}

// Tenants with the most jobs come first: if there are not enough lanes, those with few jobs are left out.
void end_count(Oid table, uint64 generation, const QueuedCounts &counted) {
    if (generation == 0)
        return;
    std::vector<const QueuedCounts::value_type *> sorted;
    for (auto const &tenant : counted)
        sorted.push_back(&tenant);
    std::sort(sorted.begin(), sorted.end(), [](auto *a, auto *b) { return a->second > b->second; });
    for (auto tenant = sorted.cbegin(); tenant != sorted.cend();)
        add_some(table, generation, tenant, sorted.cend(),
                 [](int queue, auto *of) { add(queue, of->first, of->second); });
    Exclusive const lock;
    int const queue = ring::find_queue(table);
    if (queue >= 0 && memory->queues[queue].count_generation == generation)
        memory->queues[queue].count_ended = true;
}

} // namespace fairq::shared::queued_counts
