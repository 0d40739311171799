-- A trigger or a rule of somebody's own swallows the rows of a statement. Then the call either says what is true
-- nevertheless, or it is refused with an error that names the table (JQ011), and nothing has changed. Walked over: every
-- table and kind of statement that each call touches, found out by the calls themselves.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
CREATE ROLE regress_swallowed;
RESET client_min_messages;
CREATE FUNCTION do_nothing(job job_queue) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION do_something(job job_queue) RETURNS void LANGUAGE sql AS 'SELECT';

------------------------------------------------------------------------------------------------ a queue with all there is
SELECT set_tenant_limits('full', max_pending => 1);
SELECT set_tenant_limits('pending', max_pending => 100);
SELECT set_tenant_limits('enqueue rate', enqueue_rate_per_second => 1000, enqueue_burst => 1000);
SELECT set_tenant_limits('rate', rate_per_second => 1000, burst => 1000);
SELECT set_tenant_limits('cap', max_concurrency => 5);
SELECT register_job_handler('mail', 'do_nothing(job_queue)');
-- Dead, and held: plain, with a key, at its last attempt, of a run.
SELECT create_pipeline_run('run', 'nightly') AS run \gset
SELECT create_pipeline_run('run', 'nightly') AS next_run \gset
SELECT enqueue_job('a', 'mail') AS dead \gset
SELECT count(fail_job(id, lock_token, 'no', retry => false)) FROM claim_queued_jobs('w');
SELECT enqueue_job('a', 'mail', concurrency_key => 'k') AS plain, enqueue_job('a', 'mail', max_attempts => 1) AS last_attempt,
       enqueue_job('cap', 'mail') AS capped, enqueue_job('run', 'mail', run_id => :run) AS of_run,
       enqueue_job('run', 'mail', run_id => :run, stage => 2) AS blocked, enqueue_job('pending', 'mail') AS held_pending \gset
SELECT count(*), max(lock_token) AS token FROM claim_queued_jobs('w', 50, 50) \gset
-- Waiting: plain, with a taken key, of a paused type, due, of a run that waits for its first claim, of tenants with limits.
SELECT enqueue_job('a', 'mail', idempotency_key => 'known') AS known, enqueue_job('a', 'mail', concurrency_key => 'k') AS behind,
       enqueue_job('a', 'slow') AS slow, enqueue_job('a', 'mail', run_at => now() + interval '1 day') AS due,
       enqueue_job('run', 'mail', run_id => :next_run) AS in_run, enqueue_job('run', 'mail', run_id => :next_run, stage => 2) AS blocked_next,
       count(enqueue_job(t, 'mail')) FROM unnest(ARRAY['cap', 'rate', 'pending']) t \gset
SELECT pause_job_type('slow');
-- So many pending changes that the next enqueue folds them. (With fewer, a call folds them by chance.)
INSERT INTO tenant_pending SELECT 'pending', c FROM generate_series(1, 100), unnest(ARRAY[1, -1]) c;
UPDATE job_live SET due_at = now() - interval '1 second' WHERE id = :due;
SELECT set_config('vars.' || name, value::text, false) IS NULL
  FROM (VALUES ('token', :token), ('dead', :dead), ('plain', :plain), ('last_attempt', :last_attempt), ('capped', :capped),
               ('of_run', :of_run), ('run', :run), ('known', :known), ('held_pending', :held_pending), ('in_run', :in_run),
               ('blocked_next', :blocked_next), ('next_run', :next_run)) v (name, value) \g /dev/null
CREATE FUNCTION var(name text) RETURNS bigint LANGUAGE sql AS $$ SELECT current_setting('vars.' || name)::bigint $$;
CREATE FUNCTION pg_temp.waiting(tenant text) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM job_live j WHERE j.tenant_id = tenant AND j.status < 'locked'
$$;

------------------------------------------------------------------------------------------------ the calls
-- truth: what has to hold when the call came back with $1, its result.
CREATE TABLE calls (n serial, call text, truth text);
INSERT INTO calls (call, truth) VALUES
    ($$SELECT enqueue_job('n', 'mail')$$, $$SELECT FROM job_live WHERE id = $1::bigint AND status = 'queued'$$),
    ($$SELECT enqueue_job('n', 'mail', idempotency_key => 'new')$$,
     $$SELECT FROM job_live j JOIN job_keys k ON k.job_id = j.id WHERE id = $1::bigint AND status = 'queued'$$),
    ($$SELECT enqueue_job('a', 'mail', idempotency_key => 'known')$$, $$SELECT WHERE $1::bigint = var('known')$$),
    ($$SELECT array_agg(id) FROM enqueue_jobs(ARRAY['n', 'n', 'm'], 'mail', idempotency_keys => ARRAY['1', '2', NULL]) id$$,
     $$SELECT FROM job_live WHERE id = ANY ($1::bigint[]) HAVING count(*) = 3$$),
    ($$SELECT array_agg(id) FROM enqueue_jobs(ARRAY['full', 'full', 'full'], 'mail', idempotency_keys => ARRAY['1', '2', '3'], partial => true) id$$,
     $$SELECT FROM job_live WHERE id = ANY ($1::bigint[]) HAVING count(*) = 1$$),
    ($$SELECT enqueue_job('enqueue rate', 'mail')$$,
     $$SELECT FROM tenant_rates WHERE tenant_id = 'enqueue rate' AND side = 'enqueue' AND due_at > now()$$),
    ($$SELECT enqueue_job('pending', 'mail')$$, $$SELECT FROM job_live WHERE id = $1::bigint$$),
    ($$INSERT INTO job_queue (tenant_id, job_type) VALUES ('n', 'mail') RETURNING id$$, $$SELECT FROM job_live WHERE id = $1::bigint$$),
    ($$SELECT set_alert_threshold('dead_jobs', 5)$$, $$SELECT FROM queue_alerts WHERE rule = 'dead_jobs' AND warning = 5$$),
    ($$SELECT create_pipeline_run('n', 'nightly')$$, $$SELECT FROM pipeline_runs WHERE id = $1::bigint$$),
    ($$SELECT enqueue_job('run', 'mail', run_id => var('next_run'), stage => 3)$$, $$SELECT FROM job_live WHERE id = $1::bigint AND status = 'blocked'$$),
    ($$SELECT array_agg(id) FROM claim_queued_jobs('w', 50, 50)$$,
     $$SELECT FROM job_live WHERE id = ANY ($1::bigint[]) AND status = 'locked' HAVING count(*) = coalesce(cardinality($1::bigint[]), 0)$$),
    ($$SELECT array_agg(c) FROM complete_jobs(ARRAY[var('plain'), var('last_attempt'), var('capped'), var('of_run'), var('held_pending')], var('token')) c$$,
     $$SELECT FROM job_history WHERE id = ANY ($1::bigint[]) AND status = 'completed' HAVING count(*) = coalesce(cardinality($1::bigint[]), 0)$$),
    ($$SELECT array_agg(id) FROM complete_and_claim_jobs(ARRAY[var('plain')], var('token'), 'w', 50, 50)$$,
     $$SELECT FROM job_live WHERE id = ANY ($1::bigint[]) AND status = 'locked' HAVING count(*) = coalesce(cardinality($1::bigint[]), 0)$$),
    ($$SELECT fail_job(var('plain'), var('token'), 'no')$$, $$SELECT FROM job_queue WHERE id = var('plain') AND status::text = $1 AND last_error = 'no'$$),
    ($$SELECT fail_job(var('plain'), var('token'), 'no', retry => false)$$, $$SELECT FROM job_queue WHERE id = var('plain') AND status::text = $1$$),
    ($$SELECT fail_job(var('of_run'), var('token'), 'no', retry => false)$$,
     $$SELECT FROM job_queue WHERE id = var('of_run') AND status::text = $1 AND (SELECT status = 'failed' FROM pipeline_runs WHERE id = var('run'))$$),
    ($$SELECT fail_job(var('held_pending'), var('token'), 'no')$$, $$SELECT FROM job_queue WHERE id = var('held_pending') AND status::text = $1$$),
    ($$SELECT release_jobs(ARRAY[var('plain'), var('capped'), var('held_pending')], var('token'))$$,
     $$SELECT FROM job_live WHERE id IN (var('plain'), var('capped'), var('held_pending')) AND status = 'queued' HAVING count(*) = $1::integer$$),
    ($$SELECT release_jobs(ARRAY[var('plain'), var('held_pending')], var('token'), now() + interval '1 hour')$$,
     $$SELECT FROM job_live WHERE id IN (var('plain'), var('held_pending')) AND status = 'scheduled' HAVING count(*) = $1::integer$$),
    ($$SELECT heartbeat_jobs(var('token'))$$, $$SELECT FROM job_leases WHERE lock_token = var('token') AND (heartbeat_at > now()) = ($1::integer > 0)$$),
    ($$SELECT reclaim_stuck_jobs('1 microsecond')$$,
     $$SELECT FROM job_queue WHERE id IN (var('plain'), var('last_attempt'), var('capped'), var('of_run'), var('held_pending')) AND status IN ('queued', 'dead') HAVING count(*) = $1::integer$$),
    ($$SELECT cancel_job(var('known'))$$, $$SELECT FROM job_queue WHERE id = var('known') AND (status = 'cancelled') = $1::boolean$$),
    ($$SELECT cancel_job(var('in_run'))$$,
     $$SELECT FROM job_queue j, pipeline_runs r WHERE j.id = var('in_run') AND j.status = 'cancelled' AND r.id = j.run_id AND r.status = 'failed'$$),
    ($$SELECT cancel_job(id) FROM job_live WHERE tenant_id = 'pending' AND status = 'queued'$$, $$SELECT WHERE $1::boolean$$),
    ($$SELECT redrive_dead_jobs()$$, $$SELECT FROM job_live WHERE id = var('dead') AND status = 'queued' HAVING count(*) = $1::integer$$),
    ($$SELECT set_tenant_limits('new', weight => 3, rate_per_second => 2.5, max_pending => 7)$$,
     $$SELECT FROM tenant_limits WHERE tenant_id = 'new' AND weight = 3 AND rate_per_second = 2.5 AND burst = 3 AND max_pending = 7$$),
    ($$SELECT set_tenant_limits('pending', weight => 3, max_pending => 50)$$,
     $$SELECT FROM tenant_limits WHERE tenant_id = 'pending' AND weight = 3 AND max_pending = 50$$),
    ($$SELECT set_tenant_limits('a', max_pending => 50)$$, $$SELECT FROM tenant_limits WHERE tenant_id = 'a' AND max_pending = 50$$),
    ($$SELECT pause_job_type('mail')$$, $$SELECT FROM paused_job_types WHERE job_type = 'mail'$$),
    ($$SELECT pause_job_type('slow')$$, $$SELECT FROM paused_job_types WHERE job_type = 'slow' AND NOT $1::boolean$$),
    ($$SELECT resume_job_type('slow')$$, $$SELECT WHERE $1::boolean AND NOT EXISTS (SELECT FROM paused_job_types WHERE job_type = 'slow')$$),
    ($$SELECT register_job_handler('text', 'do_nothing(job_queue)')$$, $$SELECT FROM job_handlers WHERE job_type = 'text'$$),
    ($$SELECT register_job_handler('mail', 'do_something(job_queue)')$$, $$SELECT FROM job_handlers WHERE job_type = 'mail' AND handler_name = 'do_something'$$),
    ($$SELECT unregister_job_handler('mail')$$, $$SELECT WHERE $1::boolean = NOT EXISTS (SELECT FROM job_handlers WHERE job_type = 'mail')$$),
    ($$SELECT grant_queue_access('regress_swallowed', 'worker', 'a')$$, $$SELECT FROM queue_access WHERE role = 'regress_swallowed'::regrole$$),
    ($$SELECT grant_queue_access('regress_swallowed', 'worker', 'a'), revoke_queue_access('regress_swallowed', 'worker', 'a')$$,
     $$SELECT WHERE NOT EXISTS (SELECT FROM queue_access WHERE role = 'regress_swallowed'::regrole)$$),
    ($$SELECT seed_load_test_jobs(10, 2)$$, $$SELECT FROM job_live WHERE job_type = 'load_test' HAVING count(*) = $1::bigint AND count(*) = 10$$),
    ($$SELECT run_load_test_job(j) FROM job_queue j WHERE id = var('plain')$$, $$SELECT FROM channel_outbox WHERE job_id = var('plain')$$),
    ($$SELECT clear_load_test_data() FROM seed_load_test_jobs(10, 2)$$, $$SELECT FROM job_live WHERE job_type = 'load_test' HAVING count(*) = 10 - $1::bigint$$);

CREATE TEMP TABLE jobs_before AS SELECT id FROM job_queue;
-- What has to hold always; NULL, or what does not.
CREATE FUNCTION broken() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(what, ', ')
      FROM (SELECT 'jobs are lost' AS what FROM jobs_before b WHERE NOT EXISTS (SELECT FROM job_queue q WHERE q.id = b.id)
            UNION
            SELECT 'a locked job has no lease' FROM job_live j
             WHERE status = 'locked' AND NOT EXISTS (SELECT FROM job_leases l WHERE l.lock_token = j.lock_token AND j.id = ANY (l.job_ids))
            UNION
            SELECT 'a job has no key' FROM job_live j
             WHERE idempotency_key IS NOT NULL
               AND NOT EXISTS (SELECT FROM job_keys k WHERE k.job_id = j.id AND k.idempotency_key = j.idempotency_key AND k.tenant_id = j.tenant_id)
            UNION
            SELECT 'a key has no job' FROM job_keys k WHERE NOT EXISTS (SELECT FROM job_queue q WHERE q.id = k.job_id)
            UNION
            SELECT 'what waits is counted wrong: ' || tenant_id FROM tenant_limits l
             WHERE max_pending IS NOT NULL AND pg_temp.waiting(tenant_id) <> coalesce((SELECT sum(change) FROM tenant_pending p WHERE p.tenant_id = l.tenant_id), 0)
            UNION
            SELECT 'a claim was not charged' FROM job_live
             WHERE tenant_id = 'rate' AND status = 'locked'
               AND NOT EXISTS (SELECT FROM tenant_rates WHERE tenant_id = 'rate' AND side = 'claim' AND due_at > now())) s
$$;
CREATE TEMP TABLE touched (place text, event text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO touched VALUES (CASE WHEN TG_TABLE_NAME ~ '^job_history' THEN 'job_history' ELSE TG_TABLE_NAME END, TG_OP);
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$$;
CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TEMP TABLE places AS
    SELECT relname::text AS place FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
     WHERE relkind IN ('r', 'p') AND NOT relispartition;

-- Does the call, and takes everything back. Returns what came of it: what it touches when nothing is swallowed (a NULL
-- place), else '' or what is wrong.
CREATE FUNCTION attempt(call text, truth text, place text, event text, rule boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    holds boolean;
BEGIN
    IF place IS NULL THEN
        FOR place IN SELECT p.place FROM places p LOOP
            EXECUTE format('CREATE TRIGGER note BEFORE INSERT OR UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION note()', place);
        END LOOP;
    ELSIF rule THEN
        EXECUTE format('CREATE RULE swallow AS ON %s TO %I DO INSTEAD NOTHING', event, place);
    ELSE
        EXECUTE format('CREATE TRIGGER swallow BEFORE %s ON %I FOR EACH ROW EXECUTE FUNCTION swallow()', event, place);
    END IF;
    EXECUTE call INTO result;
    EXECUTE 'SELECT EXISTS (' || truth || ')' USING result INTO holds;
    RAISE EXCEPTION USING ERRCODE = 'ZZ000', MESSAGE =
        concat_ws(', ', CASE WHEN NOT holds THEN format('LIES (%s)', result) END, 'BROKEN: ' || broken(),
                  (SELECT string_agg(DISTINCT t.place || ' ' || t.event, ' & ') FROM touched t));
EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
    RETURN SQLERRM;
WHEN OTHERS THEN
    RETURN SQLSTATE || ': ' || SQLERRM;
END
$$;

------------------------------------------------------------------------------------------------ the walk
CREATE TABLE walk AS
    SELECT n, call, truth, split_part(t, ' ', 1) AS place, split_part(t, ' ', 2) AS event
      FROM calls c, LATERAL attempt(call, truth, NULL, NULL, false) a, LATERAL unnest(string_to_array(a, ' & ')) t
     WHERE a ~ '^[a-z_]+ [A-Z]+( & |$)';
-- What the calls touch between them; and none fails by itself.
SELECT place, string_agg(DISTINCT event, ' ' ORDER BY event) AS events FROM walk GROUP BY place ORDER BY place COLLATE "C";
SELECT call, attempt(call, truth, NULL, NULL, false) FROM calls c WHERE NOT EXISTS (SELECT FROM walk w WHERE w.n = c.n);

SET client_min_messages = error; -- a warning has a token in it
CREATE TABLE outcome AS
    SELECT w.*, rule, attempt(call, truth, place, event, rule) AS said FROM walk w, unnest(ARRAY[false, true]) rule;
RESET client_min_messages;
SELECT n, call, place, event, CASE WHEN rule THEN 'rule' ELSE 'trigger' END AS by, said FROM outcome
 WHERE said ~ 'LIES|BROKEN' ORDER BY n, place, event, rule;
SELECT place, event, CASE WHEN rule THEN 'rule' ELSE 'trigger' END AS by, said AS refused, count(*) AS calls FROM outcome
 WHERE said <> '' AND said !~ 'LIES|BROKEN' GROUP BY 1, 2, 3, 4 ORDER BY place COLLATE "C", event, 3, said COLLATE "C";

------------------------------------------------------------------------------------------------ what nobody expects
-- A NULL where our tables have none is an error, too, and no crash.
BEGIN;
ALTER TABLE pipeline_runs ALTER status DROP NOT NULL;
ALTER TABLE pipeline_runs DROP CONSTRAINT pipeline_runs_finished;
UPDATE pipeline_runs SET status = NULL;
\set VERBOSITY sqlstate
SELECT enqueue_job('run', 'mail', run_id => :run);
\set VERBOSITY default
ROLLBACK;

------------------------------------------------------------------------------------------------ ticks
-- They are other sessions: what they say is what the caller gets, and none of them goes down.
CREATE PROCEDURE tick_beside(place text, event text) LANGUAGE plpgsql AS $$
DECLARE
    said text;
BEGIN
    DELETE FROM job_history; -- only the load test's are left
    PERFORM seed_load_test_jobs(4, 2);
    EXECUTE format('CREATE TRIGGER swallow BEFORE %s ON %I FOR EACH ROW EXECUTE FUNCTION swallow()', event, place);
    COMMIT;
    BEGIN
        said := run_job_queue_cron() - 'ms' - 'tick' - 'workers' - 'tenants';
    EXCEPTION WHEN OTHERS THEN
        said := SQLSTATE || ': ' || SQLERRM;
    END;
    RAISE INFO '% %: %. Then: %', event, place, said,
        (SELECT string_agg(n || ' ' || status, ', ' ORDER BY status) FROM (SELECT status, count(*) n FROM job_queue GROUP BY 1) s);
    EXECUTE format('DROP TRIGGER swallow ON %I', place);
    UPDATE job_leases SET heartbeat_at = '-infinity';
    PERFORM reclaim_stuck_jobs('1 microsecond');
    PERFORM clear_load_test_data();
    DELETE FROM channel_outbox;
    COMMIT;
END
$$;
SELECT clear_load_test_data() IS NULL;
SELECT count(cancel_job(id)) FROM job_live;
CALL tick_beside('campaign_audit_log', 'INSERT');
CALL tick_beside('load_test_totals', 'INSERT');
CALL tick_beside('job_history', 'INSERT');
CALL tick_beside('job_leases', 'INSERT');
CALL tick_beside('channel_outbox', 'INSERT');
CALL tick_beside('job_live', 'DELETE');
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
DROP TABLE calls, walk, outcome;
DROP PROCEDURE tick_beside;
DROP FUNCTION var, broken, note, swallow, attempt;
DROP ROLE regress_swallowed;
