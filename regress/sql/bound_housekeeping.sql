-- Where all workers are bound to tenants, what rides on their claims is enough for each tenant that has one; and what others
-- have left lying costs them little, however much it is. (What they leave alone: specs/bound_claim.spec.)
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
CREATE ROLE regress_bound;
RESET client_min_messages;
ALTER TABLE job_live SET (autovacuum_enabled = off);
SELECT grant_queue_access('regress_bound', 'worker', t) FROM unnest(ARRAY['m', 'n']) t;

-- Behind 20,000 due jobs of others: no more than it asks for, the oldest first, and theirs are not read.
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[10000]) || array_fill('z'::text, ARRAY[10000]) || ARRAY['m', 'm', 'm', 'n'], 'mail',
    run_at => clock_timestamp() + interval '1 hour');
UPDATE job_live SET due_at = now() - interval '1 hour' WHERE tenant_id IN ('a', 'z');
UPDATE job_live SET due_at = now() - id * interval '1 ms' WHERE tenant_id IN ('m', 'n');
VACUUM ANALYZE job_live;
CREATE VIEW rows_read AS SELECT idx_tup_fetch + seq_tup_read AS n FROM pg_stat_xact_user_tables WHERE relid = 'job_live'::regclass;
SET ROLE regress_bound;
SELECT count(*) FROM claim_queued_jobs('w', 1);
RESET ROLE;
SELECT count(*) AS left_due FROM job_live WHERE tenant_id IN ('m', 'n') AND status = 'scheduled';
BEGIN;
SELECT n AS before FROM rows_read \gset
SET LOCAL ROLE regress_bound;
SELECT count(*) FROM claim_queued_jobs('w', 50);
RESET ROLE;
SELECT n - :before < 100 AS read_few FROM rows_read;
COMMIT;
SELECT tenant_id, status, count(*) FROM job_live GROUP BY 1, 2 ORDER BY 1, 2;
TRUNCATE job_live, job_leases;
SELECT count(*) FROM enqueue_jobs(ARRAY['m', 'm', 'm'], 'mail', run_at => clock_timestamp() + interval '1 hour');
UPDATE job_live SET due_at = now() - (id % 3) * interval '1 s' - interval '1 s';
BEGIN;
SET LOCAL ROLE regress_bound;
SELECT id % 3 AS oldest FROM claim_queued_jobs('w', 1);
SELECT id % 3 AS next FROM claim_queued_jobs('w', 1);
COMMIT;

-- Behind 250 stale leases of others: a sweep looks at a hundred, the next one goes on, then begins anew.
TRUNCATE job_live, job_leases;
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[250]) || ARRAY['m', 'n'], 'mail');
INSERT INTO job_leases (lock_token, worker_id, locked_at, heartbeat_at, job_ids)
SELECT n, 'dead', now() - interval '2 hours' + n * interval '1 s', now() - interval '1 hour', ARRAY[id]
  FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM job_live) j;
UPDATE job_live j SET status = 'locked', attempts = 1, locked_by = 'dead', locked_at = l.locked_at, lock_token = l.lock_token
  FROM job_leases l WHERE j.id = l.job_ids[1];
CREATE PROCEDURE claim_a_second(times int) LANGUAGE plpgsql AS $$
DECLARE
    jobs bigint;
BEGIN
    FOR i IN 1 .. times LOOP
        PERFORM pg_sleep(1.1);
        SET LOCAL ROLE regress_bound;
        SELECT count(*) INTO jobs FROM claim_queued_jobs('w');
        RAISE NOTICE 'claimed %', jobs;
        COMMIT;
    END LOOP;
END $$;
\c
CALL claim_a_second(4);
UPDATE job_leases SET locked_at = now() - interval '3 hours', heartbeat_at = now() - interval '1 hour' WHERE worker_id = 'w';
CALL claim_a_second(3);
SELECT tenant_id, locked_by, count(*) FROM job_live GROUP BY 1, 2 ORDER BY 1, 2;
-- One with a heartbeat is not stale, whosever it is.
UPDATE job_leases SET locked_at = now() - interval '3 hours', heartbeat_at = now() WHERE worker_id = 'w';
CALL claim_a_second(1);

-- Leases that have ended job by job are of nobody, and a claim keeps up with them.
TRUNCATE job_live, job_leases;
INSERT INTO job_leases (lock_token, worker_id, locked_at, heartbeat_at, job_ids)
SELECT n, 'w', now() - interval '1 hour', now() - interval '1 hour', ARRAY[n] FROM generate_series(1, 250) n;
SELECT pg_sleep(1.1); -- a sweep is due, in whichever session of this role
\c
SET ROLE regress_bound;
SELECT count(*) FROM claim_queued_jobs('w');
RESET ROLE;
SELECT count(*) AS leases FROM job_leases;

DROP PROCEDURE claim_a_second;
DROP VIEW rows_read;
SET client_min_messages = warning;
DROP OWNED BY regress_bound;
DROP EXTENSION fairq CASCADE;
DROP ROLE regress_bound;
CREATE EXTENSION fairq;
