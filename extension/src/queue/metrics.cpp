// Metrics: kept counts, never counted rows. Shared memory has the counts; when it has lost them (a restart, no preload),
// they are counted once, and put back if that can be done without making writers wait.
#include "queue/queue.hpp"
#include "queue/statements.hpp"

namespace fairq::queue {

namespace {

constexpr int kPatienceMs = 200; // for a moment without writers

struct Counts {
    pg::StatusCounts jobs;
    bool exact;
};

pg::StatusCounts counts_in(const pg::Rows &rows) {
    pg::StatusCounts counts;
    for (size_t row = 0; row < rows.size(); ++row) {
        int32 const status = rows.int32_at(row, 1);
        counts.by_status[0][status] = rows.int64_at(row, 2);
        counts.by_status[1][status] = rows.int64_at(row, 3);
    }
    return counts;
}

pg::StatusCounts count_all() {
    return pg::with_spi([] { return counts_in(pg::read_as_of_snapshot(sql::kCount)); });
}

struct FreshCount {
    Oid table;
    std::optional<uint64> generation;
};

// With no writer in progress: from here on every commit adds what it changes, and the snapshot has all that was before.
void begin(void *argument) {
    auto *const count = static_cast<FreshCount *>(argument);
    count->generation = pg::shared_state::begin_count(count->table, GetCurrentTimestamp());
    if (count->generation)
        PushActiveSnapshot(GetLatestSnapshot());
}

Counts counts() {
    FreshCount fresh{pg::live_table_oid(pg::schema()), std::nullopt};
    pg::StatusCounts kept;
    if (pg::shared_state::read(fresh.table, kept))
        return {kept, true};
    bool const can_keep = pg::shared_state::available() && !RecoveryInProgress() && !pg::counters::pending() &&
                          !IsolationUsesXactSnapshot();
    if (!can_keep || !pg::without_writers(fresh.table, kPatienceMs, begin, &fresh))
        return {count_all(), true};
    if (!fresh.generation) // somebody else is counting: what has been collected so far
        return {kept, false};
    pg::StatusCounts const counted = count_all();
    pg::call([] { PopActiveSnapshot(); });
    pg::shared_state::end_count(fresh.table, *fresh.generation, counted);
    return {counted, true};
}

pg::Value by_status(const pg::StatusCounts &counts, bool load_test) {
    // A commit may have added before another's had been seen: never show fewer than none.
    Ids numbers(std::begin(counts.by_status[load_test]), std::end(counts.by_status[load_test]));
    for (int64 &number : numbers)
        number = std::max<int64>(number, 0);
    return pg::of(numbers);
}

pg::Value oldest_age(bool load_test) {
    std::optional<TimestampTz> const oldest = pg::oldest_queued(pg::schema(), load_test);
    return oldest ? pg::of(int64{std::max<int64>(0, pg::now() - *oldest) / core::kSecond}) : pg::Value{};
}

// A result that outlives the SPI connection it came from.
pg::Value only_value(const pg::Rows &rows) {
    return pg::of_datum(pg::call([&] { return SPI_datumTransfer(rows.datum(0, 1), false, -1); }));
}

} // namespace

pg::Value queue_metrics() {
    Counts const now = counts();
    pg::Value const age = oldest_age(false);
    return pg::with_spi([&] {
        return only_value(pg::execute(sql::kQueueMetrics, {by_status(now.jobs, false), age, pg::of(now.exact),
                                                           pg::of(pg::shared_state::available())}));
    });
}

pg::Value load_test_metrics() {
    Counts const now = counts();
    pg::Value const age = oldest_age(true);
    return pg::with_spi([&] {
        return only_value(
            pg::execute(sql::kLoadTestMetrics, {by_status(now.jobs, true), age, pg::of(now.exact)}));
    });
}

} // namespace fairq::queue
