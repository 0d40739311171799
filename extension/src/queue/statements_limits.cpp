// The SQL texts of limits, concurrency keys and pauses (see statements.hpp).
#include "queue/statements.hpp"

// SQL is laid out by hand.
// clang-format off

namespace fairq::queue::sql {

// Locked jobs of tenant $1 that do not count for its cap: those that were claimed before it had one.
#define FAIRQ_UNMARKED                                                                                                 \
    "@job_leases l CROSS JOIN unnest(l.job_ids) AS a (id) JOIN @job_live j ON j.id = a.id AND "                       \
    "j.lock_token = l.lock_token WHERE j.tenant_id = $1 AND j.running_since IS NULL"

// tenant. Nobody waits for a job that somebody is finishing.
const Statement kMarkRunning{66, Plan::pinned, R"(
UPDATE @job_live SET running_since = locked_at
 WHERE id IN (SELECT j.id FROM )" FAIRQ_UNMARKED R"( FOR NO KEY UPDATE OF j SKIP LOCKED))",
    1, {TEXTOID}};

// tenant. First it is noted which transactions may still have claimed without the cap; when the last of them has ended
// and all jobs are marked, it is settled.
const Statement kSettle{67, Plan::pinned, R"(
UPDATE @tenant_limits
   SET settling = CASE WHEN settling = '0' THEN pg_snapshot_xmax(pg_current_snapshot()) END
 WHERE tenant_id = (SELECT tenant_id FROM @tenant_limits
                     WHERE tenant_id = $1
                       AND (settling = '0' OR (settling <= pg_snapshot_xmin(pg_current_snapshot())
                                               AND NOT EXISTS (SELECT FROM )" FAIRQ_UNMARKED R"()))
                       FOR NO KEY UPDATE SKIP LOCKED))",
    1, {TEXTOID}};

// ids, token, tenants: a cap that came while this very claim was under way
const Statement kMarkOwn{68, Plan::pinned, R"(
UPDATE @job_live j SET running_since = locked_at
  FROM unnest($1) AS a (id)
 WHERE j.id = a.id AND j.lock_token = $2 AND j.running_since IS NULL AND j.tenant_id = ANY ($3))",
    3, {INT8ARRAYOID, INT8OID, TEXTARRAYOID}};

// tenants, new arrival times. Under the tenants' locks, so nobody else writes these rows.
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

// tenant, key → tenant: the first of its parked jobs goes back to its place, if nobody holds the key
const Statement kUnpark{72, Plan::pinned, R"(
UPDATE @job_live SET position = parked_position, parked_position = NULL, updated_at = clock_timestamp()
 WHERE id = (SELECT id FROM @job_live
              WHERE tenant_id = $1 AND concurrency_key = $2 AND parked_position IS NOT NULL
              ORDER BY priority, parked_position LIMIT 1 FOR UPDATE SKIP LOCKED)
   AND NOT EXISTS (SELECT FROM @job_live WHERE tenant_id = $1 AND held_key = $2)
RETURNING tenant_id)",
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

// type, how many → their number, their tenants
const Statement kUnparkType{75, Plan::pinned, R"(
WITH picked AS (
    SELECT id FROM @job_live WHERE job_type = $1 AND parked_position IS NOT NULL AND concurrency_key IS NULL
     ORDER BY parked_position LIMIT $2 FOR UPDATE SKIP LOCKED
), moved AS (
    UPDATE @job_live j SET position = parked_position, parked_position = NULL, updated_at = clock_timestamp() FROM picked p WHERE j.id = p.id
    RETURNING j.tenant_id
)
SELECT count(*), array_agg(DISTINCT tenant_id) FROM moved)",
    2, {TEXTOID, INT4OID}};

} // namespace fairq::queue::sql
