// The SQL texts of pipeline runs (see statements.hpp). What locks a run, and how: who enqueues into it FOR
// KEY SHARE, who ends a job or starts the run changes no key, so neither waits for the other; a step takes
// the run FOR UPDATE, SKIP LOCKED, so while one decides that a stage has passed, nobody is adding to it.
#include "queue/statements.hpp"

// SQL is laid out by hand.
// clang-format off

#define FAIRQ_RUN "id, status = 'failed', stage, step_stage, step_priority::integer, step_id, last_error"

namespace fairq::queue::sql {

// tenant, name → id
const Statement kInsertRun{40, Plan::pinned, "INSERT INTO @pipeline_runs (tenant_id, name) VALUES ($1, $2) RETURNING id", 2,
                           {TEXTOID, TEXTOID}};

// run, tenants → status, stage, if all of them are its tenant; the stage cannot pass until we end. Nobody locks, or waits
// for, another tenant's run.
const Statement kJoinRun{41, Plan::pinned, R"(
SELECT status, stage FROM @pipeline_runs WHERE id = $1 AND tenant_id = ALL ($2) FOR KEY SHARE)",
    2, {INT8OID, TEXTARRAYOID}};

// runs, now: those that wait for their first claim; a claim waits for nobody
const Statement kStartRuns{42, Plan::pinned, R"(
WITH started AS (
    SELECT r.id FROM unnest($1) AS a (id) JOIN @pipeline_runs r ON r.id = a.id
     WHERE r.status = 'queued' FOR NO KEY UPDATE OF r SKIP LOCKED
)
UPDATE @pipeline_runs r SET status = 'running', started_at = $2 FROM started s WHERE r.id = s.id)",
    2, {INT8ARRAYOID, TIMESTAMPTZOID}};

// runs → those that somebody else is changing; locks the others
const Statement kBusyRuns{43, Plan::pinned, R"(
WITH free AS (
    SELECT r.id FROM unnest($1) AS a (id) JOIN @pipeline_runs r ON r.id = a.id FOR NO KEY UPDATE OF r SKIP LOCKED
)
SELECT r.id FROM unnest($1) AS a (id) JOIN @pipeline_runs r ON r.id = a.id WHERE r.id <> ALL (ARRAY(SELECT id FROM free)))",
    1, {INT8ARRAYOID}};

// runs, a stage of each → the runs that may have no unfinished job there. A job that nobody is finishing says that there is
// one: we hold on to it, so whoever finishes it comes after us and looks in turn. The last of a stage: found at once, and
// claimed last. FOR SHARE, because SKIP LOCKED does not skip but wait where a weaker lock follows a claim in progress to the
// version that the same transaction has deleted.
const Statement kFinishedStages{44, Plan::pinned, R"(
SELECT a.run
  FROM unnest($1, $2) AS a (run, stage)
  LEFT JOIN LATERAL (SELECT j.id FROM @job_live j WHERE j.run_id = a.run AND j.stage = a.stage::integer
                      ORDER BY j.priority DESC, j.id DESC LIMIT 1 FOR SHARE SKIP LOCKED) AS unfinished ON true
 WHERE unfinished.id IS NULL
 ORDER BY a.run)",
    2, {INT8ARRAYOID, INT8ARRAYOID}};

// run, now, error (NULL: the job has completed), now if the job was claimed. One after the other.
const Statement kJobEnded{45, Plan::pinned, R"(
UPDATE @pipeline_runs
   SET status = CASE WHEN $3 IS NULL THEN 'running' ELSE 'failed' END, last_error = $3, advanced_at = $2,
       started_at = coalesce(started_at, $4), finished_at = CASE WHEN $3 IS NOT NULL THEN $2 END
 WHERE id = $1 AND status IN ('queued', 'running'))",
    4, {INT8OID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID}};

// run → it, if something is left to do and nobody enqueues into it
const Statement kTakeRun{46, Plan::pinned,
    "SELECT " FAIRQ_RUN " FROM @pipeline_runs WHERE id = $1 AND advanced_at IS NOT NULL FOR UPDATE SKIP LOCKED", 1, {INT8OID}};

// from when on, tenants (NULL: all) → the run whose turn it is
const Statement kNextRun{47, Plan::pinned, R"(
SELECT )" FAIRQ_RUN R"( FROM @pipeline_runs WHERE advanced_at >= $1 AND ($2 IS NULL OR tenant_id = ANY ($2))
 ORDER BY advanced_at LIMIT 1 FOR UPDATE SKIP LOCKED)",
    2, {TIMESTAMPTZOID, TEXTARRAYOID}};

// run, its stage, now → the stage that follows, NULL when the run is completed; nothing while the stage has a job
const Statement kFinishStage{48, Plan::pinned, R"(
WITH first AS (
    SELECT (SELECT stage FROM @job_live WHERE run_id = $1 AND stage >= $2 ORDER BY stage LIMIT 1) AS stage
)
UPDATE @pipeline_runs r
   SET status = CASE WHEN first.stage IS NULL THEN 'completed' ELSE 'running' END,
       stage = coalesce(first.stage, r.stage),
       finished_at = CASE WHEN first.stage IS NULL THEN $3 END,
       advanced_at = CASE WHEN first.stage IS NOT NULL THEN $3 END
  FROM first
 WHERE r.id = $1 AND first.stage IS DISTINCT FROM $2
RETURNING first.stage)",
    3, {INT8OID, INT4OID, TIMESTAMPTZOID}};

// run, up to which stage; behind which stage, priority, id; how many, now, error (NULL: promote, else cancel) → by the new
// status, jobs, load-test jobs, tenants, first and last place. SKIP LOCKED: who cancels one of them waits for the run that we hold; then the next step begins where this
// one did.
const Statement kStep{49, Plan::pinned, R"(
WITH seen AS (
    SELECT stage, priority, id FROM @job_live
     WHERE run_id = $1 AND stage <= $2 AND (stage, priority, id) > ($3, $4::smallint, $5) AND status = 'blocked'
     ORDER BY stage, priority, id LIMIT $6
), got AS (
    SELECT j.id FROM seen s JOIN @job_live j ON j.id = s.id
     WHERE j.status = 'blocked' ORDER BY s.stage, s.priority, s.id FOR UPDATE OF j SKIP LOCKED
), promoted AS (
    UPDATE @job_live j
       SET status = CASE WHEN j.run_at > $7 THEN 'scheduled'::@job_status ELSE 'queued' END,
           due_at = CASE WHEN j.run_at > $7 THEN j.run_at END,
           position = CASE WHEN j.run_at > $7 THEN NULL ELSE nextval('@job_live_id_seq') END, updated_at = $7
      FROM got WHERE j.id = got.id AND $8 IS NULL
    RETURNING j.status, j.job_type, j.tenant_id, )" FAIRQ_PLACE("j.position") R"( AS place
), gone AS (
    DELETE FROM @job_live j USING got WHERE j.id = got.id AND $8 IS NOT NULL RETURNING j.*
), cancelled AS (
    INSERT INTO @job_history ()" FAIRQ_BEFORE_STATUS R"(, status, )" FAIRQ_AFTER_STATUS R"(, last_error, finished_at)
    SELECT )" FAIRQ_BEFORE_STATUS R"(, 'cancelled', )" FAIRQ_AFTER_STATUS R"(, $8, $7 FROM gone
    RETURNING status, job_type, tenant_id, NULL::bigint
), next (choice, at, stage, priority, id) AS (
    SELECT 1, $7, $3, $4::smallint, $5 WHERE (SELECT count(*) FROM got) < (SELECT count(*) FROM seen)
    UNION ALL (SELECT 2, $7, stage, priority, id FROM seen OFFSET $6 - 1)
    UNION ALL SELECT 3, NULL, $2 + 1, (-32768)::smallint, 0
), stepped AS (
    UPDATE @pipeline_runs
       SET (advanced_at, step_stage, step_priority, step_id) =
           (SELECT at, stage, priority, id FROM next ORDER BY choice LIMIT 1)
     WHERE id = $1
)
SELECT array_position(enum_range(NULL::@job_status), status) - 1, count(*), count(*) FILTER (WHERE job_type = 'load_test'),
       array_agg(DISTINCT tenant_id), min(place), max(place)
  FROM (SELECT * FROM promoted UNION ALL SELECT * FROM cancelled) AS moved
 GROUP BY status)",
    8, {INT8OID, INT4OID, INT4OID, INT4OID, INT8OID, INT4OID, TIMESTAMPTZOID, TEXTOID}};

} // namespace fairq::queue::sql
