// The SQL texts of limits, concurrency keys and pauses (see statements.hpp).
#include "queue/statements.hpp"

// SQL is laid out by hand.
// clang-format off

namespace fairq::queue::sql {

// Locked jobs of tenants $1 that do not count for their caps: those that were claimed before there was one.
#define FAIRQ_UNCOUNTED                                                                                                 \
    "@job_leases l CROSS JOIN unnest(l.job_ids) AS a (id) JOIN @job_live j ON j.id = a.id AND "                       \
    "j.lock_token = l.lock_token WHERE j.tenant_id = ANY ($1) AND j.running_since IS NULL"

// tenants → tenant, how many are left uncounted. Nobody waits for a job that somebody is finishing.
const Statement kMarkRunning{66, Plan::pinned, R"(
WITH uncounted AS MATERIALIZED (
    SELECT j.id, j.tenant_id, j.lock_token FROM )" FAIRQ_UNCOUNTED R"(
), marked AS (
    UPDATE @job_live SET running_since = locked_at
     WHERE id IN (SELECT j.id FROM uncounted u JOIN @job_live j ON j.id = u.id AND j.lock_token = u.lock_token
                   WHERE j.running_since IS NULL FOR NO KEY UPDATE OF j SKIP LOCKED)
    RETURNING tenant_id
)
SELECT tenant_id, sum(n)::integer
  FROM (SELECT tenant_id, 1 FROM uncounted UNION ALL SELECT tenant_id, -1 FROM marked) AS c (tenant_id, n)
 GROUP BY tenant_id HAVING sum(n) > 0)",
    1, {TEXTARRAYOID}};

// tenants → how many; for who only wants to know
const Statement kCountUncounted{85, Plan::pinned, "SELECT count(*)::integer FROM " FAIRQ_UNCOUNTED, 1, {TEXTARRAYOID}};

// tenants. First it is noted which transactions may still have claimed without the cap; when the last of them has ended
// and all jobs are marked, it is settled.
const Statement kEndCapPending{67, Plan::pinned, R"(
UPDATE @tenant_limits
   SET cap_pending_since = CASE WHEN cap_pending_since = '0' THEN pg_snapshot_xmax(pg_current_snapshot()) END
 WHERE tenant_id IN (SELECT tenant_id FROM @tenant_limits
                      WHERE tenant_id = ANY ($1)
                        AND (cap_pending_since = '0' OR (cap_pending_since <= pg_snapshot_xmin(pg_current_snapshot())
                                                AND tenant_id NOT IN (SELECT j.tenant_id FROM )" FAIRQ_UNCOUNTED R"()))
                      ORDER BY tenant_id FOR NO KEY UPDATE SKIP LOCKED))",
    1, {TEXTARRAYOID}};

// ids, token, tenants: a cap that came while this very claim was under way
const Statement kMarkOwn{68, Plan::pinned, R"(
UPDATE @job_live j SET running_since = locked_at
  FROM unnest($1) AS a (id)
 WHERE j.id = a.id AND j.lock_token = $2 AND j.running_since IS NULL AND j.tenant_id = ANY ($3))",
    3, {INT8ARRAYOID, INT8OID, TEXTARRAYOID}};

// tenants, new arrival times. Under the tenants' locks, so nobody else writes these rows. For those without a row yet, and for
// a tenant_rates with triggers and the like
const Statement kChargeRates{69, Plan::pinned, R"(
INSERT INTO @tenant_rates (tenant_id, side, due_at)
SELECT i.tenant, 'claim', i.due_at FROM unnest($1, $2) AS i (tenant, due_at) ORDER BY i.tenant COLLATE "C"
    ON CONFLICT (tenant_id, side) DO UPDATE SET due_at = excluded.due_at)",
    2, {TEXTARRAYOID, TIMESTAMPTZARRAYOID}};

const Statement kPausedTypes{70, Plan::pinned, "SELECT job_type FROM @paused_job_types ORDER BY job_type"};

// ids that this transaction has locked
const Statement kPark{71, Plan::pinned, R"(
UPDATE @job_live j SET parked_position = j.position, position = NULL
  FROM unnest($1) AS a (id) WHERE j.id = a.id AND j.status = 'queued' AND j.position IS NOT NULL)",
    1, {INT8ARRAYOID}};

// tenant, key → place: the first of its parked jobs goes back to its place, if nobody holds the key
const Statement kUnpark{72, Plan::pinned, R"(
UPDATE @job_live SET position = parked_position, parked_position = NULL, updated_at = clock_timestamp()
 WHERE id = (SELECT id FROM @job_live
              WHERE tenant_id = $1 AND concurrency_key = $2 AND parked_position IS NOT NULL
              ORDER BY priority, parked_position LIMIT 1 FOR UPDATE SKIP LOCKED)
   AND NOT EXISTS (SELECT FROM @job_live WHERE tenant_id = $1 AND held_key = $2)
RETURNING )" FAIRQ_PLACE("position") R"()",
    2, {TEXTOID, TEXTOID}};

// tenant, key → the next ones that have parked jobs
const Statement kNextParkedKey{73, Plan::pinned, R"(
SELECT tenant_id, concurrency_key FROM @job_live
 WHERE parked_position IS NOT NULL AND concurrency_key IS NOT NULL AND (tenant_id, concurrency_key) > ($1, $2)
 ORDER BY tenant_id, concurrency_key LIMIT 1)",
    2, {TEXTOID, TEXTOID}};

// type → the next one that has jobs parked for being paused
const Statement kNextParkedType{74, Plan::pinned, R"(
SELECT job_type FROM @job_live
 WHERE parked_position IS NOT NULL AND concurrency_key IS NULL AND job_type > $1 ORDER BY job_type LIMIT 1)",
    1, {TEXTOID}};

// type, how many, tenants (NULL: all) → of each tenant and priority their number, its name, the first and the last place.
// Ten times as many are looked at.
const Statement kUnparkType{75, Plan::pinned, R"(
WITH picked AS (
    SELECT j.id
      FROM (SELECT id FROM @job_live WHERE job_type = $1 AND parked_position IS NOT NULL AND concurrency_key IS NULL
             ORDER BY parked_position LIMIT 10 * $2) AS first
      JOIN @job_live j ON j.id = first.id
     WHERE j.parked_position IS NOT NULL AND ($3 IS NULL OR j.tenant_id = ANY ($3))
     LIMIT $2 FOR UPDATE OF j SKIP LOCKED
), moved AS (
    UPDATE @job_live j SET position = parked_position, parked_position = NULL, updated_at = clock_timestamp() FROM picked p WHERE j.id = p.id
    RETURNING j.tenant_id, j.priority, )" FAIRQ_PLACE("j.position") R"( AS place
)
SELECT count(*), tenant_id, min(place), max(place) FROM moved GROUP BY tenant_id, priority)",
    3, {TEXTOID, INT4OID, TEXTARRAYOID}};
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
       cap_pending_since = CASE WHEN $3 = 0 THEN NULL
                       WHEN $3 > 0 AND max_concurrency IS NULL THEN '0'::xid8
                       ELSE cap_pending_since END
 WHERE tenant_id = $1
RETURNING rate_per_second IS NOT NULL, enqueue_rate_per_second IS NOT NULL)",
    9, {TEXTOID, INT4OID, INT4OID, FLOAT8OID, INT4OID, INT8OID, BOOLOID, FLOAT8OID, INT4OID}};

// tenant, side. A row that is in use stays, for nobody to look at.
const Statement kDropRate{58, Plan::pinned, R"(
DELETE FROM @tenant_rates
 WHERE ctid = ANY (ARRAY(SELECT ctid FROM @tenant_rates WHERE tenant_id = $1 AND side = $2 FOR UPDATE SKIP LOCKED)))",
    2, {TEXTOID, TEXTOID}};

const Statement kPauseType{99, Plan::pinned, "INSERT INTO @paused_job_types (job_type) VALUES ($1) ON CONFLICT DO NOTHING", 1,
                           {TEXTOID}};
const Statement kResumeType{100, Plan::pinned, "DELETE FROM @paused_job_types WHERE job_type = $1", 1, {TEXTOID}};

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
