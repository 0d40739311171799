// Metrics: kept counts, never counted rows. Shared memory has the counts; when it has lost them (a restart,
// no preload), they are counted once, and put back if that can be done without making writers wait.
#include "metrics/metrics.hpp"

#include "queue/statements.hpp"

namespace fairq::metrics {

namespace {

constexpr int kPatienceMs = 20;                       // for a moment without writers
constexpr int64 kCountAgain = 5 * 60 * core::kSecond; // for what was written directly in the tables
constexpr int64 kReuse = 10 * core::kSecond;          // of a count that could not be kept

Counts counts_in(const pg::Rows &rows) {
    Counts counts{{}, true, QueuedCounts()};
    for (size_t row = 0; row < rows.size(); ++row) {
        int32 const status = rows.int32_at(row, 1);
        counts.jobs.by_status[0][status] += rows.int64_at(row, 2);
        counts.jobs.by_status[1][status] += rows.int64_at(row, 3);
        if (!rows.is_null(row, 4))
            counts.queued_counts->emplace(rows.text_at(row, 4), rows.int64_at(row, 2));
    }
    return counts;
}

Counts count_all() {
    return pg::with_spi([] { return counts_in(pg::read_as_of_snapshot(queue::sql::kCount)); });
}

struct FreshCount {
    Oid table;
    std::optional<uint64> generation;
    uint64 queued_counts;
};

// With no writer in progress: from here on every commit adds what it changes, and the snapshot has all that
// was before.
void begin(void *argument) {
    auto *const count = static_cast<FreshCount *>(argument);
    count->generation = shared::queue_state::begin_count(count->table, GetCurrentTimestamp());
    if (!count->generation)
        return;
    count->queued_counts = shared::queued_counts::begin_count(count->table);
    PushActiveSnapshot(GetLatestSnapshot());
}

// Counts all jobs and, if writers let us, keeps the counts in shared memory. Else this session uses them for
// a while.
Counts count_anew(Oid table) {
    static struct {
        Oid table;
        TimestampTz at;
        Counts counts;
    } own;
    TimestampTz const now = pg::now();
    if (own.table == table && now - own.at < kReuse)
        return own.counts;
    FreshCount fresh{table, std::nullopt, 0};
    bool const quiet = pg::without_writers(table, kPatienceMs, begin, &fresh);
    if (quiet && !fresh.generation) // another session is counting: what has been collected so far
        return {shared::queue_state::read(table).counts, false, std::nullopt};
    Counts counted = count_all();
    if (quiet) {
        pg::call([] { PopActiveSnapshot(); });
        shared::queue_state::end_count(table, *fresh.generation, counted.jobs, now);
        shared::queued_counts::end_count(table, fresh.queued_counts, *counted.queued_counts);
        return counted;
    }
    own = {table, now, counted};
    own.counts.exact = false;
    return counted;
}

void add(shared::StatusCounts &counts, const shared::StatusCounts &more) {
    for (int kind = 0; kind < 2; ++kind)
        for (size_t status = 0; status < core::kStatuses; ++status)
            counts.by_status[kind][status] += more.by_status[kind][status];
}

pg::Value by_status(const shared::StatusCounts &counts, bool load_test) {
    // A commit may have added before another's had been seen: never show fewer than none.
    queue::Ids numbers(std::begin(counts.by_status[load_test]), std::end(counts.by_status[load_test]));
    for (int64 &number : numbers)
        number = std::max<int64>(number, 0);
    return pg::of(numbers);
}

pg::Value oldest_age(bool load_test) {
    std::optional<TimestampTz> const oldest = tables::oldest_queued(pg::schema(), load_test);
    return oldest ? pg::of(int64{std::max<int64>(0, pg::now() - *oldest) / core::kSecond}) : pg::Value{};
}

} // namespace

pg::Value only_value(const pg::Rows &rows) {
    return pg::of_datum(pg::call([&] { return SPI_datumTransfer(rows.datum(0, 1), false, -1); }));
}

Counts counts(bool by_tenant) {
    Oid const table = tables::live_table_oid(pg::schema());
    std::optional<shared::StatusCounts> const own_changes = shared::counters::pending();
    shared::queue_state::Kept kept = shared::queue_state::read(table);
    bool const can_keep =
        shared::queue_state::available() && !RecoveryInProgress() && !IsolationUsesXactSnapshot();
    bool const no_place = by_tenant && !shared::ring::available(); // for depths: fairq.ring_lanes is 0
    bool const known = kept.exact && (!by_tenant || shared::ring::queued_counts_known(table));
    if (!can_keep || no_place || (own_changes && !known))
        return count_all();
    if (!own_changes && !(known && pg::now() - kept.counted_at < kCountAgain))
        return count_anew(table);
    if (own_changes)
        add(kept.counts, *own_changes);
    return {kept.counts, kept.exact, std::nullopt};
}

pg::Value queue_metrics() {
    Counts const now = counts(true);
    TenantFigures const by_tenant = tenants(now);
    pg::Value const age = oldest_age(false);
    return pg::with_spi([&] {
        return only_value(pg::execute(queue::sql::kQueueMetrics,
                                      {by_status(now.jobs, false), age, pg::of(now.exact),
                                       pg::of(shared::queue_state::available()), by_tenant.json,
                                       pg::of(by_tenant.exact), pg::of(by_tenant.dwell_p50),
                                       pg::of(by_tenant.dwell_p99), pg::of(by_tenant.dwell_jobs)}));
    });
}

pg::Value load_test_metrics() {
    Counts const now = counts(false);
    pg::Value const age = oldest_age(true);
    return pg::with_spi([&] {
        return only_value(
            pg::execute(queue::sql::kLoadTestMetrics, {by_status(now.jobs, true), age, pg::of(now.exact)}));
    });
}

} // namespace fairq::metrics
