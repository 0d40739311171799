-- What a handler leaves in its worker's session is gone before the next handler, perhaps of another role, runs there.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

CREATE TABLE seen (n integer GENERATED ALWAYS AS IDENTITY, what text);
CREATE FUNCTION leave_table(job job_queue) RETURNS void LANGUAGE plpgsql AS
    'BEGIN EXECUTE ''CREATE TEMP TABLE accounts AS SELECT 1 AS planted''; END';
CREATE FUNCTION leave_statement(job job_queue) RETURNS void LANGUAGE plpgsql AS
    'BEGIN EXECUTE ''PREPARE planted AS SELECT 1''; END';
CREATE FUNCTION leave_lock(job job_queue) RETURNS void LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_advisory_lock(4711); END';
CREATE FUNCTION leave_both_and_fail(job job_queue) RETURNS void LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_advisory_lock(4712); EXECUTE ''PREPARE planted_too AS SELECT 1''; RAISE EXCEPTION ''no''; END';
CREATE FUNCTION look(job job_queue) RETURNS void LANGUAGE sql AS $$
    INSERT INTO public.seen (what)
    SELECT concat_ws(', ', job.payload ->> 'after',
                     (SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relnamespace = pg_my_temp_schema()) || ' tables',
                     (SELECT count(*) FROM pg_prepared_statements) || ' statements',
                     (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) || ' locks')
$$;
SELECT register_job_handler(f, (f || '(job_queue)')::regprocedure)
  FROM unnest(ARRAY['leave_table', 'leave_statement', 'leave_lock', 'leave_both_and_fail', 'look']) f;
SELECT count(*) AS enqueued
  FROM (SELECT enqueue_job('t', f, priority => i::integer * 2, max_attempts => 1),
               enqueue_job('t', 'look', jsonb_build_object('after', f), priority => i::integer * 2 + 1)
          FROM unnest(ARRAY['leave_table', 'leave_statement', 'leave_lock', 'leave_both_and_fail']) WITH ORDINALITY f (f, i)) s;
SELECT s -> 'completed' AS completed, s -> 'failed' AS failed FROM run_job_queue_cron() s;
SELECT what FROM seen ORDER BY n;

-- With whose rights a handler is registered: the caller's, also when a superuser is the one who runs the caller's code.
CREATE ROLE regress_eve;
CREATE SCHEMA regress_eve AUTHORIZATION regress_eve;
GRANT EXECUTE ON FUNCTION register_job_handler TO regress_eve;
SET ROLE regress_eve;
CREATE FUNCTION regress_eve.twice(job public.job_queue) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN PERFORM public.register_job_handler('eve 2', 'regress_eve.twice(public.job_queue)'); END $$;
SELECT register_job_handler('eve', 'regress_eve.twice(job_queue)');
RESET ROLE;
SELECT enqueue_job('t', 'eve') > 0 AS enqueued;
SELECT s -> 'completed' AS completed FROM run_job_queue_cron() s;
SELECT job_type, run_as FROM job_handlers WHERE job_type ~ '^eve' ORDER BY 1;

SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
DROP FUNCTION IF EXISTS leave_table, leave_statement, leave_lock, leave_both_and_fail, look;
DROP TABLE seen;
DROP OWNED BY regress_eve CASCADE;
DROP ROLE regress_eve;
