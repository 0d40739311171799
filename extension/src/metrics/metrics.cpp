// Metrics: the answers as JSON. counts.cpp counts the jobs.
#include "metrics/metrics.hpp"

#include "queue/handlers.hpp"

namespace fairq::metrics {

namespace {

// SQL is laid out by hand.
// clang-format off

// counts by status, oldest age in seconds or NULL, exact?, in shared memory?, tenants, source of the queued counts, quiet
// tenants' p50 and p99 in tenths of a millisecond or NULL, number of their jobs,
// source of the counts, handlers that cannot run, failures of housekeeping, queued jobs by queue (NULL: unknown)
const pg::Statement kQueueMetrics{pg::Plan::pinned, R"(
SELECT jsonb_build_object(
    'queue_stats', (SELECT jsonb_object_agg(u.status, u.jobs)
                      FROM unnest(enum_range(NULL::@job_status)::text[], $1) AS u (status, jobs)),
    'oldest_queued_age_seconds', $2,
    'open_leases', (SELECT count(*) FROM @job_leases),
    'duplicate_count', (SELECT count(DISTINCT idempotency_key) FROM @channel_outbox
                         WHERE copy > 1 AND created_at > now() - interval '1 hour'),
    'exact', $3,
    'source', $10,
    'handlers_gone', $11,
    'shared_memory', $4,
    'tenants', $5,
    'queues', $13,
    'depths_source', $6,
    'quiet_dwell_ms', jsonb_build_object('p50', $7 / 10.0::float8, 'p99', $8 / 10.0::float8, 'jobs', $9),
    'housekeeping', jsonb_build_object(
        'failing', (SELECT count(*) FROM (SELECT FROM @housekeeping_failures LIMIT 10000) AS f), 'failures', $12)))", {INT8ARRAYOID, INT8OID, BOOLOID, BOOLOID, JSONBOID, TEXTOID, INT8OID, INT8OID, INT8OID, TEXTOID, INT8OID, INT8OID, JSONBOID}};

// counts by status, oldest age in seconds or NULL, exact?, source of the counts
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
    'exact', $3,
    'source', $4)
  FROM duplicates)", {INT8ARRAYOID, INT8OID, BOOLOID, TEXTOID}};

// tenants → JSON. What no index finds by tenant is not counted, it is null: completed and cancelled jobs. Costs as much
// as the tenants have unfinished and dead jobs, and all tenants have such of pipelines.
const pg::Statement kMetricsOfTenants{pg::Plan::pinned, R"(
WITH live AS MATERIALIZED (
    SELECT status, created_at FROM @job_live
     WHERE tenant_id = ANY ($1)
       AND ((position IS NOT NULL AND queue = ANY ()" FAIRQ_QUEUES R"()) OR parked_position IS NOT NULL OR running_since IS NOT NULL OR due_at IS NOT NULL
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

pg::Value by_status(const shared::StatusCounts &counts, bool load_test) {
    // A commit may have subtracted jobs before the commit that added them was seen: never show less than 0.
    queue::Ids numbers(std::begin(counts.by_status[load_test]), std::end(counts.by_status[load_test]));
    for (int64 &number : numbers)
        number = std::max<int64>(number, 0);
    return pg::of(numbers);
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

pg::Value oldest_age(bool load_test) {
    std::optional<TimestampTz> const oldest = tables::oldest_queued(pg::schema(), load_test);
    return oldest ? pg::of(int64{std::max<int64>(0, pg::now() - *oldest) / core::kSecond}) : pg::Value{};
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
            {by_status(now.jobs, false), age, pg::of(now.source == Source::counted),
             pg::of(shared::queue_state::available()), by_tenant.json, pg::of(by_tenant.depths),
             pg::of(by_tenant.dwell_p50), pg::of(by_tenant.dwell_p99), pg::of(by_tenant.dwell_jobs),
             pg::of(name_of(now.source)), pg::of(queue::gone_handlers()),
             pg::of(shared::queue_state::failures(tables::live_table_oid(pg::schema()))), by_tenant.queues}));
    });
}

pg::Value load_test_metrics() {
    Counts const now = counts(false);
    pg::Value const age = oldest_age(true);
    return pg::with_spi([&] {
        return only_value(pg::execute(kLoadTestMetrics,
                                      {by_status(now.jobs, true), age, pg::of(now.source == Source::counted),
                                       pg::of(name_of(now.source))}));
    });
}

} // namespace fairq::metrics
