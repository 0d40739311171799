// The SQL texts (see statements.hpp), with the types of their parameters.
#include "queue/statements.hpp"

// SQL is laid out by hand.
// clang-format off

namespace fairq::queue::sql {

// -------------------------------------------------------------------------------------------------- enqueue

// id, tenant, type, status, priority, payload, run_at, max_attempts, timeout, key, now, concurrency key, run, stage
const Statement kInsertJob{0, Plan::pinned, R"(
INSERT INTO @job_live (id, tenant_id, job_type, status, priority, payload, run_at, max_attempts, timeout,
                       idempotency_key, created_at, updated_at, position, due_at, concurrency_key, run_id, stage)
VALUES ($1, $2, $3, $4::@job_status, $5::smallint, $6, $7, $8, $9, $10, $11, $11,
        CASE WHEN $4 = 'queued' THEN $1 END, CASE WHEN $4 = 'scheduled' THEN $7 END, $12, $13, $14))",
    14, {INT8OID, TEXTOID, TEXTOID, TEXTOID, INT4OID, JSONBOID, TIMESTAMPTZOID, INT4OID, INTERVALOID, TEXTOID,
         TIMESTAMPTZOID, TEXTOID, INT8OID, INT4OID}};

// ids, kept ids (a job whose key was known keeps the other id and is not inserted), tenants, payloads or NULL, keys or
// NULL, concurrency keys or NULL, then as above
const Statement kInsertJobs{1, Plan::pinned, R"(
INSERT INTO @job_live (id, tenant_id, job_type, status, priority, payload, run_at, max_attempts, timeout,
                       idempotency_key, created_at, updated_at, position, due_at, concurrency_key, run_id, stage)
SELECT i.id, i.tenant, $7, $8::@job_status, $9::smallint, coalesce(i.payload, '{}'), $10, $11, $12, i.key, $13, $13,
       CASE WHEN $8 = 'queued' THEN i.id END, CASE WHEN $8 = 'scheduled' THEN $10 END, i.concurrency_key, $14, $15
  FROM unnest($1, $2, $3, $4, $5, $6) AS i (id, kept, tenant, payload, key, concurrency_key)
 WHERE i.id = i.kept)",
    15, {INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, JSONBARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTOID, TEXTOID, INT4OID,
         TIMESTAMPTZOID, INT4OID, INTERVALOID, TIMESTAMPTZOID, INT8OID, INT4OID}};

// tenants, keys, ids. In key order, so that two callers with the same keys do not deadlock.
const Statement kInsertKeys{2, Plan::pinned, R"(
INSERT INTO @job_keys (tenant_id, idempotency_key, job_id)
SELECT i.tenant, i.key, i.id FROM unnest($1, $2, $3) AS i (tenant, key, id) WHERE i.key IS NOT NULL
 ORDER BY i.tenant COLLATE "C", i.key COLLATE "C", i.id
    ON CONFLICT DO NOTHING)",
    3, {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID}};

// tenants, keys → the job of each, in their order; NULL where there is no key
const Statement kFindKeys{3, Plan::pinned, R"(
SELECT k.job_id
  FROM unnest($1, $2) WITH ORDINALITY AS i (tenant, key, n)
  LEFT JOIN @job_keys k ON k.tenant_id = i.tenant AND k.idempotency_key = i.key
 ORDER BY i.n)",
    2, {TEXTARRAYOID, TEXTARRAYOID}};

// -------------------------------------------------------------------------------------------------- claim

// now, how many, from when on → a row for each tenant and priority: also its name, the first and the last place
const Statement kPromote{4, Plan::pinned, R"(
WITH due AS (
    SELECT id FROM @job_live WHERE due_at <= $1 AND due_at >= $3 ORDER BY due_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
), )" FAIRQ_PROMOTE,
    3, {TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID}};

// token, worker, now, ids: for a job_leases with triggers and the like
const Statement kInsertLease{5, Plan::pinned, R"(
INSERT INTO @job_leases (lock_token, worker_id, locked_at, heartbeat_at, job_ids) VALUES ($1, $2, $3, $3, $4))",
    4, {INT8OID, TEXTOID, TIMESTAMPTZOID, INT8ARRAYOID}};

// ids, worker, now, token, those of them that count for a cap: the claim by the executor, for a job_live with triggers
// and the like
const Statement kClaimByExecutor{6, Plan::pinned, R"(
UPDATE @job_live j
   SET status = 'locked', attempts = attempts + 1, locked_by = $2, locked_at = $3, lock_token = $4, updated_at = $3,
       held_key = concurrency_key, running_since = CASE WHEN c.capped THEN $3 END,
       position = CASE WHEN NOT c.capped THEN position END, running_position = CASE WHEN c.capped THEN position END
  FROM unnest($1) AS a (id) CROSS JOIN LATERAL (SELECT a.id = ANY ($5)) AS c (capped)
 WHERE j.id = a.id AND j.status = 'queued'
RETURNING j.*)",
    5, {INT8ARRAYOID, TEXTOID, TIMESTAMPTZOID, INT8OID, INT8ARRAYOID}};

// -------------------------------------------------------------------------------------------------- finish

// ids, token, now → id, load test?, tenant, concurrency key, run, stage. The lease ends with its
// last job; SKIP LOCKED, because leases are locked before jobs
// and this comes after them: what is left behind, the sweep of stale leases takes.
const Statement kComplete{7, Plan::pinned, R"(
WITH gone AS (
    DELETE FROM @job_live j USING unnest($1) AS a (id) WHERE j.id = a.id AND j.lock_token = $2 RETURNING j.*
), ended AS (
    DELETE FROM @job_leases
     WHERE lock_token = (SELECT l.lock_token FROM @job_leases l
                          WHERE l.lock_token = $2 AND cardinality(l.job_ids) = (SELECT count(*) FROM gone)
                            FOR UPDATE SKIP LOCKED)
)
INSERT INTO @job_history ()" FAIRQ_BEFORE_STATUS R"(, status, )" FAIRQ_AFTER_STATUS R"(, last_error, finished_at)
SELECT )" FAIRQ_BEFORE_STATUS R"(, 'completed', )" FAIRQ_AFTER_STATUS R"(, last_error, $3 FROM gone
RETURNING id, job_type = 'load_test', tenant_id, concurrency_key, run_id, stage)",
    3, {INT8ARRAYOID, INT8OID, TIMESTAMPTZOID}};

// token, jobs completed at once: all of the lease's? SKIP LOCKED as above. For a job_leases with triggers and the like, and
// for a lease that somebody has, or has changed, just now
const Statement kEndWholeLease{94, Plan::pinned, R"(
DELETE FROM @job_leases
 WHERE lock_token = (SELECT lock_token FROM @job_leases
                      WHERE lock_token = $1 AND cardinality(job_ids) = $2 FOR UPDATE SKIP LOCKED))",
    2, {INT8OID, INT8OID}};

// id → status, attempts, max_attempts, load test?, token, tenant, concurrency key, run, place (NULL: in no lane); locks
// the row
const Statement kLockJob{8, Plan::pinned, R"(
SELECT array_position(enum_range(NULL::@job_status), status) - 1, attempts, max_attempts, job_type = 'load_test',
       lock_token, tenant_id, concurrency_key, run_id,
       CASE WHEN position IS NOT NULL THEN )" FAIRQ_PLACE("position") R"( END
  FROM @job_live WHERE id = $1 FOR UPDATE)",
    1, {INT8OID}};

const Statement kIsInHistory{9, Plan::pinned, "SELECT FROM @job_history WHERE id = $1 LIMIT 1", 1, {INT8OID}};

// id, due, error, now
const Statement kBackOff{10, Plan::pinned, R"(
UPDATE @job_live
   SET status = 'scheduled', due_at = $2, run_at = $2, position = NULL, locked_by = NULL, locked_at = NULL,
       lock_token = NULL, held_key = NULL, running_since = NULL, running_position = NULL, last_error = $3, updated_at = $4
 WHERE id = $1)",
    4, {INT8OID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID}};

// ids, final status, error (NULL: keep), now
const Statement kMoveToHistory{11, Plan::pinned, R"(
WITH gone AS (
    DELETE FROM @job_live j USING unnest($1) AS a (id) WHERE j.id = a.id RETURNING j.*
)
INSERT INTO @job_history ()" FAIRQ_BEFORE_STATUS R"(, status, )" FAIRQ_AFTER_STATUS R"(, last_error, finished_at)
SELECT )" FAIRQ_BEFORE_STATUS R"(, $2::@job_status, )" FAIRQ_AFTER_STATUS R"(, coalesce($3, last_error), $4 FROM gone)",
    4, {INT8ARRAYOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}};

// ids, token, now, run_at (NULL: to its old place at once) → a row for each tenant and priority: also its name,
// the concurrency keys, the first and the last place
const Statement kRelease{12, Plan::pinned, R"(
WITH moved AS (
    UPDATE @job_live j
       SET status = CASE WHEN $4 IS NULL THEN 'queued'::@job_status ELSE 'scheduled' END,
           position = CASE WHEN $4 IS NULL THEN coalesce(position, running_position) END, running_position = NULL, due_at = $4, run_at = coalesce($4, run_at),
           attempts = attempts - 1, locked_by = NULL, locked_at = NULL, lock_token = NULL, held_key = NULL,
           running_since = NULL, updated_at = $3
      FROM unnest($1) AS a (id)
     WHERE j.id = a.id AND j.lock_token = $2
    RETURNING j.job_type, j.tenant_id, j.priority, j.concurrency_key, )" FAIRQ_PLACE("j.position") R"( AS place
), ended AS (
    DELETE FROM @job_leases
     WHERE lock_token = (SELECT l.lock_token FROM @job_leases l
                          WHERE l.lock_token = $2 AND cardinality(l.job_ids) = (SELECT count(*) FROM moved)
                            FOR UPDATE SKIP LOCKED)
)
SELECT 3, count(*), count(*) FILTER (WHERE job_type = 'load_test'), tenant_id,
       array_agg(concurrency_key) FILTER (WHERE concurrency_key IS NOT NULL), min(place), max(place)
  FROM moved GROUP BY tenant_id, priority)",
    4, {INT8ARRAYOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID}};

// tenant or NULL, type or NULL, how many, now → a row for each tenant and priority: also its name, the first and the last place
const Statement kRedrive{13, Plan::pinned, R"(
WITH picked AS (
    SELECT id FROM @job_history
     WHERE status = 'dead' AND ($1 IS NULL OR tenant_id = $1) AND ($2 IS NULL OR job_type = $2)
     ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM @job_history h USING picked p WHERE h.id = p.id AND h.status = 'dead' RETURNING h.*
), moved AS (
    INSERT INTO @job_live (id, tenant_id, job_type, status, priority, payload, run_at, max_attempts, timeout,
                           idempotency_key, concurrency_key, run_id, stage, last_error, created_at, updated_at, position)
    SELECT id, tenant_id, job_type, 'queued', priority, payload, run_at, max_attempts, timeout, idempotency_key,
           concurrency_key, run_id, stage, last_error, created_at, $4, nextval('@job_live_id_seq')
      FROM gone ORDER BY id
    RETURNING tenant_id, priority, job_type, )" FAIRQ_PLACE("position") R"( AS place
)
SELECT 5, count(*), count(*) FILTER (WHERE job_type = 'load_test'), tenant_id, min(place), max(place)
  FROM moved GROUP BY tenant_id, priority)",
    4, {TEXTOID, TEXTOID, INT4OID, TIMESTAMPTZOID}};

// -------------------------------------------------------------------------------------------------- leases

// token, now
const Statement kHeartbeat{14, Plan::pinned, R"(
WITH beat AS (UPDATE @job_leases SET heartbeat_at = $2 WHERE lock_token = $1 RETURNING job_ids)
SELECT count(*)::integer FROM beat, unnest(beat.job_ids) AS a (id) JOIN @job_live j ON j.id = a.id AND j.lock_token = $1)",
    2, {INT8OID, TIMESTAMPTZOID}};

// stale before, behind which (locked at, token) → token, worker, ids, locked at of the next one; locks it
const Statement kStaleLeases{15, Plan::pinned, R"(
SELECT lock_token, worker_id, job_ids, locked_at FROM @job_leases
 WHERE locked_at < $1 AND heartbeat_at < $1 AND (locked_at, lock_token) > ($2, $3)
 ORDER BY locked_at, lock_token LIMIT 1 FOR UPDATE SKIP LOCKED)",
    3, {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID}};

// token → as kStaleLeases, for one lease that its owner ends
const Statement kLockLease{16, Plan::pinned,
    "SELECT lock_token, worker_id, job_ids, locked_at FROM @job_leases WHERE lock_token = $1 FOR UPDATE", 1, {INT8OID}};

// token, ids, how many → id, out of attempts?, load test?, tenant, concurrency key, run, place; locks them, but for those
// that somebody is finishing
const Statement kJobsOfLease{17, Plan::pinned, R"(
SELECT j.id, j.attempts >= j.max_attempts, j.job_type = 'load_test', j.tenant_id, j.concurrency_key, j.run_id,
       )" FAIRQ_PLACE("coalesce(position, running_position)") R"(
  FROM unnest($2) AS a (id) JOIN @job_live j ON j.id = a.id AND j.lock_token = $1
 ORDER BY a.id LIMIT $3 FOR UPDATE OF j SKIP LOCKED)",
    3, {INT8OID, INT8ARRAYOID, INT4OID}};

// ids, error, now
const Statement kPutBack{18, Plan::pinned, R"(
UPDATE @job_live j
   SET status = 'queued', locked_by = NULL, locked_at = NULL, lock_token = NULL, held_key = NULL, running_since = NULL,
       position = coalesce(position, running_position), running_position = NULL,
       last_error = $2, updated_at = $3
  FROM unnest($1) AS a (id) WHERE j.id = a.id)",
    3, {INT8ARRAYOID, TEXTOID, TIMESTAMPTZOID}};

// token, ids: unless it holds a job yet
const Statement kEndLease{19, Plan::pinned, R"(
DELETE FROM @job_leases
 WHERE lock_token = $1
   AND NOT EXISTS (SELECT FROM unnest($2) AS a (id) JOIN @job_live j ON j.id = a.id AND j.lock_token = $1))",
    2, {INT8OID, INT8ARRAYOID}};

// -------------------------------------------------------------------------------------------------- handlers, ticks

// type, schema, name, role; nothing when the type has one
const Statement kAddHandler{20, Plan::pinned, R"(
INSERT INTO @job_handlers (job_type, handler_schema, handler_name, run_as) VALUES ($1, $2::name, $3::name, $4::name)
    ON CONFLICT DO NOTHING)",
    4, {TEXTOID, TEXTOID, TEXTOID, TEXTOID}};

// the same, of a type that has one
const Statement kSetHandler{36, Plan::pinned, R"(
UPDATE @job_handlers SET handler_schema = $2::name, handler_name = $3::name, run_as = $4::name
 WHERE job_type = $1 AND NOT builtin)",
    4, {TEXTOID, TEXTOID, TEXTOID, TEXTOID}};

// type → role
const Statement kHandlerOwner{21, Plan::pinned,
    "SELECT run_as::text FROM @job_handlers WHERE job_type = $1 AND NOT builtin FOR UPDATE", 1, {TEXTOID}};

const Statement kDropHandler{22, Plan::pinned, "DELETE FROM @job_handlers WHERE job_type = $1 AND NOT builtin", 1,
                                 {TEXTOID}};

// → type, schema, name, role (NULL: the owner); a user's row before the built-in one
const Statement kHandlers{23, Plan::pinned, R"(
SELECT DISTINCT ON (job_type) job_type, handler_schema::text, handler_name::text, run_as::text
  FROM @job_handlers ORDER BY job_type, builtin)"};

// With its argument: a call that leaves it to the default could mean another function in the same schema.
const Statement kMakePartitions{25, Plan::open, "SELECT @make_history_partitions(3)"};

// workers' claimed, completed, failed; tenants, their claimed; ms, load test? → details
const Statement kAudit{26, Plan::pinned, R"(
WITH log AS (SELECT nextval('@campaign_audit_log_id_seq') AS id)
INSERT INTO @campaign_audit_log (id, event_type, details)
SELECT log.id, 'job_queue_tick', jsonb_build_object(
           'tick', log.id,
           'claimed', (SELECT coalesce(sum(n), 0) FROM unnest($5) AS n),
           'completed', (SELECT coalesce(sum(n), 0) FROM unnest($2) AS n),
           'failed', (SELECT coalesce(sum(n), 0) FROM unnest($3) AS n),
           'workers', (SELECT jsonb_agg(jsonb_build_object('worker', w.n, 'claimed', w.claimed, 'completed', w.completed,
                                                           'failed', w.failed) ORDER BY w.n)
                         FROM unnest($1, $2, $3) WITH ORDINALITY AS w (claimed, completed, failed, n)),
           'tenants', (SELECT coalesce(jsonb_object_agg(t.tenant, t.claimed), '{}')
                         FROM unnest($4, $5) AS t (tenant, claimed)),
           'ms', $6,
           'load_test', $7)
  FROM log
RETURNING details::text, (details - 'tenants')::text)",
    7, {INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, INT8ARRAYOID, INT8OID, BOOLOID}};

// kind, names, claimed, completed, failed. In the order of names, so that two ticks do not deadlock.
const Statement kAddTotals{27, Plan::pinned, R"(
INSERT INTO @load_test_totals AS t (kind, name, claimed, completed, failed)
SELECT $1, u.name, u.claimed, u.completed, u.failed
  FROM unnest($2, $3, $4, $5) AS u (name, claimed, completed, failed)
 WHERE u.claimed > 0
 ORDER BY u.name COLLATE "C"
    ON CONFLICT (kind, name) DO UPDATE
   SET claimed = t.claimed + excluded.claimed, completed = t.completed + excluded.completed,
       failed = t.failed + excluded.failed)",
    5, {TEXTOID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID}};

// -------------------------------------------------------------------------------------------------- metrics, load test

// → status, jobs, load-test jobs, tenant (of queued jobs); reads everything
const Statement kCount{28, Plan::open, R"(
SELECT array_position(enum_range(NULL::@job_status), status) - 1, jobs, load_test, tenant
  FROM (SELECT status, CASE WHEN status = 'queued' THEN tenant_id END AS tenant, count(*) AS jobs,
               count(*) FILTER (WHERE job_type = 'load_test') AS load_test
          FROM @job_live GROUP BY 1, 2
        UNION ALL
        SELECT status, NULL, count(*), count(*) FILTER (WHERE job_type = 'load_test') FROM @job_history GROUP BY 1) AS s)"};

// counts by status, oldest age in seconds or NULL, exact?, in shared memory?, tenants, depths exact?, quiet tenants'
// p50 and p99 in tenths of a millisecond or NULL, number of their jobs
const Statement kQueueMetrics{29, Plan::pinned, R"(
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
    'quiet_dwell_ms', jsonb_build_object('p50', $7 / 10.0::float8, 'p99', $8 / 10.0::float8, 'jobs', $9)))",
    9, {INT8ARRAYOID, INT8OID, BOOLOID, BOOLOID, JSONBOID, BOOLOID, INT8OID, INT8OID, INT8OID}};

// counts by status, oldest age in seconds or NULL, exact?
const Statement kLoadTestMetrics{30, Plan::pinned, R"(
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
  FROM duplicates)",
    3, {INT8ARRAYOID, INT8OID, BOOLOID}};

// jobs, tenants, now, max_attempts, timeout → how many, the first and the last place
const Statement kSeed{31, Plan::pinned, R"(
WITH seeded AS (
INSERT INTO @job_live (id, tenant_id, job_type, status, priority, payload, run_at, max_attempts, timeout, created_at,
                       updated_at, position)
SELECT s.id, 'tenant-' || 1 + (s.n - 1) % $2, 'load_test', 'queued', 0, jsonb_build_object('work_ms', 10, 'n', s.n), $3, $4,
       $5, $3, $3, s.id
  FROM (SELECT n, nextval('@job_live_id_seq') AS id FROM generate_series(1, $1) AS n) AS s
RETURNING )" FAIRQ_PLACE("position") R"( AS place
)
SELECT count(*), min(place), max(place) FROM seeded)",
    5, {INT4OID, INT4OID, TIMESTAMPTZOID, INT4OID, INTERVALOID}};

// by tenant? → status, jobs, load-test jobs, tenant. What hangs on the jobs goes with them.
const Statement kClear{32, Plan::open, R"(
WITH live AS (DELETE FROM @job_live WHERE job_type = 'load_test' RETURNING id, status, tenant_id),
     past AS (DELETE FROM @job_history WHERE job_type = 'load_test' RETURNING id, status, tenant_id),
     gone AS (SELECT id, status, tenant_id FROM live UNION ALL SELECT id, status, tenant_id FROM past),
     messages AS (DELETE FROM @channel_outbox o USING gone g WHERE o.job_id = g.id),
     keys AS (DELETE FROM @job_keys k USING gone g WHERE k.job_id = g.id)
SELECT array_position(enum_range(NULL::@job_status), status) - 1, count(*), count(*), CASE WHEN $1 THEN tenant_id END
  FROM gone GROUP BY 1, 4)",
    1, {BOOLOID}};

const Statement kClearLeases{33, Plan::open, R"(
DELETE FROM @job_leases l
 WHERE NOT EXISTS (SELECT FROM unnest(l.job_ids) AS a (id) JOIN @job_live j ON j.id = a.id AND j.lock_token = l.lock_token))"};
const Statement kClearTicks{34, Plan::open,
    "DELETE FROM @campaign_audit_log WHERE event_type = 'job_queue_tick' AND (details ->> 'load_test')::boolean"};
const Statement kClearTotals{35, Plan::open, "DELETE FROM @load_test_totals"};

} // namespace fairq::queue::sql
