-- Where a sweep stops the next one goes on, in whichever session: workers may come with a new one for each claim.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
SELECT format('ALTER DATABASE %I SET fairq.housekeeping_time = ''1ms''', current_database()) \gexec
\c
-- The successor of the last job but ten of 130 keys can go; the others wait. A sweep looks at a hundred keys.
SELECT count(*) FROM enqueue_jobs(array_fill('acme'::text, ARRAY[260]), 'mail',
    concurrency_keys => (SELECT array_agg('key-' || to_char(1 + n % 130, 'FM000') ORDER BY n) FROM generate_series(0, 259) n));
SELECT count(*) FROM claim_queued_jobs('long', 260, 260);
SELECT count(*) FROM job_live WHERE parked_position IS NOT NULL;
DELETE FROM job_live WHERE held_key = 'key-120';
CREATE TABLE got (id bigint);
\c
SELECT pg_sleep(1.1);
INSERT INTO got SELECT id FROM claim_queued_jobs('w', 10);
\c
SELECT pg_sleep(1.1);
INSERT INTO got SELECT id FROM claim_queued_jobs('w', 10);
\c
SELECT pg_sleep(1.1);
INSERT INTO got SELECT id FROM claim_queued_jobs('w', 10);
\c
SELECT pg_sleep(1.1);
INSERT INTO got SELECT id FROM claim_queued_jobs('w', 10);
\c
SELECT pg_sleep(1.1);
INSERT INTO got SELECT id FROM claim_queued_jobs('w', 10);
\c
SELECT pg_sleep(1.1);
INSERT INTO got SELECT id FROM claim_queued_jobs('w', 10);
SELECT concurrency_key FROM got JOIN job_live USING (id);

SELECT format('ALTER DATABASE %I RESET fairq.housekeeping_time', current_database()) \gexec
DROP TABLE got;
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
