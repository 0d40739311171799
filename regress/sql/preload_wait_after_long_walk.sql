-- A claim that has walked over very many finished jobs, and has something, looks only at the first entries of further lanes.
-- It has not seen all then: a worker that waits after it is sent back at once. Else it would sleep beside a job that nobody
-- tells of any more.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
SELECT count(*) FROM claim_queued_jobs('w'); -- from here on the lanes are known
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[101000]) || array_fill('b'::text, ARRAY[3000]), 'mail');
DELETE FROM job_live;
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'b'], 'mail');
SELECT tenant_id FROM claim_queued_jobs('w', 10);
CALL wait_for_jobs('3 s');
SELECT tenant_id FROM claim_queued_jobs('w', 10);
CALL wait_for_jobs('10 ms');
