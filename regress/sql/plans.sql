-- Plans that were made while the queue was empty serve the full one: rows are reached by their ids, not by a walk over all.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

CREATE TEMP VIEW rows_read AS SELECT idx_tup_fetch AS n FROM pg_stat_xact_user_tables WHERE relid = 'job_live'::regclass;
ALTER TABLE job_live SET (autovacuum_enabled = off);
VACUUM ANALYZE job_live;
VACUUM ANALYZE job_leases;
-- Each statement of the hot path is planned here, in this session.
SELECT count(*) FROM claim_queued_jobs('w');
SELECT enqueue_job('t', 'mail') > 0 AS enqueued;
CREATE TEMP TABLE claimed AS SELECT id, lock_token FROM claim_queued_jobs('w');
SELECT heartbeat_jobs(lock_token), count(release_jobs(ARRAY[id], lock_token)) FROM claimed GROUP BY id, lock_token;
TRUNCATE claimed;
INSERT INTO claimed SELECT id, lock_token FROM claim_queued_jobs('w');
SELECT count(*) FROM (SELECT complete_jobs(ARRAY[id], lock_token) FROM claimed) s;
SELECT cancel_job(enqueue_job('t', 'mail'));
VACUUM ANALYZE job_live;

SELECT count(*) FROM enqueue_jobs(array_fill('t'::text, ARRAY[20000]), 'mail');
TRUNCATE claimed;
BEGIN;
INSERT INTO claimed SELECT id, lock_token FROM claim_queued_jobs('w', 50, 50);
SELECT n < 1000 AS claim FROM rows_read;
COMMIT;
BEGIN;
SELECT heartbeat_jobs(max(lock_token)) FROM claimed;
SELECT n < 1000 AS heartbeat FROM rows_read;
COMMIT;
BEGIN;
SELECT count(*) FROM (SELECT complete_jobs(array_agg(id), max(lock_token)) FROM (SELECT * FROM claimed ORDER BY id LIMIT 25) s) t;
SELECT n < 1000 AS complete FROM rows_read;
COMMIT;
BEGIN;
SELECT release_jobs(array_agg(id), max(lock_token)) FROM (SELECT * FROM claimed ORDER BY id OFFSET 25) s;
SELECT n < 1000 AS release FROM rows_read;
COMMIT;

DROP TABLE claimed;
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
