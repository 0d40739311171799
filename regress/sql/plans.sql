-- Plans that were made while the queue was empty serve the full one: rows are reached by their ids, not by a walk over all.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

CREATE TEMP VIEW rows_read AS SELECT idx_tup_fetch AS n FROM pg_stat_xact_user_tables WHERE relid = 'job_live'::regclass;
ALTER TABLE job_live SET (autovacuum_enabled = off);
VACUUM ANALYZE job_live;
VACUUM ANALYZE job_leases;
-- Each statement is planned here, in this session, for a table without a page.
SELECT count(*) FROM claim_queued_jobs('w');
SELECT heartbeat_jobs(1), release_jobs(ARRAY[1], 1), reclaim_stuck_jobs('1 hour');
SELECT count(*) FROM complete_jobs(ARRAY[1], 1);
CREATE TEMP TABLE claimed (id bigint, lock_token bigint);

SELECT count(*) FROM enqueue_jobs(array_fill('t'::text, ARRAY[20000]), 'mail');
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
