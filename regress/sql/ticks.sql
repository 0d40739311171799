-- Ticks: their summary and their row, what fails a job and what that leaves, the cap over all workers.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

CREATE TABLE effects (job_id bigint, tenant_id text, what text);
CREATE FUNCTION work(job job_queue) RETURNS void LANGUAGE sql AS $$
    INSERT INTO public.effects SELECT job.id, job.tenant_id, job.status || ', attempt ' || job.attempts
$$;
SELECT register_job_handler('work', 'work(job_queue)');

-- The summary of a tick, and its row; an empty tick has both, too.
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'a', 'b'], 'work');
SELECT run_job_queue_cron() AS summary \gset
SELECT jsonb_object_agg(key, CASE WHEN key IN ('ms', 'tick') THEN to_jsonb(jsonb_typeof(value)) ELSE value END) AS summary
  FROM jsonb_each(:'summary');
SELECT event_type, tenant_id, details = :'summary' AS same, created_at > now() - interval '1 minute' AS just_now FROM campaign_audit_log;
SELECT * FROM effects ORDER BY job_id;
SELECT status, attempts, count(*) FROM job_queue GROUP BY status, attempts;
SELECT run_job_queue_parallel(3) AS summary \gset
SELECT (:'summary'::jsonb - 'ms') - 'tick' AS empty_tick;
SELECT count(*) FROM campaign_audit_log;
SELECT count(*) FROM job_leases;

-- Every job runs once, whoever of the workers does; four is the default.
SELECT count(*) FROM enqueue_jobs(ARRAY(SELECT 't' || i % 10 FROM generate_series(1, 200) i), 'work');
TRUNCATE effects;
SELECT run_job_queue_parallel() AS summary \gset
SELECT :'summary'::jsonb -> 'claimed' AS claimed, :'summary'::jsonb -> 'completed' AS completed,
       jsonb_array_length(:'summary'::jsonb -> 'workers') AS workers, sum((w -> 'claimed')::integer) AS by_workers
  FROM jsonb_array_elements(:'summary'::jsonb -> 'workers') w;
SELECT key AS tenant, value AS claimed FROM jsonb_each(:'summary'::jsonb -> 'tenants') ORDER BY 1;
SELECT count(*), count(DISTINCT job_id) FROM effects;

-- Nobody has more than 25 jobs in one tick, over all its workers; nor more than fairq.tick_tenant_cap.
SELECT count(*) FROM enqueue_jobs(array_fill('greedy'::text, ARRAY[200]), 'work');
SELECT count(*) FROM enqueue_jobs(array_fill('modest'::text, ARRAY[3]), 'work');
SELECT run_job_queue_parallel() -> 'tenants' AS tenants;
SET fairq.tick_tenant_cap = 4;
SELECT run_job_queue_parallel() -> 'tenants' AS tenants;
SET fairq.tick_tenant_cap = 1000;
SET fairq.tick_jobs_per_worker = 10;
SELECT run_job_queue_parallel(2) -> 'tenants' AS tenants;
SELECT run_job_queue_cron() -> 'tenants' AS tenants;
RESET fairq.tick_tenant_cap; RESET fairq.tick_jobs_per_worker;
SELECT count(*) FROM (SELECT cancel_job(id) FROM job_queue WHERE status = 'queued') s;

-- A handler that raises fails its job alone: its effects are undone, its message is kept, the others go on.
CREATE FUNCTION odd(job job_queue) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.effects VALUES (job.id, job.tenant_id, 'odd');
    IF (job.payload ->> 'n')::integer % 2 = 1 THEN
        RAISE EXCEPTION 'odd: %', job.payload ->> 'n' USING HINT = 'be even';
    END IF;
END
$$;
SELECT register_job_handler('odd', 'odd(job_queue)');
TRUNCATE effects;
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'a', 'b', 'b'], 'odd', ARRAY['{"n": 1}', '{"n": 2}', '{"n": 3}', '{"n": 4}']::jsonb[], max_attempts => 1);
SELECT count(*) FROM enqueue_jobs(ARRAY['a'], 'odd', ARRAY['{"n": 5}']::jsonb[]);
SELECT jsonb_build_object('completed', s -> 'completed', 'failed', s -> 'failed') FROM run_job_queue_parallel(2) s;
SELECT payload, status, attempts, last_error FROM job_queue WHERE job_type = 'odd' ORDER BY id;
SELECT what, count(*) FROM effects GROUP BY what;
SELECT cancel_job(id) FROM job_queue WHERE status = 'scheduled'; -- it would come back at its own time

-- An effect that cannot be committed (a deferred constraint) fails the job as any error does.
CREATE TABLE parents (id integer PRIMARY KEY);
CREATE TABLE children (id integer REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION orphan(job job_queue) RETURNS void LANGUAGE sql AS 'INSERT INTO public.children VALUES ((job.payload ->> ''n'')::integer)';
SELECT register_job_handler('orphan', 'orphan(job_queue)');
INSERT INTO parents VALUES (2);
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'a', 'a'], 'orphan', ARRAY['{"n": 1}', '{"n": 2}', '{"n": 3}']::jsonb[], max_attempts => 1);
SELECT jsonb_build_object('completed', s -> 'completed', 'failed', s -> 'failed') FROM run_job_queue_cron() s;
SELECT payload, status, last_error FROM job_queue WHERE job_type = 'orphan' ORDER BY id;
TABLE children;

-- A timeout cancels the job's attempt; the next job has its own time.
CREATE FUNCTION slow(job job_queue) RETURNS void LANGUAGE sql AS 'SELECT pg_sleep((job.payload ->> ''s'')::double precision)';
SELECT register_job_handler('slow', 'slow(job_queue)');
SELECT enqueue_job('a', 'slow', '{"s": 60}', max_attempts => 1, timeout => '100 ms') > 0 AS enqueued;
SELECT enqueue_job('a', 'slow', '{"s": 0.2}') > 0 AS enqueued;
SELECT jsonb_build_object('completed', s -> 'completed', 'failed', s -> 'failed') FROM run_job_queue_cron() s;
SELECT payload, status, last_error FROM job_queue WHERE job_type = 'slow' ORDER BY id;

-- A handler cannot commit by itself; it may enqueue, and what it enqueues is there for the next tick.
CREATE FUNCTION try_commit(job job_queue) RETURNS void LANGUAGE plpgsql AS 'BEGIN COMMIT; END';
CREATE FUNCTION enqueue_more(job job_queue) RETURNS void LANGUAGE sql AS 'SELECT public.enqueue_job(job.tenant_id, ''work'')';
SELECT register_job_handler('try_commit', 'try_commit(job_queue)'), register_job_handler('enqueue_more', 'enqueue_more(job_queue)');
SELECT enqueue_job('a', h, max_attempts => 1) > 0 AS enqueued FROM unnest(ARRAY['try_commit', 'enqueue_more']) h;
SELECT s -> 'claimed' AS claimed, s -> 'completed' AS completed FROM run_job_queue_cron() s;
SELECT job_type, status, last_error FROM job_queue WHERE job_type IN ('try_commit', 'enqueue_more') ORDER BY id;
SELECT s -> 'completed' AS completed FROM run_job_queue_cron() s;
SELECT status, count(*) FROM job_live GROUP BY status;

-- Types without a handler are left alone, and hold up nobody; so is one whose handler was dropped.
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[60]), 'foreign', priority => -1);
DROP FUNCTION slow(job_queue);
SELECT enqueue_job('a', 'slow', '{"s": 0}', -1) > 0 AS enqueued;
SELECT enqueue_job('a', 'work') > 0 AS enqueued;
SELECT s -> 'claimed' AS claimed, s -> 'completed' AS completed FROM run_job_queue_cron() s;
SELECT job_type, status, attempts, count(*) FROM job_queue WHERE job_type IN ('foreign', 'slow') AND status = 'queued' GROUP BY 1, 2, 3 ORDER BY 1;
SELECT count(*) FROM (SELECT cancel_job(id) FROM job_queue WHERE status = 'queued') s;

-- A tick promotes what is due and reclaims what is stale; a redriven job runs again.
SELECT enqueue_job('a', 'work', run_at => clock_timestamp() + interval '1 hour') AS due \gset
UPDATE job_live SET due_at = clock_timestamp() WHERE id = :due;
SELECT s -> 'completed' AS completed FROM run_job_queue_cron() s;
SELECT status, attempts FROM job_queue WHERE id = :due;
SELECT count(*) FROM (SELECT redrive_dead_jobs(job_type => 'orphan')) s;
INSERT INTO parents VALUES (1), (3);
SELECT s -> 'completed' AS completed FROM run_job_queue_cron() s;
SELECT count(*) FROM children;

-- Where a tick may run: not in a transaction that has written; in one that reads, whatever its isolation.
BEGIN;
SELECT enqueue_job('a', 'work') > 0 AS enqueued;
SELECT run_job_queue_cron();
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT count(*) > 0 AS reads FROM job_queue;
SELECT run_job_queue_cron() -> 'claimed' AS claimed;
COMMIT;
-- It does not depend on what the session, role or database has set for its transactions.
SELECT format('ALTER DATABASE %I SET default_transaction_isolation = serializable', current_database()),
       format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()) \gexec
SELECT enqueue_job('a', 'work') > 0 AS enqueued;
SELECT s -> 'completed' AS completed FROM run_job_queue_cron() s;
SET default_transaction_read_only = off;
SELECT format('ALTER DATABASE %I RESET ALL', current_database()) \gexec

-- A loop of ticks, with commits between them: outside of a transaction block only.
SELECT count(*) AS ticks_before FROM campaign_audit_log \gset
CALL run_job_queue_ticks(1, '200 ms', '500 ms');
SELECT count(*) - :ticks_before BETWEEN 1 AND 3 AS ticked FROM campaign_audit_log;
BEGIN;
CALL run_job_queue_ticks(1, '200 ms', '500 ms');
ROLLBACK;
SELECT enqueue_job('a', 'work') > 0 AS enqueued;
CALL run_job_queue_ticks(workers => 2, every => '1 second', during => '1 ms');
SELECT status, count(*) FROM job_live GROUP BY status;

-- A tick that has ended has given its slots back: the next one has them all.
SELECT count(run_job_queue_parallel(30)) AS ticks FROM generate_series(1, 10);

-- More workers than there are slots: a tick runs with those it gets, and says so.
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[10]), 'work');
SELECT s -> 'completed' AS completed, jsonb_array_length(s -> 'workers') AS workers FROM run_job_queue_parallel(64) s;
SELECT count(*) FROM job_leases;
DROP TABLE effects, children, parents;
DROP FUNCTION work, odd, orphan, try_commit, enqueue_more;
