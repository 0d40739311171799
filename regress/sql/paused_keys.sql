-- Jobs of a paused type that have a concurrency key stay in their lane; a claim goes past them without locking each, which
-- would write a record of the log for every one, at every claim.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'a', 'a'], 'deploy', concurrency_keys => ARRAY['k', 'k', 'l']);
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'a'], 'report');
SELECT pause_job_type('deploy'), pause_job_type('report');
SELECT count(*) FROM enqueue_jobs(ARRAY['a'], 'mail');
SELECT job_type FROM claim_queued_jobs('w');
SELECT job_type, xmax <> 0 AS was_locked, parked_position IS NOT NULL AS parked, count(*)
  FROM job_live WHERE status = 'queued' GROUP BY 1, 2, 3;
SELECT resume_job_type('deploy'), resume_job_type('report');
SELECT job_type, concurrency_key FROM claim_queued_jobs('w') ORDER BY 1, 2;
