// Metrics: kept counts, never counted rows. Shared memory has the counts; when it has lost them (a restart,
// no preload), they are counted once, and put back if that can be done without making writers wait.
#include "metrics/metrics.hpp"

#include "core/elapsed.hpp"

namespace fairq::metrics {

namespace {

// SQL is laid out by hand.
// clang-format off

// → status, jobs, load-test jobs, tenant (of queued jobs); reads everything
const pg::Statement kCount{pg::Plan::open, R"(
SELECT array_position(enum_range(NULL::@job_status), status) - 1, jobs, load_test, tenant
  FROM (SELECT status, CASE WHEN status = 'queued' THEN tenant_id END AS tenant, count(*) AS jobs,
               count(*) FILTER (WHERE job_type = 'load_test') AS load_test
          FROM @job_live GROUP BY 1, 2
        UNION ALL
        SELECT status, NULL, count(*), count(*) FILTER (WHERE job_type = 'load_test') FROM @job_history GROUP BY 1) AS s)"};

// counts by status, oldest age in seconds or NULL, exact?, in shared memory?, tenants, queued counts exact?, quiet
// tenants' p50 and p99 in tenths of a millisecond or NULL, number of their jobs, failures of housekeeping
const pg::Statement kQueueMetrics{pg::Plan::pinned, R"(
SELECT jsonb_build_object(
    'queue_stats', (SELECT jsonb_object_agg(u.status, u.jobs)
                      FROM unnest(enum_range(NULL::@job_status)::text[], $1) AS u (status, jobs)),
    'oldest_queued_age_seconds', $2,
    'open_leases', (SELECT count(*) FROM @job_leases),
    'duplicate_count', (SELECT count(DISTINCT idempotency_key) FROM @channel_outbox
                         WHERE copy > 1 AND created_at > now() - interval '1 hour'),
    'exact', $3,
    'shared_memory', $4,
    'tenants', $5,
    'depths_exact', $6,
    'quiet_dwell_ms', jsonb_build_object('p50', $7 / 10.0::float8, 'p99', $8 / 10.0::float8, 'jobs', $9),
    'housekeeping', jsonb_build_object(
        'failing', (SELECT count(*) FROM (SELECT FROM @housekeeping_failures LIMIT 10000) AS f), 'failures', $10)))", {INT8ARRAYOID, INT8OID, BOOLOID, BOOLOID, JSONBOID, BOOLOID, INT8OID, INT8OID, INT8OID, INT8OID}};

// counts by status, oldest age in seconds or NULL, exact?
const pg::Statement kLoadTestMetrics{pg::Plan::pinned, R"(
WITH duplicates AS (
    SELECT count(DISTINCT idempotency_key) AS n FROM @channel_outbox
     WHERE copy > 1 AND created_at > now() - interval '1 hour'
)
SELECT jsonb_build_object(
    'queue_stats', (SELECT jsonb_object_agg(u.status, u.jobs)
                      FROM unnest(enum_range(NULL::@job_status)::text[], $1) AS u (status, jobs)),
    'oldest_queued_age_seconds', $2,
    'duplicate_count', duplicates.n,
    'worker_stats', (SELECT jsonb_build_object(
                         'worker_count', count(*), 'total_jobs_claimed', coalesce(sum(claimed), 0),
                         'total_jobs_completed', coalesce(sum(completed), 0), 'total_jobs_failed', coalesce(sum(failed), 0),
                         'workers', coalesce(jsonb_object_agg(name, jsonb_build_object(
                                        'claimed', claimed, 'completed', completed, 'failed', failed)), '{}'))
                       FROM @load_test_totals WHERE kind = 'worker'),
    'tenant_distribution', (SELECT coalesce(jsonb_object_agg(name, completed), '{}')
                              FROM @load_test_totals WHERE kind = 'tenant'),
    'pass_criteria', jsonb_build_object('LOAD2_duplicates_zero', duplicates.n = 0,
                                        'LOAD3_oldest_under_180s', coalesce($2 < 180, true)),
    'exact', $3)
  FROM duplicates)", {INT8ARRAYOID, INT8OID, BOOLOID}};

// tenants → JSON. What no index finds by tenant is not counted, it is null: completed and cancelled jobs. Costs as much
// as the tenants have unfinished and dead jobs, and all tenants have such of pipelines.
const pg::Statement kMetricsOfTenants{pg::Plan::pinned, R"(
WITH live AS MATERIALIZED (
    SELECT status, created_at FROM @job_live
     WHERE tenant_id = ANY ($1)
       AND (position IS NOT NULL OR parked_position IS NOT NULL OR running_since IS NOT NULL OR due_at IS NOT NULL
            OR run_id IS NOT NULL)
), counted AS (
    SELECT status::text, count(*) AS jobs FROM live GROUP BY status
    UNION ALL
    SELECT 'dead', count(*) FROM @job_history WHERE status = 'dead' AND tenant_id = ANY ($1)
)
SELECT jsonb_build_object(
    'queue_stats', (SELECT jsonb_object_agg(s.name, CASE WHEN s.name NOT IN ('completed', 'cancelled')
                                                         THEN coalesce(c.jobs, 0) END)
                      FROM unnest(enum_range(NULL::@job_status)::text[]) AS s (name) LEFT JOIN counted c ON c.status = s.name),
    'oldest_queued_age_seconds', (SELECT CASE WHEN count(*) > 0 THEN
                                         greatest(0, floor(extract(epoch FROM clock_timestamp() - min(created_at))))::bigint END
                                    FROM live WHERE status = 'queued'))::text)", {TEXTARRAYOID}};

// clang-format on

constexpr int kPatienceMs = 20;                       // for a moment without writers
constexpr int64 kCountAgain = 5 * 60 * core::kSecond; // for what was written directly in the tables
constexpr int64 kReuse = 10 * core::kSecond;          // of a count that could not be kept

Counts counts_in(const pg::Rows &rows) {
    Counts counts{{}, true, QueuedCounts()};
    for (size_t row = 0; row < rows.size(); ++row) {
        int32 const status = rows.int32_at(row, queue::Moves::old_status);
        counts.jobs.by_status[0][status] += rows.int64_at(row, queue::Moves::jobs);
        counts.jobs.by_status[1][status] += rows.int64_at(row, queue::Moves::load_test_jobs);
        if (!rows.is_null(row, queue::Moves::tenant))
            counts.queued_counts->emplace(rows.text_at(row, queue::Moves::tenant),
                                          rows.int64_at(row, queue::Moves::jobs));
    }
    return counts;
}

Counts count_all() {
    return pg::with_spi([] { return counts_in(pg::read_as_of_snapshot(kCount)); });
}

struct FreshCount {
    Oid table;
    std::optional<uint64> generation;
    uint64 queued_counts;
};

// Begins a count while no writer is in progress: from here on every commit adds its changes, and the snapshot has all
// earlier ones.
void begin(void *argument) {
    auto *const count = static_cast<FreshCount *>(argument);
    count->generation = shared::queue_state::begin_count(count->table, GetCurrentTimestamp());
    if (!count->generation)
        return;
    count->queued_counts = shared::queued_counts::begin_count(count->table);
    PushActiveSnapshot(GetLatestSnapshot());
}

// Counts all jobs and, if no writer is in the way, puts the counts into shared memory. Else only this session keeps
// them, for a while.
Counts count_anew(Oid table) {
    static struct {
        Oid table;
        TimestampTz at;
        Counts counts;
    } own;
    TimestampTz const now = pg::now();
    if (own.table == table && !core::has_elapsed(kReuse, own.at, now))
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
    // A commit may have subtracted jobs before the commit that added them was seen: never show less than 0.
    queue::Ids numbers(std::begin(counts.by_status[load_test]), std::end(counts.by_status[load_test]));
    for (int64 &number : numbers)
        number = std::max<int64>(number, 0);
    return pg::of(numbers);
}

pg::Value oldest_age(bool load_test) {
    std::optional<TimestampTz> const oldest = tables::oldest_queued(pg::schema(), load_test);
    return oldest ? pg::of(int64{std::max<int64>(0, pg::now() - *oldest) / core::kSecond}) : pg::Value{};
}

pg::Value metrics_of_tenants(const std::vector<std::string> &tenants) {
    std::string const json = pg::with_spi([&] {
        return pg::execute(kMetricsOfTenants, {queue::array_of(&tenants)}).text_at(0, pg::kOnlyColumn);
    });
    return pg::of_jsonb(json);
}

} // namespace

pg::Value only_value(const pg::Rows &rows) {
    Datum const value = rows.reference(0, pg::kOnlyColumn);
    return pg::of_datum(pg::call([&] { return SPI_datumTransfer(value, false, -1); }));
}

Counts counts(bool by_tenant) {
    Oid const table = tables::live_table_oid(pg::schema());
    std::optional<shared::StatusCounts> const own_changes = shared::counters::pending();
    shared::queue_state::KnownCounts kept = shared::queue_state::read(table);
    bool const can_keep =
        shared::queue_state::available() && !RecoveryInProgress() && !IsolationUsesXactSnapshot();
    bool const no_place = by_tenant && !shared::ring::available(); // for queued counts: fairq.ring_lanes is 0
    bool const known = kept.exact && (!by_tenant || shared::ring::queued_counts_known(table));
    if (!can_keep || no_place || (own_changes && !known))
        return count_all();
    if (!own_changes && !(known && !core::has_elapsed(kCountAgain, kept.counted_at, pg::now())))
        return count_anew(table);
    if (own_changes)
        add(kept.counts, *own_changes);
    return {kept.counts, kept.exact, std::nullopt};
}

pg::Value queue_metrics(const queue::Tenants &of) {
    if (of)
        return metrics_of_tenants(*of);
    Counts const now = counts(true);
    TenantFigures const by_tenant = tenants(now);
    pg::Value const age = oldest_age(false);
    return pg::with_spi([&] {
        return only_value(pg::execute(
            kQueueMetrics,
            {by_status(now.jobs, false), age, pg::of(now.exact), pg::of(shared::queue_state::available()),
             by_tenant.json, pg::of(by_tenant.exact), pg::of(by_tenant.dwell_p50),
             pg::of(by_tenant.dwell_p99), pg::of(by_tenant.dwell_jobs),
             pg::of(shared::queue_state::failures(tables::live_table_oid(pg::schema())))}));
    });
}

pg::Value load_test_metrics() {
    Counts const now = counts(false);
    pg::Value const age = oldest_age(true);
    return pg::with_spi([&] {
        return only_value(pg::execute(kLoadTestMetrics, {by_status(now.jobs, true), age, pg::of(now.exact)}));
    });
}

} // namespace fairq::metrics
