-- What rides on claims: due jobs are promoted and claimed by the same call; a stale lease comes back whole, with one claim.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

SELECT enqueue_job('t', 'mail', run_at => clock_timestamp() + interval '1 ms') > 0 AS scheduled;
SELECT pg_sleep(0.01);
SELECT count(*) AS promoted_and_claimed FROM claim_queued_jobs('w');

-- A claim sweeps at most once a second, so the one that is to sweep comes later than that.
SELECT count(*) FROM enqueue_jobs(array_fill('t'::text, ARRAY[20]), 'mail');
SELECT count(*) FROM claim_queued_jobs('dead worker', 20, 20);
UPDATE job_leases SET locked_at = locked_at - interval '1 hour', heartbeat_at = heartbeat_at - interval '1 hour' WHERE worker_id = 'dead worker';
SELECT pg_sleep(1.1);
SELECT count(*) AS reclaimed_and_claimed, min(attempts) AS attempts FROM claim_queued_jobs('w', 50, 50);

-- Leases that have ended job by job go, too.
SELECT count(*) FROM enqueue_jobs(array_fill('t'::text, ARRAY[2]), 'mail');
CREATE TEMP TABLE claimed AS SELECT id, lock_token FROM claim_queued_jobs('piecemeal', 2);
SELECT count(*) FROM (SELECT complete_jobs(ARRAY[id], lock_token) FROM claimed) s;
SELECT count(*) AS ended_but_there FROM job_leases WHERE worker_id = 'piecemeal';
UPDATE job_leases SET locked_at = locked_at - interval '1 hour', heartbeat_at = heartbeat_at - interval '1 hour' WHERE worker_id = 'piecemeal';
SELECT reclaim_stuck_jobs('30 minutes');
SELECT count(*) AS ended_but_there FROM job_leases WHERE worker_id = 'piecemeal';

-- The oldest age behind more scheduled jobs than the walk by id looks at.
SELECT clear_load_test_data();
SELECT count(*) FROM enqueue_jobs(array_fill('later'::text, ARRAY[12000]), 'mail', run_at => clock_timestamp() + interval '1 day');
SELECT get_queue_metrics() -> 'oldest_queued_age_seconds' AS none_is_queued;
SELECT enqueue_job('t', 'mail') > 0 AS enqueued, enqueue_job('u', 'mail') > 0 AS enqueued;
UPDATE job_live SET created_at = created_at - interval '100 s' WHERE tenant_id = 'u' AND status = 'queued';
SELECT (get_queue_metrics() ->> 'oldest_queued_age_seconds')::integer BETWEEN 100 AND 150 AS oldest;

DROP TABLE claimed;
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
