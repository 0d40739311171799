// The load test's own data: makes its jobs, and deletes these and all that their run has left, and nothing else.
#include "queue/failures.hpp"
#include "queue/limits.hpp"
#include "tables/dead_ranges.hpp"

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

// jobs, tenants, now, max_attempts, timeout → how many, the first and the last place
const pg::Statement kSeed{pg::Plan::pinned, R"(
WITH seeded AS (
INSERT INTO @job_live (id, tenant_id, job_type, status, priority, payload, run_at, max_attempts, timeout, created_at,
                       updated_at, position, queue)
SELECT s.id, 'tenant-' || 1 + (s.n - 1) % $2, 'load_test', 'queued', 0, jsonb_build_object('work_ms', 10, 'n', s.n), $3, $4,
       $5, $3, $3, s.id, 'default'
  FROM (SELECT n, nextval('@job_live_id_seq') AS id FROM generate_series(1, $1) AS n) AS s
RETURNING )" FAIRQ_PLACE("position") R"( AS place
)
SELECT count(*), min(place), max(place) FROM seeded)", {INT4OID, INT4OID, TIMESTAMPTZOID, INT4OID, INTERVALOID}};
struct Seeded {
    enum Column { jobs = 1, first_place, last_place };
};

// behind which id, how many → ids. Locks unfinished jobs in the order in which completions do.
const pg::Statement kUnfinished{pg::Plan::pinned, "SELECT id FROM @job_live WHERE id > $1 AND job_type = 'load_test' ORDER BY id LIMIT $2 FOR UPDATE", {INT8OID, INT4OID}};
const pg::Statement kFinished{pg::Plan::pinned, "SELECT id FROM @job_history WHERE id > $1 AND job_type = 'load_test' ORDER BY id LIMIT $2", {INT8OID, INT4OID}};

// ids, by tenant? → status, jobs, load-test jobs, tenant. What hangs on the jobs goes with them.
#define FAIRQ_CLEAR(table)                                                                                   \
    "WITH gone AS (DELETE FROM @" table " j USING unnest($1) AS a (id)"                                      \
    " WHERE j.id = a.id AND j.job_type = 'load_test' RETURNING j.id, j.status, j.tenant_id),"                \
    " messages AS (DELETE FROM @channel_outbox o USING gone g WHERE o.job_id = g.id),"                       \
    " keys AS (DELETE FROM @job_keys k USING gone g WHERE k.job_id = g.id) "                                 \
    "SELECT array_position(enum_range(NULL::@job_status), status) - 1, count(*), count(*), CASE WHEN $2 THEN tenant_id END" \
    "  FROM gone GROUP BY 1, 4"
const pg::Statement kClearUnfinished{pg::Plan::open, FAIRQ_CLEAR("job_live"), {INT8ARRAYOID, BOOLOID}};
const pg::Statement kClearFinished{pg::Plan::open, FAIRQ_CLEAR("job_history"), {INT8ARRAYOID, BOOLOID}};

// SKIP LOCKED: a call that has jobs locked waits for no lease.
const pg::Statement kClearLeases{pg::Plan::open, R"(
DELETE FROM @job_leases
 WHERE lock_token = ANY (ARRAY(
    SELECT lock_token FROM @job_leases l
     WHERE NOT EXISTS (SELECT FROM unnest(l.job_ids) AS a (id) JOIN @job_live j ON j.id = a.id AND j.lock_token = l.lock_token)
       FOR UPDATE SKIP LOCKED)))"};

const pg::Statement kClearTicks{pg::Plan::open,
    "DELETE FROM @campaign_audit_log WHERE event_type IN ('job_queue_tick', 'job_queue_tick_late') AND (details ->> 'load_test')::boolean"};

const pg::Statement kClearTotals{pg::Plan::open, "DELETE FROM @load_test_totals"};

// clang-format on

constexpr int64 kPartOfTime = 4, kShortLook = 100 * core::kMillisecond;
constexpr int kLoadTestAttempts = 5;
constexpr int64 kLoadTestTimeout = 5 * 60 * core::kSecond;
constexpr int kClearedAtFirst = 1000;
constexpr int kClearedAtOnce = 50000;

// In chunks, so that a call with a statement_timeout ends in time, with a part of the work done.
int64 clear(const pg::Statement &next, const pg::Statement &remove, core::Budget &budget) {
    bool const by_tenant = pending_is_used();
    int64 cleared = 0, behind = INT64_MIN;
    while (!budget.spent(pg::monotonic_now())) {
        pg::check_interrupts();
        int const most = std::min(budget.chunk(), kClearedAtOnce);
        int64 const began = pg::monotonic_now();
        Ids const jobs = ids_in(pg::execute(next, {pg::of(behind), pg::of(int32{most})}));
        if (jobs.empty())
            break;
        pg::Rows const moves = pg::execute(remove, {pg::of(jobs), pg::of(by_tenant)});
        cleared += count_moves(moves, std::nullopt);
        if (by_tenant)
            pending_moved(moves, -1);
        budget.used(static_cast<int>(jobs.size()), began, pg::monotonic_now());
        behind = jobs.back();
    }
    return cleared;
}

// Otherwise the claims to come would walk over all that was deleted until vacuum has removed it. Looking for it takes at
// most a quarter of the time that the deletion took, since `began` by the monotonic clock.
void tell_dead_ranges(int64 began) {
    Oid const queue = tables::live_table_oid(pg::schema());
    if (!shared::ring::available())
        return;
    shared::ring::Clocks const clocks = shared::ring::ring_clocks(queue);
    int64 const longest = (pg::monotonic_now() - began) / kPartOfTime + kShortLook;
    for (tables::DeadRanges &lane : tables::dead_ranges(pg::schema(), longest))
        if (auto const clock = clocks.find(lane.queue); clock != clocks.end())
            shared::ring::skip_at_commit(queue, {lane.queue, lane.tenant}, std::move(lane.ranges),
                                         clock->second);
}

} // namespace

int64 seed_load_test(int total_jobs, int tenants) {
    Interval timeout = pg::interval_of(kLoadTestTimeout);
    return pg::with_spi([&] {
        pg::Rows const jobs =
            pg::execute(kSeed, {pg::of(int32{total_jobs}), pg::of(int32{tenants}), pg::of_time(pg::now()),
                                pg::of(int32{kLoadTestAttempts}), pg::of_datum(IntervalPGetDatum(&timeout))});
        int64 const seeded = jobs.int64_at(0, Seeded::jobs);
        if (seeded != total_jobs)
            pg::raise_row_swallowed("job_live");
        core::KeyRange const range = range_in(jobs, 0, Seeded::first_place);
        count_move(std::nullopt, JobStatus::queued, seeded, seeded);
        std::vector<std::string> names;
        Ids changes;
        for (int tenant = 1; tenant <= std::min(tenants, total_jobs); ++tenant) {
            names.push_back("tenant-" + std::to_string(tenant));
            changes.push_back(seeded / tenants + (tenant <= seeded % tenants ? 1 : 0));
            lane_gained({core::kDefaultQueue, names.back()}, changes.back(), range);
        }
        pending_changed({names.begin(), names.end()}, changes);
        return seeded;
    });
}

int64 clear_load_test() {
    int64 const began = pg::monotonic_now();
    return pg::with_spi([&] {
        core::Budget budget = budget_of_caller(INT32_MAX, kClearedAtFirst);
        int64 cleared = clear(kUnfinished, kClearUnfinished, budget);
        cleared += clear(kFinished, kClearFinished, budget);
        shared::ring::forget_skip_ranges_at_abort(tables::live_table_oid(pg::schema()));
        shared::ring::open_all_at_commit(tables::live_table_oid(pg::schema()), core::HoldReason::limits);
        if (cleared > 0)
            tell_dead_ranges(began);
        if (budget.spent(pg::monotonic_now()))
            return cleared; // the rest is for the next call
        pg::execute(kClearLeases);
        pg::execute(kClearTicks);
        pg::execute(kClearTotals);
        return cleared;
    });
}

} // namespace fairq::queue
