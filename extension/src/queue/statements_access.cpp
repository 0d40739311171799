// The SQL texts about tenant-bound roles (see statements.hpp).
#include "queue/statements.hpp"

// SQL is laid out by hand.
// clang-format off

namespace fairq::queue::sql {

// → role, capability, tenant (NULL: all)
const Statement kAccess{50, Plan::open, "SELECT role::oid::bigint, capability, tenant_id FROM @queue_access"};

// id, tenants → a row, when it is their job
const Statement kIsJobOfTenants{51, Plan::pinned, R"(
SELECT FROM @job_live WHERE id = $1 AND tenant_id = ANY ($2)
UNION ALL
SELECT FROM @job_history WHERE id = $1 AND tenant_id = ANY ($2)
 LIMIT 1)",
    2, {INT8OID, TEXTARRAYOID}};

// ids, tenants → those of them that are unfinished and theirs
const Statement kJobsOfTenants{52, Plan::pinned, R"(
SELECT j.id FROM unnest($1) AS a (id) JOIN @job_live j ON j.id = a.id WHERE j.tenant_id = ANY ($2))",
    2, {INT8ARRAYOID, TEXTARRAYOID}};

// token, now, tenants → jobs still held. A lease on anybody else's job as well is not theirs: kept alive by them, it
// would keep that job from being reclaimed.
const Statement kHeartbeatOfTenants{53, Plan::pinned, R"(
WITH held AS (
    SELECT count(*)::integer AS jobs, bool_and(j.tenant_id = ANY ($3)) AS theirs
      FROM @job_leases l, unnest(l.job_ids) AS a (id) JOIN @job_live j ON j.id = a.id AND j.lock_token = $1
     WHERE l.lock_token = $1
), beat AS (
    UPDATE @job_leases SET heartbeat_at = $2 WHERE lock_token = $1 AND (SELECT theirs FROM held)
)
SELECT CASE WHEN theirs THEN jobs ELSE 0 END FROM held)",
    3, {INT8OID, TIMESTAMPTZOID, TEXTARRAYOID}};

// tenants → JSON. What no index finds by tenant is not counted, it is null: completed and cancelled jobs. Costs as much
// as the tenants have unfinished and dead jobs, and all tenants have scheduled ones and such of pipelines.
const Statement kMetricsOfTenants{54, Plan::pinned, R"(
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
                                    FROM live WHERE status = 'queued'))::text)",
    1, {TEXTARRAYOID}};

} // namespace fairq::queue::sql
