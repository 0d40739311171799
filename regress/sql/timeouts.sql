-- A job whose handler runs past its timeout fails, whatever the handler makes of being cancelled.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
SET fairq.tick_patience = '1 min'; -- its summaries tell of all handlers
CREATE TABLE done (what text);

CREATE FUNCTION sleeps(job job_queue) RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(60)';
-- Catches the cancel and returns, as if all were well.
CREATE FUNCTION catches(job job_queue) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.done VALUES (job.job_type);
    PERFORM pg_sleep(60);
EXCEPTION WHEN query_canceled THEN
    INSERT INTO public.done VALUES (job.job_type || ' the cancel');
END
$$;
-- Catches it, and goes on with what takes just as long: that is cancelled, too.
CREATE FUNCTION goes_on(job job_queue) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        PERFORM pg_sleep(60);
    EXCEPTION WHEN query_canceled THEN
        INSERT INTO public.done VALUES (job.job_type);
    END;
    PERFORM pg_sleep(60);
END
$$;
-- What it left for the end of the transaction is part of its time.
CREATE FUNCTION on_later() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(60);
    RETURN NULL;
EXCEPTION WHEN query_canceled THEN
    RETURN NULL;
END
$$;
CREATE TABLE later (n integer);
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION on_later();
CREATE FUNCTION defers(job job_queue) RETURNS void LANGUAGE sql AS 'INSERT INTO public.later VALUES (1)';
-- Catches whatever comes, for ever.
CREATE FUNCTION never_ends(job job_queue) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        BEGIN
            PERFORM pg_sleep(60);
        EXCEPTION WHEN query_canceled OR OTHERS THEN
            NULL;
        END;
    END LOOP;
END
$$;
CREATE FUNCTION works(job job_queue) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.done VALUES (job.job_type) $$;
SELECT register_job_handler(f, (f || '(job_queue)')::regprocedure) FROM unnest(ARRAY['sleeps', 'catches', 'goes_on', 'defers', 'never_ends', 'works']) f;

SELECT enqueue_job('t', f, timeout => '200 ms', max_attempts => 1) > 0 AS enqueued FROM unnest(ARRAY['sleeps', 'catches', 'goes_on', 'defers', 'works']) f;
SELECT s -> 'completed' AS completed, s -> 'failed' AS failed FROM run_job_queue_cron() s;
SELECT job_type, status, attempts, last_error FROM job_queue ORDER BY id;
SELECT what FROM done;

-- The others of the tick are not held up by one that never ends: the other worker does them. It ends with its worker, its
-- attempt fails like those above, and it backs off.
TRUNCATE job_live, job_history, done;
SELECT enqueue_job('t', 'never_ends', timeout => '200 ms') > 0 AS enqueued;
SELECT enqueue_job('t', 'works', priority => i) > 0 AS enqueued FROM generate_series(1, 3) i;
SELECT s -> 'claimed' AS claimed, s -> 'completed' AS completed, s -> 'failed' AS failed FROM run_job_queue_parallel(2) s;
SELECT job_type, status, attempts, last_error FROM job_queue ORDER BY id;
SELECT count(*) FROM job_leases;

-- A single worker takes the rest of its tick along; that costs them no attempt, and the next tick does them.
TRUNCATE job_live, job_history, done;
SELECT enqueue_job('t', 'never_ends', timeout => '200 ms', max_attempts => 1) > 0 AS enqueued;
SELECT enqueue_job('t', 'works') > 0 AS enqueued;
SELECT s -> 'claimed' AS claimed, s -> 'completed' AS completed, s -> 'failed' AS failed FROM run_job_queue_cron() s;
SELECT job_type, status, attempts, last_error FROM job_queue ORDER BY id;
SELECT s -> 'claimed' AS claimed, s -> 'completed' AS completed, s -> 'failed' AS failed FROM run_job_queue_cron() s;
SELECT job_type, status, attempts, last_error FROM job_queue ORDER BY id;

SET client_min_messages = warning;
DROP TABLE done, later;
DROP FUNCTION on_later;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
