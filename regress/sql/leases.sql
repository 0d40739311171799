-- Leases: heartbeat, reclaim, and what a lease that was lost can no longer do.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

-- Nobody sleeps here: time passes by this.
CREATE PROCEDURE pg_temp.grow_old(worker text, age interval) LANGUAGE sql AS $$
    UPDATE job_leases SET heartbeat_at = clock_timestamp() - age, locked_at = clock_timestamp() - age WHERE worker_id = worker
$$;
CREATE TEMP VIEW jobs AS
    SELECT id, status, attempts, locked_by AS worker, locked_at IS NOT NULL AS has_time, lock_token IS NOT NULL AS has_token, last_error
      FROM job_queue ORDER BY id;

-- A heartbeat counts the jobs that are still held.
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[6]), 'mail', max_attempts => 2);
SELECT max(lock_token) AS token FROM claim_queued_jobs('w', 4) \gset
CALL pg_temp.grow_old('w', '1 hour');
SELECT heartbeat_jobs(:token);
SELECT clock_timestamp() - heartbeat_at < interval '1 minute' AS fresh, heartbeat_at - locked_at > interval '59 minutes' AS since FROM job_leases;
SELECT complete_jobs(ARRAY[1], :token);
SELECT heartbeat_jobs(:token), heartbeat_jobs(:token + 1);

-- Alive, it is not reclaimed.
SELECT reclaim_stuck_jobs('1 minute');
-- Without a heartbeat for long enough its jobs go back to their places; the lease is gone.
UPDATE job_leases SET heartbeat_at = clock_timestamp() - interval '50 seconds';
SELECT reclaim_stuck_jobs('1 minute');
UPDATE job_leases SET heartbeat_at = clock_timestamp() - interval '70 seconds';
SELECT reclaim_stuck_jobs('1 minute');
SELECT * FROM jobs;
SELECT count(*) FROM job_leases;
SELECT reclaim_stuck_jobs('1 minute');

-- The worker that lost it is refused everything.
SELECT heartbeat_jobs(:token);
SELECT complete_jobs(ARRAY[2, 3, 4], :token);
SELECT release_jobs(ARRAY[2, 3, 4], :token);
\set VERBOSITY sqlstate
SELECT fail_job(2, :token, 'late');
\set VERBOSITY default
-- Also when another worker has the jobs now, in their old order.
SELECT id, attempts FROM claim_queued_jobs('w2', 2);
SELECT heartbeat_jobs(:token);
SELECT complete_jobs(ARRAY[2, 3], :token);
SELECT release_jobs(ARRAY[2, 3], :token);
\set VERBOSITY sqlstate
SELECT fail_job(2, :token, 'late');
\set VERBOSITY default
SELECT * FROM jobs;

-- Out of attempts: reclaimed to dead. So a job that kills its worker ends.
CALL pg_temp.grow_old('w2', '1 minute');
SELECT reclaim_stuck_jobs();
SELECT * FROM jobs;
SELECT count(*) FROM job_leases;

-- max_jobs bounds one call, over leases and within one; oldest lease first.
TRUNCATE job_live, job_history, job_leases RESTART IDENTITY;
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[9]), 'mail');
SELECT count(*) FROM claim_queued_jobs('young', 3);
SELECT count(*) FROM claim_queued_jobs('old', 3);
SELECT count(*) FROM claim_queued_jobs('alive', 3);
CALL pg_temp.grow_old('young', '1 hour'); CALL pg_temp.grow_old('old', '2 hours');
SELECT reclaim_stuck_jobs(max_jobs => 2);
SELECT id, status, locked_by FROM job_live ORDER BY id;
SELECT reclaim_stuck_jobs(max_jobs => 2);
SELECT reclaim_stuck_jobs(max_jobs => 2);
SELECT reclaim_stuck_jobs(max_jobs => 2);
SELECT id, status, locked_by FROM job_live ORDER BY id;
SELECT worker_id FROM job_leases;

-- What is left of a lease whose jobs all ended otherwise is swept, and costs nothing of max_jobs.
TRUNCATE job_live, job_history, job_leases RESTART IDENTITY;
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[4]), 'mail');
SELECT count(*) FROM claim_queued_jobs('w1', 2);
SELECT count(*) FROM claim_queued_jobs('w2', 2);
SELECT complete_jobs(ARRAY[1], lock_token) FROM job_leases WHERE worker_id = 'w1';
SELECT cancel_job(2);
SELECT worker_id FROM job_leases ORDER BY 1;
CALL pg_temp.grow_old('w1', '2 hours'); CALL pg_temp.grow_old('w2', '1 hour');
SELECT reclaim_stuck_jobs(max_jobs => 3);
SELECT id, status FROM job_queue ORDER BY id;
SELECT count(*) FROM job_leases;

-- Claims reclaim by themselves, after fairq.lease_timeout; once a second at most, so here a queue's first claim does.
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'a'], 'mail');
UPDATE job_live SET status = 'locked', lock_token = id, attempts = 1;
INSERT INTO job_leases
    SELECT id, 'worker ' || id, clock_timestamp() - interval '1 hour', clock_timestamp() - CASE id WHEN 1 THEN interval '31 s' ELSE '20 s' END, ARRAY[id]
      FROM job_live;
\c -
SELECT id, attempts, last_error FROM claim_queued_jobs('here');
SELECT worker_id FROM job_leases WHERE cardinality(job_ids) = 1 AND worker_id <> 'worker 1' ORDER BY 1;

-- A tick reclaims in bulk.
SELECT count(*) FROM enqueue_jobs(array_fill('b'::text, ARRAY[50]), 'mail');
SELECT count(*) FROM claim_queued_jobs('gone 1', 20);
SELECT count(*) FROM claim_queued_jobs('gone 2', 20);
UPDATE job_leases SET heartbeat_at = clock_timestamp() - interval '31 seconds', locked_at = clock_timestamp() - interval '40 seconds';
SELECT run_job_queue_cron() -> 'claimed' AS claimed; -- nobody handles this type
SELECT status, count(*) FROM job_live GROUP BY status;
SELECT count(*) FROM job_leases;

-- The ids of a large claim are compressed in its lease; it ends with its last job nevertheless, and not before.
SELECT count(*) FROM enqueue_jobs(array_fill('c'::text, ARRAY[2000]), 'bulk');
DELETE FROM job_leases;
CREATE TEMP TABLE held AS SELECT id, lock_token FROM claim_queued_jobs('bulk', 1000, 1000);
SELECT cardinality(job_ids), pg_column_compression(job_ids) IS NOT NULL AS compressed FROM job_leases;
SELECT count(*) FROM (SELECT array_agg(id) AS ids, lock_token FROM held GROUP BY lock_token) AS h, complete_jobs(h.ids, h.lock_token);
SELECT count(*) FROM job_leases;
CREATE TEMP TABLE again AS SELECT id, lock_token FROM claim_queued_jobs('bulk', 1000, 1000);
SELECT count(*) FROM (SELECT min(id) AS id, lock_token FROM again GROUP BY lock_token) AS h, complete_jobs(ARRAY[h.id], h.lock_token);
SELECT cardinality(job_ids) FROM job_leases;
