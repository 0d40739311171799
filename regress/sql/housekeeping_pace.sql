-- The pace of what rides on claims follows the need, and its bounds hold: whatever there is to do, a claim does a part of it
-- and the next one goes on at once, in whichever session.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
SELECT format('ALTER DATABASE %I SET fairq.housekeeping_time = ''1ms''', current_database()) \gexec
\c
-- Claims and completes a moment apart, until no job is left, and at most so many times. With one job a second it would have
-- to do so many thousand times.
CREATE PROCEDURE work(times integer) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. times LOOP
        PERFORM count(*) FROM (SELECT complete_jobs(array_agg(id), lock_token) FROM claim_queued_jobs('w', 500, 500) GROUP BY lock_token) AS c;
        COMMIT;
        EXIT WHEN NOT EXISTS (SELECT FROM job_live) AND NOT EXISTS (SELECT FROM job_leases);
        PERFORM pg_sleep(0.003);
    END LOOP;
END
$$;
CREATE PROCEDURE die(workers integer) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. workers LOOP
        PERFORM FROM claim_queued_jobs('worker ' || i, 1);
        COMMIT;
    END LOOP;
END
$$;

-- 300 workers have died, each with one job.
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[300]), 'mail');
CALL die(300);
UPDATE job_leases SET locked_at = locked_at - interval '1 hour', heartbeat_at = heartbeat_at - interval '1 hour';
SELECT pg_sleep(1.1);
CALL work(4000);
SELECT count(*) FILTER (WHERE status = 'locked') AS locked, count(*) AS unfinished FROM job_live;
SELECT count(*) AS leases FROM job_leases;

-- A type is resumed.
SELECT pause_job_type('mail');
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[5000]), 'mail');
-- A claim parks a part of its jobs, not all of them.
SELECT count(*) FROM claim_queued_jobs('w', 1);
SELECT count(*) < 5000 AS a_part FROM job_live WHERE parked_position IS NOT NULL;
CALL work(300);
SELECT count(*) FROM job_live WHERE parked_position IS NOT NULL;
SELECT resume_job_type('mail');
SELECT count(*) > 0 AS some_are_parked FROM job_live WHERE parked_position IS NOT NULL;
CALL work(4000);
SELECT count(*) FROM job_live;

-- Jobs of a run.
SELECT create_pipeline_run('a', 'nightly') AS run \gset
BEGIN;
SELECT enqueue_job('a', 'mail', run_id => :run) \g /dev/null
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[5000]), 'mail', run_id => :run, stage => 2);
COMMIT;
SELECT id, lock_token FROM claim_queued_jobs('w', 1) \gset
SELECT complete_jobs(ARRAY[:id], :lock_token) IS NOT NULL AS completed;
SELECT count(*) > 0 AS some_are_blocked FROM job_live WHERE status = 'blocked';
CALL work(4000);
SELECT count(*) FROM job_live;

-- Due jobs: no more than a claim asks for, and what is left rides on the next.
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[5000]), 'mail', run_at => clock_timestamp() + interval '1 hour');
UPDATE job_live SET due_at = now() - interval '1 hour';
SELECT count(*) FROM claim_queued_jobs('w', 7, 7);
SELECT count(*) FROM job_live WHERE status = 'scheduled';
CALL work(4000);
SELECT count(*) FROM job_live WHERE status <> 'locked';

------------------------------------------------------------------------------------------------ a caller with little time
-- Each job takes 20 ms to put back, all of them longer than a statement may take. Nevertheless every claim succeeds, and all
-- jobs come back; what is called for this alone ends in its time, too.
SELECT format('ALTER DATABASE %I RESET fairq.housekeeping_time', current_database()) \gexec
\c
TRUNCATE job_live, job_leases RESTART IDENTITY;
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[150]), 'mail');
SELECT count(*) FROM claim_queued_jobs('dies', 150, 150);
UPDATE job_leases SET locked_at = locked_at - interval '1 hour', heartbeat_at = heartbeat_at - interval '1 hour';
CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$;
CREATE TRIGGER be_slow BEFORE UPDATE ON job_live FOR EACH ROW WHEN (OLD.status = 'locked') EXECUTE FUNCTION be_slow();
SET statement_timeout = '2s';
SELECT reclaim_stuck_jobs('30 minutes') BETWEEN 1 AND 149 AS a_part;
SELECT pg_sleep(1.1);
\o /dev/null
SELECT 'SELECT count(*) FROM claim_queued_jobs(''w'', 10)' FROM generate_series(1, 30) \gexec
\o
RESET statement_timeout;
SELECT count(*) FROM job_live WHERE locked_by = 'dies';

DROP TRIGGER be_slow ON job_live;
DROP FUNCTION be_slow;
DROP PROCEDURE work, die;
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
