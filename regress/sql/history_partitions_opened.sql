-- No call looks through the partitions of job_history that are older than 30 days, unless its caller says so: it would lock
-- every one of them, and hundreds of them would take milliseconds, and then all room for locks.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
CREATE ROLE regress_bound;
SELECT grant_queue_access('regress_bound', 'operator', 'a');
DO $$
BEGIN
    FOR n IN 0 .. 99 LOOP
        EXECUTE format('CREATE TABLE old_%s PARTITION OF job_history FOR VALUES FROM (%L) TO (%L)', n,
                       date_trunc('day', now()) - (n + 40) * interval '1 day', date_trunc('day', now()) - (n + 39) * interval '1 day');
    END LOOP;
END
$$;
-- What the command gives, and how many of those partitions it has locked.
CREATE FUNCTION opened(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    BEGIN
        EXECUTE command INTO result;
    EXCEPTION WHEN OTHERS THEN
        result := SQLSTATE || ' ' || SQLERRM;
    END;
    RETURN format('%s, opened: %s', coalesce(result, 'NULL'), (SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
                                            WHERE l.pid = pg_backend_pid() AND relname ~ '^old_'));
END
$$;

-- Jobs 1 to 4 have finished now, job 5 is dead; 6 to 8 finished 50 days ago, job 9 died then.
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[9]), 'mail', idempotency_keys => ARRAY['k1', 'k2', NULL, NULL, NULL, 'k6', NULL, NULL, NULL]);
SELECT count(*) FROM (SELECT complete_jobs(ARRAY[1, 2, 3, 4, 6, 7, 8], max(lock_token)) FROM claim_queued_jobs('w')) c;
SELECT fail_job(id, lock_token, 'no', false) FROM job_live ORDER BY id;
UPDATE job_history SET finished_at = now() - interval '50 days' WHERE id IN (6, 7, 8, 9);

SELECT opened('INSERT INTO job_queue (tenant_id, job_type) VALUES (''a'', ''mail'') RETURNING format(''%s %s'', id, status)');
SELECT opened('INSERT INTO job_queue (tenant_id, job_type, idempotency_key) VALUES (''a'', ''mail'', ''k1'') RETURNING format(''%s %s'', id, status)');
SELECT opened('INSERT INTO job_queue (tenant_id, job_type, idempotency_key) VALUES (''a'', ''mail'', ''k6'') RETURNING format(''%s %s'', id, coalesce(status::text, ''?''))');
SELECT opened('SELECT cancel_job(1)'), opened('SELECT cancel_job(7)'), opened('SELECT cancel_job(99)');
SELECT opened('SELECT fail_job(1, 1, ''late'')'), opened('SELECT fail_job(7, 1, ''late'')');
SELECT opened('SELECT why_not_running(1) ->> ''reason'''), opened('SELECT why_not_running(7) ->> ''reason''');
SET ROLE regress_bound;
SELECT public.cancel_job(1);
RESET ROLE;
BEGIN;
SET LOCAL ROLE regress_bound;
SELECT cancel_job(2);
RESET ROLE;
SELECT opened('SELECT 0') AS by_a_bound_role;
COMMIT;
SELECT cancel_job(7); -- the hint tells where else it may be

-- Dead jobs: those of the last 30 days, or as the caller says.
SELECT opened('SELECT redrive_dead_jobs()'), opened('SELECT redrive_dead_jobs()');
SELECT opened('SELECT redrive_dead_jobs(''a'', died_within => ''7 weeks'')');
SELECT opened('SELECT redrive_dead_jobs(died_within => ''60 days'')') ~ '^1, opened: [0-9]{1,2}$' AS old_ones;
SELECT redrive_dead_jobs(died_within => '0');
SELECT redrive_dead_jobs(died_within => NULL);
SELECT id, status FROM job_live ORDER BY id;
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
DROP FUNCTION opened;
DROP OWNED BY regress_bound;
DROP ROLE regress_bound;
CREATE EXTENSION fairq;
