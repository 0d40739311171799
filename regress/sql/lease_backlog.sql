-- Leases whose jobs were completed in parts end by the sweep that rides on claims. However many claims leave such leases
-- behind in a second, the sweeps of the next claims keep up with them.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[500]), 'mail');
DO $$
DECLARE
    token bigint;
    ids bigint[];
BEGIN
    FOR i IN 1 .. 250 LOOP
        SELECT array_agg(id), max(lock_token) INTO ids, token FROM claim_queued_jobs('w', 2);
        PERFORM complete_jobs(ids[1:1], token);
        PERFORM complete_jobs(ids[2:2], token);
    END LOOP;
END $$;
SELECT count(*) AS jobs FROM job_live;
SELECT count(*) AS leases FROM job_leases;
UPDATE job_leases SET locked_at = locked_at - interval '1 hour', heartbeat_at = heartbeat_at - interval '1 hour';
SELECT FROM pg_sleep(1.1); -- a sweep is due
SELECT count(*) FROM claim_queued_jobs('w');
SELECT count(*) AS leases FROM job_leases;
SELECT count(*) FROM claim_queued_jobs('w');
SELECT count(*) FROM claim_queued_jobs('w');
SELECT count(*) AS leases FROM job_leases;
