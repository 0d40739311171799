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

constexpr size_t kAddAtOnce = 256; // for one hold of the lock
constexpr size_t kShort = 4096;    // a pending that need not be shortened

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

// Tells who is meant by one number: a change of a tenant on one level.
std::string name_of(const Change &change) {
    return std::to_string(change.nesting) + ' ' + change.tenant;
}

// A transaction that calls a verb a million times changes the same tenants again and again.
void shorten() {
    NameMap<size_t> places;
    std::vector<Change> shorter;
    for (Change &change : pending->changes) {
        auto const [found, is_new] = places.emplace(name_of(change), shorter.size());
        if (is_new)
            shorter.push_back(std::move(change));
        else
            shorter[found->second].jobs += change.jobs;
    }
    pending->changes = std::move(shorter);
    pending->shorten_at = std::max(kShort, 2 * pending->changes.size());
}

// The rest runs where nothing may raise. These need the lock.

void add(int queue, const std::string &tenant, int64 jobs) {
    Queue &of = memory->queues[queue];
    int const place = ring::find_or_make_lane(queue, tenant);
    if (place < 0) {
        of.queued_counts_whole = false;
        return;
    }
    ring::Lane &lane = memory->lane[place];
    lane.queued = jobs + (lane.counted_with == of.queued_count_id ? lane.queued : 0);
    lane.counted_with = of.queued_count_id;
}

// Adds from `change` on, as many as one hold of the lock allows; then `change` is behind them.
template <class At, class End, class Jobs>
void add_some(Oid table, uint64 count, At &change, End end, Jobs jobs) {
    Exclusive const lock;
    int const queue = ring::find_queue(table);
    bool const wanted = queue >= 0 && memory->queues[queue].queued_count_id != 0 &&
                        (count == 0 || memory->queues[queue].queued_count_id == count);
    for (size_t i = 0; i < kAddAtOnce && change != end; ++i, ++change)
        if (wanted)
            jobs(queue, *change);
}

// A database has the extension once.
void forget_queued_counts() {
    Exclusive const lock;
    for (Queue &queue : memory->queues)
        if (queue.database == MyDatabaseId)
            queue.queued_count_id = 0;
}

bool tells_all() {
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

// Shortens the list to what is left.
void keep(size_t left) {
    std::vector<Change> &changes = pending->changes;
    changes.erase(changes.begin() + static_cast<std::ptrdiff_t>(left), changes.end());
}

void at_end(pg::TransactionEvent event) {
    if (memory == nullptr)
        return;
    if (event == pg::TransactionEvent::commit) {
        if (tells_all())
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
        keep(follow_savepoint(event, pending->changes.data(), pending->changes.size()));
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
    Queue &queue = memory->queues[ring::find_or_make_queue(table)];
    queue.queued_count_id = ++memory->clock;
    queue.queued_counted = false;
    queue.queued_counts_whole = true;
    return queue.queued_count_id;
}

// The deepest first: should there be no place for all, it is the shallow ones that are missing.
void end_count(Oid table, uint64 count, const QueuedCounts &counted) {
    if (count == 0)
        return;
    std::vector<const QueuedCounts::value_type *> sorted;
    for (auto const &tenant : counted)
        sorted.push_back(&tenant);
    std::sort(sorted.begin(), sorted.end(), [](auto *a, auto *b) { return a->second > b->second; });
    for (auto tenant = sorted.cbegin(); tenant != sorted.cend();)
        add_some(table, count, tenant, sorted.cend(),
                 [](int queue, auto *of) { add(queue, of->first, of->second); });
    Exclusive const lock;
    int const queue = ring::find_queue(table);
    if (queue >= 0 && memory->queues[queue].queued_count_id == count)
        memory->queues[queue].queued_counted = true;
}

} // namespace fairq::shared::queued_counts
