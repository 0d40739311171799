// The depths' journal and its way into memory (see ring_depths.hpp).
#include "core/job_status.hpp"

#include "shared/ring/memory.hpp"

#include "shared/counters.hpp"
#include "pg/transaction_end.hpp"
#include "shared/ring/queued_counts.hpp"

namespace fairq::shared::queued_counts {

namespace {

using ring::Exclusive;
using ring::memory;
using ring::Queue;

constexpr size_t kAddAtOnce = 256; // for one hold of the lock
constexpr size_t kShort = 4096;    // a journal that need not be shortened

struct Change {
    int nesting;
    int64 jobs;
    std::string tenant;
};

struct Changes {
    std::vector<Change> changes;
    size_t shorten_at = kShort;
};
pg::Journal<Changes> journal;

// Tells who is meant by one number: a change of a tenant on one level.
std::string name_of(const Change &change) {
    return std::to_string(change.nesting) + ' ' + change.tenant;
}

// A transaction that calls a verb a million times changes the same tenants again and again.
void shorten() {
    std::unordered_map<std::string, size_t> places;
    std::vector<Change> shorter;
    for (Change &change : journal->changes) {
        auto const [found, is_new] = places.emplace(name_of(change), shorter.size());
        if (is_new)
            shorter.push_back(std::move(change));
        else
            shorter[found->second].jobs += change.jobs;
    }
    journal->changes = std::move(shorter);
    journal->shorten_at = std::max(kShort, 2 * journal->changes.size());
}

// The rest runs where nothing may raise. These need the lock.

void add(int queue, const std::string &tenant, int64 jobs) {
    Queue &of = memory->queues[queue];
    int const place = ring::find_or_make_lane(queue, tenant);
    if (place < 0) {
        of.depths_whole = false;
        return;
    }
    ring::Lane &lane = memory->lane[place];
    lane.depth = jobs + (lane.counted_with == of.depths ? lane.depth : 0);
    lane.counted_with = of.depths;
}

// Adds from `change` on, as many as one hold of the lock allows; then `change` is behind them.
template <class At, class End, class Jobs>
void add_some(Oid table, uint64 count, At &change, End end, Jobs jobs) {
    Exclusive const lock;
    int const queue = ring::find_queue(table);
    bool const wanted = queue >= 0 && memory->queues[queue].depths != 0 &&
                        (count == 0 || memory->queues[queue].depths == count);
    for (size_t i = 0; i < kAddAtOnce && change != end; ++i, ++change)
        if (wanted)
            jobs(queue, *change);
}

// A database has the extension once.
void forget_depths() {
    Exclusive const lock;
    for (Queue &queue : memory->queues)
        if (queue.database == MyDatabaseId)
            queue.depths = 0;
}

bool tells_all() {
    std::optional<StatusCounts> const counted = counters::pending();
    int64 queued = counted ? counted->by_status[0][core::index_of(core::JobStatus::queued)] : 0;
    if (journal)
        for (Change const &change : journal->changes)
            queued -= change.jobs;
    return queued == 0;
}

void add_all() {
    if (!journal)
        return;
    auto change = journal->changes.cbegin();
    while (change != journal->changes.cend())
        add_some(journal.table(), 0, change, journal->changes.cend(),
                 [](int queue, const Change &of) { add(queue, of.tenant, of.jobs); });
}

bool changes_something() {
    return (journal && !journal->changes.empty()) || counters::pending();
}

// Shortens the list to what is left.
void keep(size_t left) {
    std::vector<Change> &changes = journal->changes;
    changes.erase(changes.begin() + static_cast<std::ptrdiff_t>(left), changes.end());
}

void at_end(pg::Ending ending) {
    if (memory == nullptr)
        return;
    if (ending == pg::Ending::commit) {
        if (tells_all())
            add_all();
        else
            forget_depths();
    }
    if (ending == pg::Ending::prepare && changes_something())
        forget_depths();
    if (!journal)
        return;
    if (is_over(ending)) {
        journal->changes.clear();
        journal->shorten_at = kShort;
    } else {
        keep(follow_savepoint(ending, journal->changes.data(), journal->changes.size()));
    }
}

} // namespace

void install_callbacks() {
    pg::hear_of_endings<at_end>();
}

void changed(Oid table, std::string_view tenant, int64 jobs) {
    if (memory == nullptr || jobs == 0)
        return;
    if (journal.of(table).changes.size() >= journal->shorten_at)
        shorten();
    journal->changes.push_back({GetCurrentTransactionNestLevel(), jobs, std::string(tenant)});
}

void add_pending(Depths &depths) {
    if (journal)
        for (Change const &change : journal->changes)
            depths[change.tenant] += change.jobs;
}

uint64 begin_count(Oid table) {
    if (memory == nullptr)
        return 0;
    Exclusive const lock;
    Queue &queue = memory->queues[ring::find_or_make_queue(table)];
    queue.depths = ++memory->clock;
    queue.depths_counted = false;
    queue.depths_whole = true;
    return queue.depths;
}

// The deepest first: should there be no place for all, it is the shallow ones that are missing.
void end_count(Oid table, uint64 count, const Depths &counted) {
    if (count == 0)
        return;
    std::vector<const Depths::value_type *> sorted;
    for (auto const &tenant : counted)
        sorted.push_back(&tenant);
    std::sort(sorted.begin(), sorted.end(), [](auto *a, auto *b) { return a->second > b->second; });
    for (auto tenant = sorted.cbegin(); tenant != sorted.cend();)
        add_some(table, count, tenant, sorted.cend(),
                 [](int queue, auto *of) { add(queue, of->first, of->second); });
    Exclusive const lock;
    int const queue = ring::find_queue(table);
    if (queue >= 0 && memory->queues[queue].depths == count)
        memory->queues[queue].depths_counted = true;
}

} // namespace fairq::shared::queued_counts
