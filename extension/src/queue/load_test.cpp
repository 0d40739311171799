// The load test's own data: seeding it, and taking away what it and its run made, and nothing else.
#include "queue/limits.hpp"
#include "queue/statements.hpp"

namespace fairq::queue {

namespace {

constexpr int kLoadTestAttempts = 5;
constexpr int64 kLoadTestTimeout = 5 * 60 * core::kSecond;

} // namespace

int64 seed_load_test(int total_jobs, int tenants) {
    Interval timeout = pg::interval_of(kLoadTestTimeout);
    return pg::with_spi([&] {
        pg::Rows const jobs = pg::execute(
            sql::kSeed, {pg::of(int32{total_jobs}), pg::of(int32{tenants}), pg::of_time(pg::now()),
                         pg::of(int32{kLoadTestAttempts}), pg::of_datum(IntervalPGetDatum(&timeout))});
        int64 const seeded = jobs.int64_at(0, 1);
        if (pending_is_used())
            pg::execute(sql::kSeedPending, {pg::of(int32{total_jobs}), pg::of(int32{tenants})});
        count_move(std::nullopt, JobStatus::queued, seeded, seeded);
        for (int tenant = 1; tenant <= std::min(tenants, total_jobs); ++tenant)
            lane_gained("tenant-" + std::to_string(tenant),
                        seeded / tenants + (tenant <= seeded % tenants ? 1 : 0), range_in(jobs, 0, 2));
        return seeded;
    });
}

int64 clear_load_test() {
    return pg::with_spi([] {
        bool const by_tenant = pending_is_used();
        pg::Rows const moves = pg::execute(sql::kClear, {pg::of(by_tenant)});
        int64 const cleared = count_moves(moves, std::nullopt);
        if (by_tenant)
            pending_moved(moves, -1);
        shared::ring::forget_skip_ranges_at_abort(tables::live_table_oid(pg::schema()));
        shared::ring::open_all_at_commit(tables::live_table_oid(pg::schema()));
        pg::execute(sql::kClearLeases);
        pg::execute(sql::kClearTicks);
        pg::execute(sql::kClearTotals);
        return cleared;
    });
}

} // namespace fairq::queue
