-- why_not_running: every reason, its figures, and that a claim in the same moment agrees.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
\pset format unaligned
\pset tuples_only on

-- What does not change from run to run: times, processes and what shared memory knows are left out, or only told to be there.
CREATE FUNCTION why(id bigint) RETURNS text LANGUAGE sql AS $$
    SELECT (w ->> 'reason') || ': ' || regexp_replace(w ->> 'message', '[0-9-]+T[0-9:.+-]+\d', '<time>') || ' '
           || (w - ARRAY['job_id', 'reason', 'message', 'change', 'until', 'since', 'finished_at',
                                          'heartbeat_age_seconds', 'last_claim', 'tenants_ahead', 'pid'])
           || CASE WHEN w ->> 'until' IS NOT NULL THEN ' until' ELSE '' END
      FROM why_not_running(id) w $$;
-- The next section: nothing is unfinished, and its first job has this id.
CREATE PROCEDURE start(id bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cancel_job(j.id) FROM job_live j ORDER BY j.id;
    PERFORM setval('job_live_id_seq', start.id, false);
END
$$;
-- Of these, the ones that a claim of everything takes; it is rolled back.
CREATE FUNCTION claimed(ids bigint[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    taken bigint[];
BEGIN
    BEGIN
        SELECT array_agg(c.id ORDER BY c.id) INTO taken FROM claim_queued_jobs('checker', 1000, 1000) c WHERE c.id = ANY (ids);
        RAISE EXCEPTION USING ERRCODE = 'T0000';
    EXCEPTION WHEN SQLSTATE 'T0000' THEN
    END;
    RETURN coalesce('a claim takes ' || taken::text, 'a claim takes none of them');
END
$$;

-- A whole answer: the same keys in each, then the figures.
SELECT enqueue_job('whole', 'mail');
SELECT jsonb_pretty(why_not_running(1) - 'last_claim' - 'tenants_ahead');
SELECT string_agg(k, ' ' ORDER BY k) FROM jsonb_object_keys(why_not_running(1)) k;
SELECT cancel_job(1);
SELECT jsonb_pretty(why_not_running(1) - 'finished_at' - 'message');
SELECT (w ->> 'finished_at')::timestamptz = finished_at AND w ->> 'message' = format('It is cancelled since %s.', w ->> 'finished_at')
  FROM job_history h, why_not_running(h.id) w;

-- Nothing that is no job; nothing is told of it but the number that was asked for.
CREATE FUNCTION refused(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    hint text;
BEGIN
    EXECUTE call;
    RETURN call || ' accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN call || ' -> ' || SQLSTATE || ' ' || SQLERRM || ' / ' || hint;
END
$$;
SELECT refused(format('SELECT why_not_running(%s)', a))
  FROM unnest(ARRAY['NULL', '0', '-1', '4711', '9223372036854775807', '-9223372036854775808']) a;

\echo running, and done
CALL start(2);
SELECT enqueue_jobs(ARRAY['r', 'r', 'r', 'r'], 'mail', max_attempts => 3);
SELECT lock_token AS token FROM claim_queued_jobs('worker "1"', 10) LIMIT 1 \gset
SELECT why(2), claimed('{2}');
SELECT (w ->> 'since')::timestamptz = locked_at FROM job_live j, why_not_running(j.id) w WHERE j.id = 2;
UPDATE job_leases SET heartbeat_at = heartbeat_at - interval '31 seconds';
SELECT why_not_running(2) -> 'stale', (why_not_running(2) ->> 'heartbeat_age_seconds')::int BETWEEN 31 AND 40,
       why_not_running(2) ->> 'change';
SELECT heartbeat_jobs(:token);
SELECT why_not_running(2) -> 'stale';
DELETE FROM job_leases; -- lost, as never happens: the claim's own time counts
SELECT why(2);
SELECT complete_jobs('{2}', :token);
SELECT fail_job(3, :token, 'on purpose', false), cancel_job(4);
SELECT why(id) FROM generate_series(2, 4) id;
SELECT id, why_not_running(id) ->> 'change' FROM generate_series(2, 4) id;

\echo scheduled
SET fairq.backoff_base = '1h';
SELECT fail_job(5, :token, 'try again');
UPDATE job_live SET due_at = now() + interval '1 hour' WHERE id = 5; -- whatever the jitter said
RESET fairq.backoff_base;
SELECT setval('job_live_id_seq', 6, false);
SELECT enqueue_job('r', 'mail', run_at => now() + interval '1 hour');
SELECT why(id) FROM generate_series(5, 6) id;
SELECT claimed('{5,6}');
SELECT (why_not_running(6) ->> 'until')::timestamptz = run_at FROM job_queue WHERE id = 6;

\echo due, and not moved yet: the next claim does it
UPDATE job_live SET due_at = now() - interval '1 second' WHERE id IN (5, 6);
SELECT why(id) FROM generate_series(5, 6) id;
SELECT claimed('{5,6}');

\echo blocked
CALL start(7);
SELECT create_pipeline_run('p', 'nightly') AS run \gset
BEGIN;
SELECT enqueue_job('p', 'mail', run_id => :run, stage => 3), enqueue_job('p', 'mail', run_id => :run, stage => 2),
       enqueue_job('p', 'mail', run_id => :run, stage => 1), enqueue_job('p', 'mail', run_id => :run, stage => 1);
COMMIT;
SELECT why(id) FROM generate_series(7, 10) id;
SELECT claimed('{7,8}');
SELECT complete_jobs(ARRAY[id], lock_token) FROM claim_queued_jobs('w', 1);
SELECT why(7);
SELECT complete_jobs(ARRAY[id], lock_token) FROM claim_queued_jobs('w', 1);
SELECT why(7);
UPDATE pipeline_runs SET stage = 3, advanced_at = now(), step_stage = 1; -- begun, and its jobs not promoted yet
SELECT why(7);
UPDATE pipeline_runs SET status = 'failed', finished_at = now(), advanced_at = now();
SELECT why(7);
DELETE FROM pipeline_runs; -- as never happens
SELECT why(7);

\echo paused: the tenant, the type
CALL start(11);
SELECT enqueue_jobs(ARRAY['a', 'b'], 'mail'); -- 11, 12
SELECT set_tenant_limits('a', paused => true, max_concurrency => 1, rate_per_second => 1);
SELECT why(11), claimed('{11,12}');
SELECT pause_job_type('mail');
SELECT why(id) FROM generate_series(11, 12) id;
SELECT claimed('{11,12}');
SELECT count(*) FROM claim_queued_jobs('w'); -- parks 12
SELECT status, position FROM job_live WHERE id = 12;
SELECT why(12);
SELECT resume_job_type('mail'); -- and its jobs are back
SELECT why(12), claimed('{11,12}');
UPDATE job_live SET parked_position = position, position = NULL WHERE id = 12; -- aside, and nobody has come by
SELECT why(12);
UPDATE job_live SET position = parked_position, parked_position = NULL WHERE id = 12;
SELECT set_tenant_limits('a', paused => false, max_concurrency => 0, rate_per_second => 0);
SELECT why(11), claimed('{11,12}');

\echo at its cap; by a cap that is newer than the claims, too
SELECT count(*) FROM claim_queued_jobs('w', 50, 1); -- 11, 12
SELECT setval('job_live_id_seq', 13, false);
SELECT enqueue_jobs(ARRAY['a', 'b'], 'mail'); -- 13, 14
SELECT set_tenant_limits('a', max_concurrency => 1), set_tenant_limits('b', max_concurrency => 2);
SELECT cap_pending_since, (SELECT count(*) FROM job_live j WHERE j.tenant_id = l.tenant_id AND running_since IS NOT NULL)
  FROM tenant_limits l ORDER BY tenant_id;
SELECT why(13);
SELECT why(14), claimed('{13,14}');
SELECT cap_pending_since, (SELECT count(*) FROM job_live j WHERE j.tenant_id = l.tenant_id AND running_since IS NOT NULL)
  FROM tenant_limits l ORDER BY tenant_id;
SELECT complete_jobs(ARRAY[id], lock_token) FROM job_live WHERE tenant_id = 'a' AND status = 'locked';
SELECT why(13), claimed('{13,14}');

\echo out of its rate
CALL start(15);
SELECT set_tenant_limits('a', max_concurrency => 0, rate_per_second => 1 / 3600.0, burst => 2);
SELECT enqueue_jobs(ARRAY['a', 'a', 'a'], 'mail'); -- 15 to 17
SELECT why(17), claimed('{15,16,17}');
SELECT count(*) FROM claim_queued_jobs('w', 50);
SELECT why(17), claimed('{17}');
SELECT (why_not_running(17) ->> 'until')::timestamptz - now() BETWEEN interval '55 minutes' AND interval '1 hour';
SELECT set_tenant_limits('a', rate_per_second => 0);
SELECT why(17), claimed('{17}');

\echo its concurrency key is busy; the third of a key stands aside until the second has gone
CALL start(18);
SELECT enqueue_jobs(ARRAY['k', 'k', 'k', 'l'], 'mail', concurrency_keys => ARRAY['prod', 'prod', 'prod', 'prod']); -- 18 to 21
SELECT why(id) FROM generate_series(18, 21) id;
SELECT count(*) FROM claim_queued_jobs('w'); -- 18 and 21; it puts the others aside
SELECT id, status, position IS NULL AS aside FROM job_live WHERE tenant_id IN ('k', 'l') ORDER BY id;
SELECT why(id) FROM generate_series(18, 21) id;
SELECT claimed('{19,20}');
SELECT complete_jobs(ARRAY[id], lock_token) FROM job_live WHERE id = 18;
SELECT why(id) FROM generate_series(19, 20) id;
SELECT claimed('{19,20}');

\echo waiting: its place, by priority; jobs that cannot be claimed do not count
CALL start(22);
SELECT enqueue_jobs(ARRAY['w', 'w', 'w'], 'mail'); -- 22 to 24
SELECT enqueue_job('w', 'mail', priority => -1), enqueue_job('w', 'other', priority => -2); -- 25, 26
SELECT enqueue_jobs(ARRAY['w', 'w'], 'mail', priority => -3, concurrency_keys => ARRAY['x', 'x']); -- 27, 28
SELECT id, why(id) FROM generate_series(22, 28) id;
SELECT pause_job_type('other');
SELECT id FROM claim_queued_jobs('w', 1);
SELECT id, why(id) FROM generate_series(22, 28) id;
SELECT claimed('{22,23,24,25,26,27,28}');
SELECT resume_job_type('other');
CALL start(100);
-- Counted up to a bound.
SELECT count(*) FROM enqueue_jobs(array_fill('many'::text, ARRAY[10002]), 'mail');
SELECT row_number() OVER (ORDER BY id), why_not_running(id) -> 'position', why_not_running(id) -> 'exact'
  FROM (SELECT id FROM job_live ORDER BY id OFFSET 9999) s;
TRUNCATE job_live;

\echo in a transaction that changes nothing, or may not, and sees old things; no lock stays but those of readers
SELECT enqueue_job('t', 'mail', concurrency_key => 'k') AS job \gset
SELECT set_tenant_limits('t', max_concurrency => 2, rate_per_second => 1000);
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT why(:job);
SELECT DISTINCT locktype, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype <> 'virtualxid' ORDER BY 1, 2;
SELECT pg_current_xact_id_if_assigned() IS NULL;
COMMIT;
-- It sees its own transaction's jobs, also in the statement that makes them.
BEGIN;
SELECT why(enqueue_job('t', 'mail'));
SELECT count(*) FROM claim_queued_jobs('w', 1);
SELECT why(:job);
ROLLBACK;
SELECT why(:job);

\echo a job that is archived
CREATE TABLE job_archive (LIKE job_history);
WITH gone AS (DELETE FROM job_history WHERE id IN (2, 3) RETURNING *) INSERT INTO job_archive SELECT * FROM gone;
SELECT id, why(id), why_not_running(id) ->> 'change' FROM generate_series(2, 4) id;
DROP TABLE job_archive;
SELECT refused('SELECT why_not_running(2)');
-- What somebody else has planted under that name is none: it would be read with our owner's rights.
CREATE ROLE regress_planter;
CREATE VIEW job_archive AS
    SELECT 2::bigint AS id, 't' AS tenant_id, 'dead'::job_status AS status, now() AS finished_at, 1 AS attempts, 1 AS max_attempts,
           'read as ' || current_user AS last_error;
ALTER VIEW job_archive OWNER TO regress_planter;
SELECT refused('SELECT why_not_running(2)');
DROP VIEW job_archive;
DROP ROLE regress_planter;

\echo by index, also where there is much history
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT status FROM job_history_default WHERE id = 1;
RESET enable_seqscan;

\echo roles
SET client_min_messages = warning;
CREATE ROLE regress_why LOGIN;
SELECT grant_queue_access('regress_why', 'monitor', 't');
SELECT enqueue_job('foreign', 'mail') AS other \gset
SET ROLE regress_why;
SELECT why_not_running(:job) - ARRAY['change', 'job_id'];
SELECT refused(format('SELECT why_not_running(%s)', a)) = replace(refused('SELECT why_not_running(4711)'), '4711', a) AS as_unknown
  FROM unnest(ARRAY[:'other', '3']) a;
RESET ROLE;
SELECT revoke_queue_access('regress_why', 'monitor', 't'), grant_queue_access('regress_why', 'operator', 't');
SET ROLE regress_why;
SELECT why_not_running(:job) ->> 'reason';
RESET ROLE;
SELECT revoke_queue_access('regress_why', 'operator', 't'), grant_queue_access('regress_why', 'worker', 't');
SET ROLE regress_why;
SELECT refused(format('SELECT why_not_running(%s)', :job)) ~ '42501';
RESET ROLE;
GRANT EXECUTE ON FUNCTION why_not_running TO regress_why;
SET ROLE regress_why;
SELECT refused('SELECT why_not_running(1)');
RESET ROLE;
DROP OWNED BY regress_why;
DROP ROLE regress_why;
