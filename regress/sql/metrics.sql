-- Counts equal what can be counted, whatever came before: every verb, savepoints, rollbacks, ticks.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

CREATE FUNCTION pg_temp.wrong() RETURNS TABLE (metrics text, status text, kept bigint, counted bigint) LANGUAGE plpgsql AS $$
DECLARE
    of_all constant jsonb := get_queue_metrics() -> 'queue_stats';
    of_load_test constant jsonb := get_load_test_metrics() -> 'queue_stats';
BEGIN
    RETURN QUERY
        SELECT m.name, s::text, (m.stats ->> s::text)::bigint,
               (SELECT count(*) FROM job_queue q WHERE q.status = s AND (m.name = 'all' OR q.job_type = 'load_test'))
          FROM unnest(enum_range(NULL::job_status)) s, (VALUES ('all', of_all), ('load_test', of_load_test)) m (name, stats)
         WHERE (m.stats ->> s::text)::bigint IS DISTINCT FROM
               (SELECT count(*) FROM job_queue q WHERE q.status = s AND (m.name = 'all' OR q.job_type = 'load_test'));
    RETURN QUERY
        SELECT 'depth of', tenant_id, k.depth, q.depth
          FROM get_tenant_metrics() k
          FULL JOIN (SELECT tenant_id, count(*) AS depth FROM job_live j WHERE j.status = 'queued' GROUP BY 1) q USING (tenant_id)
         WHERE coalesce(k.depth, 0) <> coalesce(q.depth, 0);
END
$$;

-- Empty, with all keys.
SELECT get_queue_metrics() - 'shared_memory' - 'exact' - 'source' - 'depths_source' AS empty;
SELECT * FROM pg_temp.wrong();

-- Every verb that moves jobs.
SELECT seed_load_test_jobs(100, 5);
SELECT enqueue_job('a', 'mail') > 0 AS enqueued;
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[20]), 'mail', idempotency_keys => ARRAY(SELECT 'k' || i % 15 FROM generate_series(1, 20) i));
SELECT enqueue_job('a', 'mail', idempotency_key => 'k1') > 0 AS known;
SELECT count(*) FROM enqueue_jobs(array_fill('b'::text, ARRAY[5]), 'later', run_at => clock_timestamp() + interval '1 hour');
INSERT INTO job_queue (tenant_id, job_type) VALUES ('c', 'mail'), ('c', 'load_test');
SELECT * FROM pg_temp.wrong();
CREATE TEMP TABLE c AS SELECT id, lock_token, row_number() OVER (ORDER BY id) AS n FROM claim_queued_jobs('w', 40, 40);
SELECT * FROM pg_temp.wrong();
SELECT count(*) FROM (SELECT complete_jobs(array_agg(id), max(lock_token)) FROM c WHERE n <= 20) s;
SELECT fail_job(id, lock_token, 'no', retry => n <> 21) FROM c WHERE n IN (21, 22);
SELECT release_jobs(array_agg(id), max(lock_token)) FROM c WHERE n IN (23, 24);
SELECT release_jobs(array_agg(id), max(lock_token), clock_timestamp() + interval '1 hour') FROM c WHERE n IN (25, 26);
SELECT cancel_job(id) FROM c WHERE n = 27;
SELECT cancel_job(min(id)) FROM job_live WHERE status = 'scheduled';
SELECT redrive_dead_jobs();
SELECT * FROM pg_temp.wrong();
UPDATE job_live SET due_at = clock_timestamp() WHERE status = 'scheduled';
SELECT count(*) FROM claim_queued_jobs('w', 3);
UPDATE job_leases SET locked_at = clock_timestamp() - interval '1 hour', heartbeat_at = clock_timestamp() - interval '1 hour';
SELECT reclaim_stuck_jobs(max_jobs => 7);
SELECT * FROM pg_temp.wrong();
SELECT reclaim_stuck_jobs() > 0 AS more;
SELECT run_job_queue_parallel(2) -> 'failed' AS failed;
SELECT * FROM pg_temp.wrong();
SELECT clear_load_test_data() > 0 AS cleared;
SELECT * FROM pg_temp.wrong();

-- Calls that change nothing.
SELECT complete_jobs(ARRAY[1, 2, 3], 4711);
SELECT release_jobs(ARRAY[1, 2, 3], 4711);
\set VERBOSITY sqlstate
SELECT fail_job(4711, 4711, 'no');
SELECT enqueue_jobs(ARRAY['a', NULL], 'mail');
\set VERBOSITY default
SELECT * FROM pg_temp.wrong();

-- Rolled back: the whole, to savepoints, by errors; nested; released.
BEGIN;
SELECT seed_load_test_jobs(10, 1);
SELECT count(*) FROM claim_queued_jobs('w', 5);
ROLLBACK;
SELECT * FROM pg_temp.wrong();
BEGIN;
SELECT enqueue_job('s', 'kept') > 0 AS kept;
SAVEPOINT a;
SELECT enqueue_job('s', 'undone') > 0 AS undone;
SAVEPOINT b;
SELECT count(*) FROM claim_queued_jobs('undone', 2);
RELEASE b;
SAVEPOINT c;
SELECT enqueue_job('s', 'undone') > 0 AS undone;
ROLLBACK TO c;
SELECT enqueue_job('s', 'undone') > 0 AS undone;
ROLLBACK TO a;
SELECT enqueue_job('s', 'kept') > 0 AS kept;
SAVEPOINT d;
SELECT enqueue_job('s', 'kept') > 0 AS kept;
RELEASE d;
SAVEPOINT e;
SAVEPOINT f;
SELECT enqueue_job('s', 'kept') > 0 AS kept;
RELEASE e;
COMMIT;
SELECT job_type, count(*) FROM job_queue WHERE tenant_id = 's' GROUP BY 1;
SELECT * FROM pg_temp.wrong();
DO $$
BEGIN
    FOR i IN 1..20 LOOP
        BEGIN
            PERFORM enqueue_job('loop', 'mail');
            IF i % 3 = 0 THEN
                PERFORM enqueue_job('loop', '');
            END IF;
        EXCEPTION WHEN SQLSTATE 'JQ007' THEN
        END;
    END LOOP;
END
$$;
SELECT count(*) FROM job_queue WHERE tenant_id = 'loop';
SELECT * FROM pg_temp.wrong();
-- More levels than anybody keeps track of.
CREATE FUNCTION pg_temp.deep(levels integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM enqueue_job('deep', 'mail');
    IF levels > 0 THEN
        PERFORM pg_temp.deep(levels - 1);
    END IF;
    IF levels % 2 = 0 THEN
        RAISE 'undo' USING ERRCODE = 'ZZ001';
    END IF;
EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
END
$$;
SELECT pg_temp.deep(51);
SELECT count(*) FROM job_queue WHERE tenant_id = 'deep';
SELECT * FROM pg_temp.wrong();

-- Inside of a transaction that has changed something: what it sees.
BEGIN;
SELECT seed_load_test_jobs(10, 1);
SELECT * FROM pg_temp.wrong();
ROLLBACK;
SELECT * FROM pg_temp.wrong();

-- Read-only, and at any isolation.
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;
SELECT * FROM pg_temp.wrong();
COMMIT;

-- Two queues would not share their counts: this one goes, the next begins at zero.
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
SELECT * FROM pg_temp.wrong();
SELECT get_queue_metrics() -> 'queue_stats' AS queue_stats;
SELECT get_queue_metrics() -> 'open_leases' AS open_leases, get_queue_metrics() -> 'oldest_queued_age_seconds' AS age;
SELECT enqueue_job('a', 'mail') > 0 AS enqueued;
UPDATE job_live SET created_at = now() - interval '100 seconds';
SELECT (get_queue_metrics() -> 'oldest_queued_age_seconds')::integer BETWEEN 100 AND 160 AS age;
SELECT count(*) FROM claim_queued_jobs('w');
SELECT get_queue_metrics() -> 'open_leases' AS open_leases, get_queue_metrics() -> 'oldest_queued_age_seconds' AS age;
