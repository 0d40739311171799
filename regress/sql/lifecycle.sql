-- How attempts and jobs end: complete, fail, release, cancel, redrive, promotion of what is due.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

CREATE TEMP VIEW jobs AS
    SELECT id, tenant_id AS tenant, status, attempts, locked_by AS worker, last_error FROM job_queue ORDER BY id;

-- Complete: some of a lease's jobs, one twice in the array, one that is not there, and not by another token.
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'a', 'a', 'a'], 'mail');
SELECT max(lock_token) AS token FROM claim_queued_jobs('w', 3) \gset
SELECT complete_jobs(ARRAY[2, 1, 2, 4711, 4], :token);
SELECT complete_jobs(ARRAY[1, 2, 3, 4], :token + 1);
SELECT complete_jobs(ARRAY[1, 2], :token);
SELECT * FROM jobs;
SELECT cardinality(job_ids) FROM job_leases;
SELECT complete_jobs(ARRAY[1, 2, 3], :token);
SELECT id, lock_token = :token AS by_token, updated_at >= locked_at AS after_lock FROM job_queue WHERE status = 'completed' ORDER BY id;
SELECT complete_jobs('{}', :token);
SELECT complete_jobs(job_ids, lock_token) FROM job_leases; -- nothing left of it

-- A lease goes with the last of its jobs when it is completed or released whole.
SELECT max(lock_token) AS token FROM claim_queued_jobs('w') \gset
SELECT complete_jobs(ARRAY[4], :token);
SELECT count(*) FROM job_leases WHERE lock_token = :token;
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'a'], 'mail');
SELECT max(lock_token) AS token, array_agg(id) AS ids FROM claim_queued_jobs('w') \gset
SELECT release_jobs(:'ids', :token);
SELECT count(*) FROM job_leases WHERE lock_token = :token;
TRUNCATE job_live, job_history, job_leases RESTART IDENTITY;

-- Fail: back-off with full jitter within [0, base * 2^(attempt - 1)], at most backoff_max.
SET fairq.backoff_base = '1min';
SET fairq.backoff_max = '3min';
SELECT enqueue_job('a', 'mail', max_attempts => 4);
CREATE FUNCTION pg_temp.fail_once(most interval) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    token bigint;
    result job_status;
    wait interval;
BEGIN
    UPDATE job_live SET due_at = clock_timestamp() WHERE due_at IS NOT NULL;
    SELECT lock_token INTO STRICT token FROM claim_queued_jobs('w', 1);
    result := fail_job(1, token, 'attempt failed');
    IF result <> 'scheduled' THEN
        RETURN result;
    END IF;
    SELECT due_at - updated_at INTO wait FROM job_live WHERE id = 1 AND run_at = due_at AND position IS NULL;
    RETURN result || CASE WHEN wait BETWEEN interval '0' AND most THEN ' in time' ELSE ' after ' || wait END;
END
$$;
SELECT pg_temp.fail_once('1 minute');
SELECT * FROM jobs;
SELECT pg_temp.fail_once('2 minutes');
SELECT pg_temp.fail_once('3 minutes');
SELECT pg_temp.fail_once('0');
SELECT * FROM jobs;
SELECT fail_job(1, 1, 'again');
-- Jitter: not all the same, spread over the range.
SELECT count(*) FROM enqueue_jobs(array_fill('j'::text, ARRAY[200]), 'mail');
SELECT fail_job(id, lock_token, 'no') AS status, count(*) FROM claim_queued_jobs('w', 200, 200) GROUP BY 1;
SELECT count(DISTINCT due_at) > 100 AS spread, min(due_at - updated_at) < interval '15 seconds' AS some_soon,
       max(due_at - updated_at) > interval '45 seconds' AS some_late, max(due_at - updated_at) <= interval '1 minute' AS none_later
  FROM job_live WHERE status = 'scheduled';
RESET fairq.backoff_base; RESET fairq.backoff_max;
TRUNCATE job_live, job_history, job_leases RESTART IDENTITY;
-- No retry wanted; a long text is cut at a character; an empty one is one.
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'a'], 'mail');
SELECT max(lock_token) AS token FROM claim_queued_jobs('w') \gset
SELECT fail_job(1, :token, repeat('é', 5000), retry => false);
SELECT fail_job(2, :token, '', retry => false);
SELECT id, status, attempts, octet_length(last_error), last_error = repeat('é', 4096) AS whole_characters FROM job_queue ORDER BY id;

-- Redrive: by tenant, by type, any; oldest first, bounded; with all attempts, at the end of the lane.
TRUNCATE job_live, job_history, job_leases RESTART IDENTITY;
SELECT enqueue_job(t, y, max_attempts => 1, idempotency_key => t || y)
  FROM (VALUES ('a', 'x'), ('a', 'y'), ('b', 'x'), ('b', 'y'), ('c', 'x')) v (t, y);
SELECT fail_job(id, lock_token, 'no') FROM claim_queued_jobs('w') ORDER BY id;
SELECT enqueue_job('a', 'x');
SELECT redrive_dead_jobs('a');
SELECT redrive_dead_jobs(job_type => 'y');
SELECT redrive_dead_jobs('c', 'y');
SELECT redrive_dead_jobs(max_jobs => 1);
SELECT id, tenant_id, job_type, status, attempts, max_attempts, last_error, idempotency_key FROM job_queue ORDER BY id;
SELECT id FROM claim_queued_jobs('w') WHERE tenant_id = 'a'; -- the one that never left the lane first
SELECT enqueue_job('a', 'x', idempotency_key => 'ax') AS known;
SELECT redrive_dead_jobs();
SELECT redrive_dead_jobs();

-- Release: no attempt burned, the old place kept; or at a time.
TRUNCATE job_live, job_history, job_leases, job_keys RESTART IDENTITY;
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'a', 'a'], 'mail');
SELECT max(lock_token) AS token FROM claim_queued_jobs('w', 2) \gset
SELECT release_jobs(ARRAY[1, 1, 3, 4711], :token);
SELECT release_jobs(ARRAY[1, 2], :token + 1);
SELECT * FROM jobs;
SELECT id, attempts FROM claim_queued_jobs('w2', 1);
SELECT release_jobs(ARRAY[2], :token, clock_timestamp() + interval '1 hour');
SELECT id, status, attempts, due_at = run_at AS due, position FROM job_live WHERE id = 2;
SELECT max(lock_token) AS token FROM claim_queued_jobs('w3', 1) \gset
SELECT release_jobs(ARRAY[3], :token, '2000-01-01'); -- past: at once
SELECT id, status, position, due_at FROM job_live WHERE id = 3;

-- Cancel: queued, scheduled, locked (whose lease is lost), finished, unknown.
TRUNCATE job_live, job_history, job_leases RESTART IDENTITY;
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'a', 'a'], 'mail');
SELECT enqueue_job('a', 'later', run_at => clock_timestamp() + interval '1 hour');
SELECT max(lock_token) AS token FROM claim_queued_jobs('w', 2) \gset
SELECT cancel_job(3) AS queued, cancel_job(4) AS scheduled, cancel_job(1) AS locked;
SELECT cancel_job(3) AS again;
SELECT complete_jobs(ARRAY[1], :token);
SELECT heartbeat_jobs(:token);
\set VERBOSITY sqlstate
SELECT fail_job(1, :token, 'no');
SELECT release_jobs(ARRAY[1], :token);
SELECT cancel_job(4711);
\set VERBOSITY default
SELECT complete_jobs(ARRAY[2], :token);
SELECT cancel_job(2) AS completed;
SELECT * FROM jobs;

-- Promotion: what is due enters the lane behind what waits there already, with the next claim, as many as it asks for.
TRUNCATE job_live, job_history, job_leases RESTART IDENTITY;
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[5]), 'later', run_at => clock_timestamp() + interval '1 hour');
SELECT enqueue_job('a', 'mail');
UPDATE job_live SET due_at = clock_timestamp() - id * interval '1 s' WHERE id < 5;
SELECT id FROM claim_queued_jobs('w', 2);
SELECT id, status, due_at IS NULL AS in_lane FROM job_live ORDER BY id;
SELECT id FROM claim_queued_jobs('w');
SELECT id, status FROM job_live ORDER BY id;

-- Whatever happened, the constraints hold for every row, and refuse who writes past the functions.
SELECT conname, convalidated FROM pg_constraint WHERE conrelid = 'job_live'::regclass AND contype = 'c' ORDER BY 1;
\set VERBOSITY sqlstate
UPDATE job_live SET status = 'locked' WHERE id = 5;
UPDATE job_live SET status = 'queued' WHERE id = 5;
UPDATE job_live SET status = 'completed' WHERE id = 5;
UPDATE job_live SET position = NULL WHERE id = 6;
UPDATE job_live SET lock_token = NULL WHERE id = 6;
UPDATE job_live SET due_at = now() WHERE id = 6;
INSERT INTO job_history SELECT id, queue, tenant_id, job_type, priority, run_at, max_attempts, timeout, idempotency_key, concurrency_key,
    run_id, stage, created_at, payload, status, attempts, locked_by, locked_at, lock_token, last_error, now() FROM job_live WHERE id = 6;
