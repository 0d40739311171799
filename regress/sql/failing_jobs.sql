-- Jobs, runs and leases that housekeeping cannot move, because a trigger, a CHECK or an index of a user's refuses it, stop
-- nobody: the call that housekeeping rides on succeeds, all other jobs move, the error is noted, and the next try comes after
-- a time that grows.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'refused: %', coalesce(to_jsonb(NEW), to_jsonb(OLD)) ->> TG_ARGV[0] USING ERRCODE = 'U0001';
END
$$;
CREATE VIEW failing AS
    SELECT f.kind, coalesce(j.tenant_id || ' ' || (j.payload ->> 'n'), f.kind) AS which, f.step, f.failures, f.sqlstate, f.error,
           date_trunc('second', f.retry_at - f.failed_at) AS pause
      FROM housekeeping_failures f LEFT JOIN job_live j ON f.kind = 'job' AND j.id = f.id ORDER BY f.kind, 2;
CREATE VIEW jobs AS SELECT tenant_id, payload ->> 'n' AS n, status FROM job_live ORDER BY 1, 2;
CREATE PROCEDURE retry_now() LANGUAGE sql AS 'UPDATE housekeeping_failures SET failed_at = now() - interval ''1 hour'', retry_at = now()';
CREATE FUNCTION numbers(n integer) RETURNS jsonb[] LANGUAGE sql AS
    'SELECT array_agg(jsonb_build_object(''n'', n, ''bad'', n % 10 = 7) ORDER BY n) FROM generate_series(1, $1) n';
CREATE FUNCTION why(tenant text, number text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT w - 'job_id' - 'until' - 'change' FROM job_live, why_not_running(id) w WHERE tenant_id = tenant AND payload ->> 'n' = number
$$;

------------------------------------------------------------------------------------------------ promotion
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[20]), 'mail', numbers(20), run_at => now() + interval '1 hour');
SELECT count(*) FROM enqueue_jobs(ARRAY['b'], 'mail', numbers(1), run_at => now() + interval '1 hour');
UPDATE job_live SET due_at = now() - id * interval '1 ms';
CREATE TRIGGER refuse BEFORE UPDATE ON job_live FOR EACH ROW WHEN ((OLD.payload ->> 'bad')::boolean) EXECUTE FUNCTION refuse('tenant_id');
SELECT tenant_id, count(*) FROM claim_queued_jobs('w', 50, 50) GROUP BY 1 ORDER BY 1;
SELECT * FROM failing;
SELECT why('a', '7');
-- Until the next try comes, it costs no try; each failure doubles the pause.
UPDATE housekeeping_failures SET retry_at = now() + interval '1 hour';
SELECT count(*) FROM claim_queued_jobs('w', 50, 50);
SELECT which, failures FROM failing;
CALL retry_now();
SELECT count(*) FROM claim_queued_jobs('w', 50, 50);
SELECT which, failures, pause FROM failing;
UPDATE housekeeping_failures SET failures = 1000;
CALL retry_now();
SELECT count(*) FROM claim_queued_jobs('w', 50, 50);
SELECT which, failures, pause FROM failing;
SELECT get_queue_metrics() -> 'housekeeping' -> 'failing' AS failing;
-- A note from the future is of a time before the clock was set back.
UPDATE housekeeping_failures SET failed_at = now() + interval '1 hour', retry_at = now() + interval '2 hours';
SELECT count(*) FROM claim_queued_jobs('w', 50, 50);
SELECT failures, failed_at <= clock_timestamp() AS tried FROM housekeeping_failures;
DROP TRIGGER refuse ON job_live;
CALL retry_now();
SELECT count(*) FROM claim_queued_jobs('w', 50, 50);
\c
CALL retry_now();
SELECT pg_sleep(1.1); -- a sweep is due: it deletes the note of what has moved
SELECT count(*) FROM claim_queued_jobs('w', 50, 50);
SELECT count(*) AS noted FROM housekeeping_failures;

------------------------------------------------------------------------------------------------ leases
TRUNCATE job_live, job_leases, job_history, housekeeping_failures RESTART IDENTITY;
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[8]), 'mail', numbers(8));
SELECT count(*) FROM enqueue_jobs(array_fill('b'::text, ARRAY[3]), 'mail', numbers(3), max_attempts => 1);
SELECT count(*) FROM claim_queued_jobs('first', 11, 8);
SELECT count(*) FROM enqueue_jobs(ARRAY['c'], 'mail', numbers(1));
SELECT count(*) FROM claim_queued_jobs('second', 1);
UPDATE job_leases SET locked_at = locked_at - interval '1 hour', heartbeat_at = heartbeat_at - interval '1 hour';
UPDATE job_live SET payload = payload || '{"bad": true}' WHERE tenant_id = 'b' AND payload ->> 'n' = '2';
-- One cannot be queued, one cannot go to history.
CREATE TRIGGER refuse BEFORE UPDATE ON job_live FOR EACH ROW WHEN ((OLD.payload ->> 'bad')::boolean) EXECUTE FUNCTION refuse('tenant_id');
CREATE TRIGGER refuse BEFORE INSERT ON job_history FOR EACH ROW WHEN ((NEW.payload ->> 'bad')::boolean) EXECUTE FUNCTION refuse('tenant_id');
SELECT pg_sleep(1.1);
SELECT tenant_id, count(*) FROM claim_queued_jobs('w', 50, 50) GROUP BY 1 ORDER BY 1;
SELECT * FROM failing;
SELECT * FROM jobs;
SELECT status, count(*) FROM job_history GROUP BY 1;
SELECT worker_id FROM job_leases ORDER BY 1;
SELECT why('a', '7');
-- reclaim_stuck_jobs tries them at once.
SELECT reclaim_stuck_jobs('30 minutes');
SELECT which, failures FROM failing;
DROP TRIGGER refuse ON job_live;
DROP TRIGGER refuse ON job_history;
SELECT reclaim_stuck_jobs('30 minutes');
SELECT * FROM failing;
SELECT worker_id FROM job_leases ORDER BY 1;
-- A lease that cannot be deleted keeps none of its jobs.
TRUNCATE job_live, job_leases, job_history, housekeeping_failures RESTART IDENTITY;
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[3]), 'mail', numbers(3));
SELECT count(*) FROM claim_queued_jobs('bad', 2);
SELECT count(*) FROM claim_queued_jobs('good', 2);
UPDATE job_leases SET locked_at = locked_at - interval '1 hour', heartbeat_at = heartbeat_at - interval '1 hour';
CREATE TRIGGER refuse BEFORE DELETE ON job_leases FOR EACH ROW WHEN (OLD.worker_id = 'bad') EXECUTE FUNCTION refuse('worker_id');
SELECT pg_sleep(1.1);
SELECT count(*) FROM claim_queued_jobs('w', 50, 50);
SELECT * FROM failing;
SELECT worker_id FROM job_leases ORDER BY 1;
DROP TRIGGER refuse ON job_leases;

------------------------------------------------------------------------------------------------ keys
TRUNCATE job_live, job_leases, job_history, housekeeping_failures RESTART IDENTITY;
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[3]), 'mail', numbers(3), concurrency_keys => array_fill('k'::text, ARRAY[3]));
UPDATE job_live SET payload = payload || '{"bad": true}' WHERE payload ->> 'n' = '2';
SELECT id, lock_token FROM claim_queued_jobs('w', 3) \gset
SELECT * FROM jobs;
CREATE TRIGGER refuse BEFORE UPDATE ON job_live FOR EACH ROW
    WHEN (OLD.parked_position IS NOT NULL AND (OLD.payload ->> 'bad')::boolean) EXECUTE FUNCTION refuse('tenant_id');
-- The end of the job that has the key is not undone, and the next one but one gets its turn.
SELECT complete_jobs(ARRAY[:id], :lock_token);
SELECT * FROM failing;
SELECT why('a', '2');
SELECT payload ->> 'n' AS n, id, lock_token FROM claim_queued_jobs('w', 3) \gset
SELECT :n AS n;
DROP TRIGGER refuse ON job_live;
CALL retry_now();
SELECT complete_jobs(ARRAY[:id], :lock_token);
SELECT payload ->> 'n' AS n FROM claim_queued_jobs('w', 3);

------------------------------------------------------------------------------------------------ a type that was paused
TRUNCATE job_live, job_leases, job_history, housekeeping_failures RESTART IDENTITY;
SELECT pause_job_type('slow');
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[10]), 'slow', numbers(10));
SELECT count(*) FROM claim_queued_jobs('w', 50, 50);
CREATE TRIGGER refuse BEFORE UPDATE ON job_live FOR EACH ROW WHEN ((OLD.payload ->> 'bad')::boolean) EXECUTE FUNCTION refuse('tenant_id');
SELECT resume_job_type('slow');
SELECT * FROM failing;
SELECT count(*) FROM claim_queued_jobs('w', 50, 50);
SELECT why('a', '7');
DROP TRIGGER refuse ON job_live;
-- One that cannot be parked stays where it is, and claims go on.
TRUNCATE job_live, job_leases, job_history, housekeeping_failures RESTART IDENTITY;
SELECT pause_job_type('slow');
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[10]), 'slow', numbers(10));
SELECT count(*) FROM enqueue_jobs(ARRAY['a'], 'mail');
CREATE TRIGGER refuse BEFORE UPDATE ON job_live FOR EACH ROW WHEN ((OLD.payload ->> 'bad')::boolean) EXECUTE FUNCTION refuse('tenant_id');
SELECT job_type FROM claim_queued_jobs('w', 50, 50);
SELECT * FROM failing;
DROP TRIGGER refuse ON job_live;
SELECT resume_job_type('slow');

------------------------------------------------------------------------------------------------ runs
TRUNCATE job_live, job_leases, job_history, housekeeping_failures RESTART IDENTITY;
SELECT create_pipeline_run('a', 'nightly') AS run, create_pipeline_run('a', 'weekly') AS other \gset
BEGIN;
SELECT enqueue_job('a', 'mail', '{"n": 0}', run_id => r) FROM unnest(ARRAY[:run, :other]::bigint[]) r \g /dev/null
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[20]), 'mail', numbers(20), run_id => :run, stage => 2);
SELECT enqueue_job('a', 'mail', '{"n": 100}', run_id => :other, stage => 2) > 0 AS other;
COMMIT;
CREATE TRIGGER refuse BEFORE UPDATE OR DELETE ON job_live FOR EACH ROW WHEN ((OLD.payload ->> 'bad')::boolean) EXECUTE FUNCTION refuse('tenant_id');
SELECT array_agg(id) AS ids, max(lock_token) AS token FROM claim_queued_jobs('w', 50, 50) \gset
SELECT count(*) FROM complete_jobs(:'ids'::bigint[], :token);
SELECT count(*) FROM claim_queued_jobs('w', 50, 50);
SELECT count(*) FROM claim_queued_jobs('w', 50, 50);
SELECT * FROM failing;
SELECT why('a', '7');
SELECT name, status, stage FROM pipeline_runs ORDER BY id;
DROP TRIGGER refuse ON job_live;
CALL retry_now();
SELECT count(*) FROM claim_queued_jobs('w', 50, 50);
SELECT count(*) FROM claim_queued_jobs('w', 50, 50);
SELECT count(*) AS blocked FROM job_live WHERE status = 'blocked';

------------------------------------------------------------------------------------------------ redrive
TRUNCATE job_live, job_leases, job_history, housekeeping_failures, pipeline_runs RESTART IDENTITY;
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[20]), 'mail', numbers(20));
SELECT count(fail_job(id, lock_token, 'no', retry => false)) FROM claim_queued_jobs('w', 50, 50);
CREATE TRIGGER refuse BEFORE INSERT ON job_live FOR EACH ROW WHEN ((NEW.payload ->> 'bad')::boolean) EXECUTE FUNCTION refuse('tenant_id');
SELECT redrive_dead_jobs(max_jobs => 15);
SELECT redrive_dead_jobs();
SELECT redrive_dead_jobs(); -- only those that are refused are left
DROP TRIGGER refuse ON job_live;
SELECT redrive_dead_jobs();

------------------------------------------------------------------------------------------------ claims
-- A job whose own claim is refused does not keep the others from being claimed. By a CHECK that one row breaks already:
TRUNCATE job_live, job_leases, job_history, housekeeping_failures, pipeline_runs RESTART IDENTITY;
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[20]), 'mail', numbers(20));
SELECT count(*) FROM enqueue_jobs(ARRAY['b'], 'mail', numbers(1));
ALTER TABLE job_live ADD CONSTRAINT good CHECK ((payload ->> 'bad')::boolean IS NOT TRUE) NOT VALID;
SELECT tenant_id, array_agg(payload ->> 'n' ORDER BY id) AS n FROM claim_queued_jobs('w', 10, 10) GROUP BY 1 ORDER BY 1;
SELECT * FROM failing;
SELECT why('a', '7');
-- It is passed over, until it is time to try it again.
UPDATE housekeeping_failures SET retry_at = now() + interval '1 hour';
SELECT tenant_id, array_agg(payload ->> 'n' ORDER BY id) AS n FROM claim_queued_jobs('w', 5, 5) GROUP BY 1 ORDER BY 1;
SELECT which, failures FROM failing;
CALL retry_now();
SELECT tenant_id, array_agg(payload ->> 'n' ORDER BY id) AS n FROM claim_queued_jobs('w', 50, 50) GROUP BY 1 ORDER BY 1;
SELECT which, step, failures FROM failing;
ALTER TABLE job_live DROP CONSTRAINT good;
CALL retry_now();
SELECT payload ->> 'n' AS n, attempts FROM claim_queued_jobs('w', 50, 50) ORDER BY id;
SELECT count(*) AS leases, sum(cardinality(job_ids)) AS jobs FROM job_leases;
-- A claim of one job gets the one behind those that are refused.
TRUNCATE job_live, job_leases, job_history, housekeeping_failures RESTART IDENTITY;
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[3]), 'mail', numbers(3));
ALTER TABLE job_live ADD CONSTRAINT good CHECK (payload ->> 'n' = '3') NOT VALID;
SET fairq.housekeeping_time = '10s'; -- for as long as it may look behind them
SELECT payload ->> 'n' AS n FROM claim_queued_jobs('w', 1);
RESET fairq.housekeeping_time;
SELECT which, step FROM failing;
-- What fails for all, whichever job it is, is the call's error.
ALTER TABLE job_live DROP CONSTRAINT good;
TRUNCATE housekeeping_failures;
CREATE RULE refuse AS ON UPDATE TO job_live DO INSTEAD NOTHING;
SELECT count(*) FROM claim_queued_jobs('w', 1);
SELECT * FROM failing;
DROP RULE refuse ON job_live;
-- By an index, to which a claim adds an entry only when it is no HOT update.
TRUNCATE job_live, job_leases, job_history, housekeeping_failures RESTART IDENTITY;
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[20]), 'mail', numbers(20));
CREATE INDEX refusing ON job_live ((1 / CASE WHEN payload @> '{"bad": true}' AND status = 'locked' THEN 0 ELSE 1 END));
SELECT array_agg(payload ->> 'n' ORDER BY id) AS n FROM claim_queued_jobs('w', 50, 50);
SELECT * FROM failing;
DROP INDEX refusing;
-- By a unique index: of those that want the same, the first gets it.
TRUNCATE job_live, job_leases, job_history, housekeeping_failures RESTART IDENTITY;
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'a', 'b'], 'mail', numbers(3));
CREATE UNIQUE INDEX one_of_a_tenant ON job_live (tenant_id) WHERE status = 'locked';
SELECT payload ->> 'n' AS n FROM claim_queued_jobs('w', 50, 50) ORDER BY id;
SELECT which, sqlstate FROM failing;
DROP INDEX one_of_a_tenant;
CALL retry_now();
-- All others pay for no subtransaction: the transaction itself has written the row.
BEGIN;
SELECT payload ->> 'n' AS n FROM claim_queued_jobs('w', 50, 50);
SELECT count(*) AS by_the_transaction FROM job_live WHERE status = 'locked' AND xmin = pg_current_xact_id()::xid;
COMMIT;

------------------------------------------------------------------------------------------------ what a tick could not do
TRUNCATE job_live, job_leases, job_history, housekeeping_failures RESTART IDENTITY;
CREATE FUNCTION no_table() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no tables today'; END $$;
SELECT format('ALTER DATABASE %I SET fairq.history_days_ahead = 9', current_database()) \gexec
CREATE EVENT TRIGGER no_table ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION no_table();
SELECT run_job_queue_cron() -> 'errors' AS errors;
SELECT (get_queue_metrics() -> 'housekeeping' ->> 'failures')::integer > 0 OR NOT (get_queue_metrics() ->> 'shared_memory')::boolean AS counted;
DROP EVENT TRIGGER no_table;
SELECT format('ALTER DATABASE %I RESET fairq.history_days_ahead', current_database()) \gexec
SELECT run_job_queue_cron() -> 'errors' AS errors;

DROP VIEW failing, jobs;
DROP PROCEDURE retry_now;
DROP FUNCTION refuse, numbers, why, no_table;
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
