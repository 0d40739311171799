// The SQL texts of why_not_running (see statements.hpp). They count up to 10,001: one more than is told.
#include "queue/statements.hpp"

// SQL is laid out by hand.
// clang-format off

namespace fairq::queue::sql {

// id → version of the row, status, tenant, type, priority, position, due, when it came into this state, attempts,
// max_attempts, error, concurrency key, run, stage, worker, heartbeat, the run's status and stage
const Statement kExplainLive{76, Plan::pinned, R"(
SELECT j.ctid::text || ' ' || j.xmin::text, array_position(enum_range(NULL::@job_status), j.status) - 1, j.tenant_id,
       j.job_type, j.priority::integer, j.position, j.due_at, j.updated_at, j.attempts, j.max_attempts, j.last_error,
       j.concurrency_key, j.run_id, j.stage, j.locked_by, l.heartbeat_at, r.status, r.stage
  FROM @job_live j
  LEFT JOIN @job_leases l ON l.lock_token = j.lock_token
  LEFT JOIN @pipeline_runs r ON r.id = j.run_id
 WHERE j.id = $1)",
    1, {INT8OID}};

#define FAIRQ_FINISHED(table) \
    "SELECT status::text, tenant_id, finished_at, attempts, max_attempts, last_error FROM @" table " WHERE id = $1 LIMIT 1"
// id → status, tenant, when, attempts, max_attempts, error
const Statement kExplainFinished{77, Plan::pinned, FAIRQ_FINISHED("job_history"), 1, {INT8OID}};
const Statement kExplainArchived{78, Plan::pinned, FAIRQ_FINISHED("job_archive"), 1, {INT8OID}};

// tenant, priority, position, paused types → jobs in front that a claim may take first, those that were looked at
const Statement kJobsAhead{79, Plan::pinned, R"(
SELECT count(*) FILTER (WHERE e.status = 'queued' AND e.job_type <> ALL ($4) AND NOT EXISTS (
                            SELECT FROM @job_live h WHERE h.tenant_id = $1 AND h.held_key = e.concurrency_key)),
       count(*)
  FROM (SELECT status, job_type, concurrency_key FROM @job_live
         WHERE tenant_id = $1 AND position IS NOT NULL AND (priority, position) < ($2::smallint, $3)
         ORDER BY priority, position LIMIT 10001) AS e)",
    4, {TEXTOID, INT4OID, INT8OID, TEXTARRAYOID}};

// run, stage → unfinished jobs
const Statement kJobsOfStage{86, Plan::pinned,
    "SELECT count(*) FROM (SELECT FROM @job_live WHERE run_id = $1 AND stage = $2 LIMIT 10001) AS s", 2, {INT8OID, INT4OID}};

} // namespace fairq::queue::sql
