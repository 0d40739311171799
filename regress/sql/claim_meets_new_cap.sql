-- A claim that meets a tenant whose cap is new, after it has taken another tenant's jobs, and then comes back to that one:
-- the jobs that it took are still queued to its snapshot, but its own commands are behind it.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
SELECT count(*) FROM enqueue_jobs(ARRAY['a1', 'a2', 'b', 'z', 'z', 'z', 'z', 'z', 'z'], 'mail');
SELECT count(*) FROM claim_queued_jobs('w', 1000);
SELECT count(*) FROM job_leases l, release_jobs(ARRAY(SELECT id FROM job_live WHERE tenant_id = 'z'), l.lock_token);
DELETE FROM job_live WHERE tenant_id < 'b';
SELECT FROM set_tenant_limits('b', max_concurrency => 1);
SELECT count(*) FROM enqueue_jobs(ARRAY['b', 'b'], 'mail');
-- The order of the lanes is as it has to be wherever a claim begins but in a1 and a2.
BEGIN;
SELECT tenant_id FROM claim_queued_jobs('w', 3);
ROLLBACK;
\c -
BEGIN;
SELECT tenant_id FROM claim_queued_jobs('w', 3);
ROLLBACK;
\c -
BEGIN;
SELECT tenant_id FROM claim_queued_jobs('w', 3);
ROLLBACK;
