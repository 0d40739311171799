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
// as the tenants have unfinished and dead jobs, and all tenants have such of pipelines.
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

// now, how many, from when on, tenants → as kPromote, for these tenants, each with the same luck. What others have due is
// not looked at: where rows are compared, the planner cannot mean the index of all tenants' due jobs.
const Statement kPromoteOfTenants{101, Plan::pinned, R"(
WITH due AS (
    SELECT j.id
      FROM (SELECT tenant FROM unnest($4) AS a (tenant) ORDER BY random()) AS own,
           LATERAL (SELECT id FROM @job_live
                     WHERE (tenant_id, due_at) >= (own.tenant, $3) AND (tenant_id, due_at) <= (own.tenant, $1)
                       AND due_at IS NOT NULL
                     ORDER BY tenant_id, due_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED) AS j
     LIMIT $2
), )" FAIRQ_PROMOTE,
    4, {TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID, TEXTARRAYOID}};

// stale before, behind which (locked at, token), how many, tenants → token, locked at, are its jobs theirs? Of each of the
// next ones; locks nothing
const Statement kStaleLeasesOfTenants{102, Plan::pinned, R"(
SELECT l.lock_token, l.locked_at,
       NOT EXISTS (SELECT FROM unnest(l.job_ids) AS a (id) JOIN @job_live j ON j.id = a.id AND j.lock_token = l.lock_token
                    WHERE j.tenant_id <> ALL ($5))
  FROM (SELECT lock_token, job_ids, locked_at FROM @job_leases
         WHERE locked_at < $1 AND heartbeat_at < $1 AND (locked_at, lock_token) > ($2, $3)
         ORDER BY locked_at, lock_token LIMIT $4) AS l
 ORDER BY l.locked_at, l.lock_token)",
    5, {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT4OID, TEXTARRAYOID}};

// token, stale before → as kStaleLeases, for that lease if it still is
const Statement kLockStaleLease{103, Plan::pinned, R"(
SELECT lock_token, worker_id, job_ids, locked_at FROM @job_leases
 WHERE lock_token = $1 AND heartbeat_at < $2 FOR UPDATE SKIP LOCKED)",
    2, {INT8OID, TIMESTAMPTZOID}};

} // namespace fairq::queue::sql
