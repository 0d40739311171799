// The SQL texts of limits and of what waits (see statements.hpp).
#include "queue/statements.hpp"

// SQL is laid out by hand.
// clang-format off

namespace fairq::queue::sql {

// -------------------------------------------------------------------------------------------------- set_tenant_limits

// A row to change: waits for whoever is making it just now.
const Statement kAddLimits{56, Plan::pinned, "INSERT INTO @tenant_limits (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING",
                           1, {TEXTOID}};

// tenant, weight, max_concurrency, rate, burst, max_pending, paused, enqueue rate and burst: NULL leaves, 0 removes
// → has it a rate?, an enqueue rate? It waits for the one before it and goes on from what that one left.
const Statement kSetLimits{57, Plan::pinned, R"(
UPDATE @tenant_limits
   SET weight = coalesce($2, weight),
       max_concurrency = nullif(coalesce($3, max_concurrency), 0),
       rate_per_second = nullif(coalesce($4, rate_per_second), 0),
       burst = CASE WHEN coalesce($4, rate_per_second) > 0 THEN coalesce($5, burst, greatest(1, ceil($4))::integer) END,
       max_pending = nullif(coalesce($6, max_pending), 0),
       paused = coalesce($7, paused),
       enqueue_rate_per_second = nullif(coalesce($8, enqueue_rate_per_second), 0),
       enqueue_burst = CASE WHEN coalesce($8, enqueue_rate_per_second) > 0
                            THEN coalesce($9, enqueue_burst, greatest(1, ceil($8))::integer) END,
       settling = CASE WHEN $3 = 0 THEN NULL
                       WHEN $3 > 0 AND max_concurrency IS NULL THEN '0'::xid8
                       ELSE settling END
 WHERE tenant_id = $1
RETURNING rate_per_second IS NOT NULL, enqueue_rate_per_second IS NOT NULL)",
    9, {TEXTOID, INT4OID, INT4OID, FLOAT8OID, INT4OID, INT8OID, BOOLOID, FLOAT8OID, INT4OID}};

// tenant, side. A row that is in use stays, for nobody to look at.
const Statement kDropRate{58, Plan::pinned, R"(
DELETE FROM @tenant_rates
 WHERE ctid = ANY (ARRAY(SELECT ctid FROM @tenant_rates WHERE tenant_id = $1 AND side = $2 FOR UPDATE SKIP LOCKED)))",
    2, {TEXTOID, TEXTOID}};

const Statement kPauseType{99, Plan::pinned, R"(
INSERT INTO @paused_job_types AS p (job_type) VALUES ($1) ON CONFLICT (job_type) DO UPDATE SET resuming = false WHERE p.resuming)",
    1, {TEXTOID}};
const Statement kResumeType{100, Plan::pinned,
    "UPDATE @paused_job_types SET resuming = true WHERE job_type = $1 AND NOT resuming", 1, {TEXTOID}};

// -------------------------------------------------------------------------------------------------- what waits

// tenant: makes its sum right, by what is missing. Nothing is deleted, so nobody who folds is in the way.
const Statement kCountPending{59, Plan::pinned, R"(
INSERT INTO @tenant_pending (tenant_id, change)
SELECT $1, c.missing
  FROM (SELECT (SELECT count(*) FROM @job_live WHERE tenant_id = $1 AND position IS NOT NULL AND status = 'queued')
             + (SELECT count(*) FROM @job_live WHERE tenant_id = $1 AND parked_position IS NOT NULL)
             + (SELECT count(*) FROM @job_live WHERE tenant_id = $1 AND due_at IS NOT NULL)
             + (SELECT count(*) FROM @job_live WHERE tenant_id = $1 AND run_id IS NOT NULL AND status = 'blocked')
             - coalesce((SELECT sum(change) FROM @tenant_pending WHERE tenant_id = $1), 0)) AS c (missing)
 WHERE c.missing <> 0)",
    1, {TEXTOID}};

// tenant. Rows that somebody is folding stay; the next count takes them into account.
const Statement kDropPending{60, Plan::pinned, R"(
DELETE FROM @tenant_pending
 WHERE ctid = ANY (ARRAY(SELECT ctid FROM @tenant_pending WHERE tenant_id = $1 FOR UPDATE SKIP LOCKED)))",
    1, {TEXTOID}};

// tenants, changes: a tenant may come several times
const Statement kAddPending{61, Plan::pinned, R"(
INSERT INTO @tenant_pending (tenant_id, change)
SELECT i.tenant, sum(i.change) FROM unnest($1, $2) AS i (tenant, change)
 GROUP BY i.tenant HAVING sum(i.change) <> 0
RETURNING tenant_id)",
    2, {TEXTARRAYOID, INT8ARRAYOID}};

// ids of unfinished jobs, the change that each of them makes
const Statement kAddPendingOf{62, Plan::pinned, R"(
INSERT INTO @tenant_pending (tenant_id, change)
SELECT j.tenant_id, $2 * count(*)
  FROM unnest($1) AS a (id)
  JOIN @job_live j ON j.id = a.id
  JOIN @tenant_limits l ON l.tenant_id = j.tenant_id AND l.max_pending IS NOT NULL
 GROUP BY j.tenant_id
RETURNING tenant_id)",
    2, {INT8ARRAYOID, INT8OID}};

// tenants → waiting, rows that were added up, in the order of the tenants
const Statement kWaiting{63, Plan::pinned, R"(
SELECT coalesce(sum(p.change), 0)::bigint, count(p.change)
  FROM unnest($1) WITH ORDINALITY AS i (tenant, n) LEFT JOIN @tenant_pending p ON p.tenant_id = i.tenant
 GROUP BY i.n ORDER BY i.n)",
    1, {TEXTARRAYOID}};

// tenant: many rows become one with their sum. Never waits; a rollback gives the rows back.
const Statement kFoldPending{64, Plan::pinned, R"(
WITH folded AS (
    DELETE FROM @tenant_pending
     WHERE ctid = ANY (ARRAY(SELECT ctid FROM @tenant_pending WHERE tenant_id = $1 LIMIT 1000 FOR UPDATE SKIP LOCKED))
    RETURNING change
)
INSERT INTO @tenant_pending (tenant_id, change)
SELECT $1, sum(change) FROM folded HAVING sum(change) <> 0)",
    1, {TEXTOID}};

// jobs, tenants: what kSeed added
const Statement kSeedPending{98, Plan::open, R"(
INSERT INTO @tenant_pending (tenant_id, change)
SELECT l.tenant_id, $1 / $2 + CASE WHEN n <= $1 % $2 THEN 1 ELSE 0 END
  FROM generate_series(1, least($1, $2)) AS n
  JOIN @tenant_limits l ON l.tenant_id = 'tenant-' || n AND l.max_pending IS NOT NULL)",
    2, {INT4OID, INT4OID}};

// -------------------------------------------------------------------------------------------------- rates of enqueues

// tenants in the order of their names, now → tenant, due; locks the rows until the transaction ends
const Statement kLockRates{65, Plan::pinned, R"(
INSERT INTO @tenant_rates AS r (tenant_id, side, due_at)
SELECT i.tenant, 'enqueue', $2 FROM unnest($1) AS i (tenant)
    ON CONFLICT (tenant_id, side) DO UPDATE SET due_at = r.due_at
RETURNING tenant_id, due_at)",
    2, {TEXTARRAYOID, TIMESTAMPTZOID}};

// tenant, due
const Statement kChargeRate{96, Plan::pinned,
    "UPDATE @tenant_rates SET due_at = $2 WHERE tenant_id = $1 AND side = 'enqueue'", 2, {TEXTOID, TIMESTAMPTZOID}};

// tenants, keys, ids, kept ids: takes back the keys of the jobs that were refused
const Statement kDropKeys{97, Plan::pinned, R"(
DELETE FROM @job_keys k
 USING unnest($1, $2, $3, $4) AS i (tenant, key, id, kept)
 WHERE i.kept = 0 AND k.tenant_id = i.tenant AND k.idempotency_key = i.key AND k.job_id = i.id)",
    4, {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID}};

} // namespace fairq::queue::sql
