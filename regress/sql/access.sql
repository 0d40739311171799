-- Roles that are bound to tenants: what they get, what they cannot do, and what they cannot find out.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
CREATE ROLE regress_a LOGIN;      -- everything, for tenant a
CREATE ROLE regress_b LOGIN;      -- the same for tenant b
CREATE ROLE regress_ab LOGIN;     -- the same for both
CREATE ROLE regress_all LOGIN;    -- everything, for all tenants
CREATE ROLE regress_free LOGIN;   -- EXECUTE by hand, as before there were capabilities
CREATE ROLE regress_app;          -- an application's owner, with EXECUTE by hand
RESET client_min_messages;
CREATE FUNCTION try(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    hint text;
BEGIN
    IF command ~ '^(INSERT|UPDATE|DELETE|CALL)' THEN
        EXECUTE command;
        RETURN 'done';
    END IF;
    EXECUTE command INTO result;
    RETURN coalesce(result, 'NULL');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN SQLSTATE || ': ' || SQLERRM || coalesce(' / ' || nullif(hint, ''), '');
END
$$;

------------------------------------------------------------------------------------------------ granting
SELECT grant_queue_access(r, c, t)
  FROM (VALUES ('regress_a', 'a'), ('regress_b', 'b'), ('regress_ab', 'a'), ('regress_ab', 'b'), ('regress_all', NULL)) v (r, t),
       unnest(ARRAY['producer', 'worker', 'operator']) c;
SELECT grant_queue_access('regress_a', 'worker', 'a'); -- again
SELECT role, string_agg(capability || coalesce(' of ' || tenant_id, ''), ', ' ORDER BY capability, tenant_id) FROM queue_access GROUP BY role ORDER BY role::text;
CREATE VIEW granted AS
    SELECT a.grantee::regrole AS role, a.privilege_type || ' ' || n AS privilege
      FROM (SELECT proname AS n, proacl AS acl FROM pg_proc WHERE pronamespace = 'public'::regnamespace
            UNION ALL SELECT relname, relacl FROM pg_class WHERE relnamespace = 'public'::regnamespace) o, aclexplode(acl) a
     WHERE a.grantee::regrole::text ~ '^regress_';
SELECT privilege FROM granted WHERE role = 'regress_a'::regrole ORDER BY 1;
SELECT privilege AS of_all_only FROM granted WHERE role = 'regress_all'::regrole
EXCEPT SELECT privilege FROM granted WHERE role = 'regress_a'::regrole ORDER BY 1;
SELECT privilege FROM granted WHERE role = 'regress_ab'::regrole EXCEPT SELECT privilege FROM granted WHERE role = 'regress_a'::regrole;

-- What cannot be granted.
SELECT try(c) FROM unnest(ARRAY[
    $$SELECT grant_queue_access('regress_nobody', 'worker')$$, $$SELECT grant_queue_access('public', 'worker')$$,
    $$SELECT grant_queue_access(NULL, 'worker')$$, $$SELECT grant_queue_access('regress_a', 'owner')$$,
    $$SELECT grant_queue_access('regress_a', NULL)$$, $$SELECT grant_queue_access('regress_a', '')$$,
    $$SELECT grant_queue_access('regress_a', 'worker', '')$$, $$SELECT grant_queue_access('regress_a', 'worker', repeat('x', 256))$$,
    $$SELECT revoke_queue_access('regress_nobody', 'worker')$$, $$SELECT revoke_queue_access('regress_a', 'owner')$$]) c;
SELECT count(*) FROM queue_access;

-- By whom: who may act as the extension's owner, even where somebody was given EXECUTE.
GRANT EXECUTE ON FUNCTION grant_queue_access, revoke_queue_access, check_queue_access, queue_privileges TO regress_b;
SET ROLE regress_a;
SELECT try(c) FROM unnest(ARRAY[$$SELECT grant_queue_access('regress_a', 'worker')$$, $$SELECT revoke_queue_access('regress_a', 'worker', 'a')$$,
    $$INSERT INTO queue_access VALUES ('regress_a', 'worker', NULL)$$, $$DELETE FROM queue_access$$, $$TABLE queue_access$$]) c;
SET ROLE regress_b;
SELECT try(c) FROM unnest(ARRAY[$$SELECT grant_queue_access('regress_b', 'worker')$$, $$SELECT revoke_queue_access('regress_b', 'worker', 'b')$$]) c;
RESET ROLE;
REVOKE EXECUTE ON FUNCTION grant_queue_access, revoke_queue_access, check_queue_access, queue_privileges FROM regress_b;

------------------------------------------------------------------------------------------------ jobs
-- Each tenant: one dead (1, 2), one finished (3, 4), one locked by a worker of all (5, 6), one scheduled (7, 8), one with a
-- key (9, 10), one waiting (11, 12).
SELECT enqueue_jobs(ARRAY['a', 'b'], 'mail', priority => -1);
SELECT count(fail_job(id, lock_token, 'secret of ' || tenant_id, false)) FROM claim_queued_jobs('all');
SELECT enqueue_jobs(ARRAY['a', 'b'], 'mail');
SELECT count(*) FROM (SELECT complete_jobs(ARRAY[id], lock_token) FROM claim_queued_jobs('all')) s;
SELECT enqueue_jobs(ARRAY['a', 'b'], 'mail');
SELECT max(lock_token) AS token FROM claim_queued_jobs('all') \gset
SELECT enqueue_jobs(ARRAY['a', 'b'], 'mail', run_at => now() + interval '1 day');
SELECT enqueue_jobs(ARRAY['a', 'b'], 'mail', idempotency_keys => ARRAY['key', 'key of b'], concurrency_keys => ARRAY['c', 'c']);
SELECT enqueue_jobs(ARRAY['a', 'b'], 'mail');
SELECT tenant_id, string_agg(id || ' ' || status, ', ' ORDER BY id) FROM job_queue GROUP BY tenant_id ORDER BY 1;
SET vars.token = :'token';

------------------------------------------------------------------------------------------------ reading
SET ROLE regress_a;
SELECT my_tenants();
SELECT tenant_id, string_agg(id || ' ' || status, ', ' ORDER BY id) FROM my_jobs GROUP BY tenant_id ORDER BY 1;
SELECT get_queue_metrics() - 'oldest_queued_age_seconds' AS metrics, get_queue_metrics() -> 'oldest_queued_age_seconds' IS NOT NULL AS age;
SELECT try(c) FROM unnest(ARRAY['SELECT count(*) FROM job_queue', 'SELECT count(*) FROM job_live', 'SELECT count(*) FROM job_history',
    'SELECT count(*) FROM job_keys', 'SELECT count(*) FROM job_leases', 'SELECT count(*) FROM tenant_limits', 'SELECT get_load_test_metrics()',
    'SELECT count(*) FROM my_jobs WHERE id = 2']) c;
SET ROLE regress_ab;
SELECT my_tenants();
SELECT tenant_id, count(*) FROM my_jobs GROUP BY tenant_id ORDER BY 1;
SELECT get_queue_metrics() -> 'queue_stats' AS queue_stats;
SELECT tenant_id, depth, in_flight, share_due IS NULL AND share_got IS NULL AS no_shares, tenants FROM tenant_metrics ORDER BY 1;
SET ROLE regress_a;
SELECT tenant_id, depth, in_flight FROM tenant_metrics ORDER BY 1;
SET ROLE regress_all;
SELECT count(*) FROM tenant_metrics;
SELECT my_tenants() IS NULL AS all_tenants;
SELECT (SELECT count(*) FROM my_jobs) AS mine, (SELECT count(*) FROM job_queue) AS all_jobs;
SELECT get_queue_metrics() ? 'open_leases' AS whole_metrics;
RESET ROLE;
SELECT my_tenants() IS NULL AS superuser, count(*) FROM my_jobs;

-- A prepared plan asks again each time it is run.
PREPARE mine AS SELECT string_agg(DISTINCT tenant_id, ' ') AS tenants FROM my_jobs;
SET plan_cache_mode = force_generic_plan;
EXECUTE mine;
SET ROLE regress_a;
EXECUTE mine;
SET ROLE regress_b;
EXECUTE mine;
RESET ROLE;
RESET plan_cache_mode;
DEALLOCATE mine;

-- A cheap function that tells what it is given is told of one's own jobs only. (What EXPLAIN tells: see bound_estimates.)
CREATE FUNCTION leak(id bigint, tenant text) RETURNS boolean COST 0.0000001 LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'seen: % of %', id, tenant;
    RETURN true;
END
$$;
SET ROLE regress_a;
SELECT count(*) FROM my_jobs WHERE leak(id, tenant_id);
SELECT count(*) FROM my_jobs WHERE leak(id, tenant_id) AND tenant_id = 'b';
SELECT count(*) FROM my_jobs j JOIN my_jobs k ON leak(j.id, k.tenant_id) WHERE j.id = 11 AND k.id IN (11, 12);
RESET ROLE;

------------------------------------------------------------------------------------------------ against another tenant
-- Every function, on jobs of tenant b: refused, or as if there were no such job (4711), to the letter.
CREATE TABLE commands (n serial, command text);
INSERT INTO commands (command) VALUES
    ($$SELECT enqueue_job('b', 'mail')$$), ($$SELECT enqueue_job('b', 'mail', idempotency_key => 'key of b')$$),
    ($$SELECT enqueue_job('nobody', 'mail')$$), ($$SELECT array_agg(e) FROM enqueue_jobs(ARRAY['a', 'b'], 'mail') e$$),
    ($$INSERT INTO job_queue (tenant_id, job_type) VALUES ('b', 'mail')$$),
    ($$INSERT INTO job_queue (tenant_id, job_type) VALUES ('a', 'mail') RETURNING id$$),
    ($$INSERT INTO job_queue (tenant_id, job_type, idempotency_key) VALUES ('b', 'mail', 'key of b') RETURNING payload$$),
    ($$UPDATE job_queue SET priority = 1$$), ($$DELETE FROM job_queue$$),
    ($$SELECT array_agg(c) FROM complete_jobs(ARRAY[6, 4711], current_setting('vars.token')::bigint) c$$),
    ($$SELECT release_jobs(ARRAY[6, 4711], current_setting('vars.token')::bigint)$$),
    ($$SELECT heartbeat_jobs(current_setting('vars.token')::bigint)$$),
    ($$SELECT fail_job(6, current_setting('vars.token')::bigint, 'no')$$), ($$SELECT fail_job(4, 1, 'no')$$), ($$SELECT fail_job(4711, 1, 'no')$$),
    ($$SELECT cancel_job(12)$$), ($$SELECT cancel_job(4)$$), ($$SELECT cancel_job(4711)$$),
    ($$SELECT redrive_dead_jobs('b')$$), ($$SELECT redrive_dead_jobs('nobody')$$),
    ($$SELECT reclaim_stuck_jobs()$$), ($$SELECT seed_load_test_jobs(1, 1)$$), ($$SELECT clear_load_test_data()$$),
    ($$SELECT run_job_queue_cron()$$), ($$SELECT run_job_queue_parallel(1)$$), ($$CALL run_job_queue_ticks(1)$$),
    ($$SELECT register_job_handler('mail', 'some_handler(job_queue)')$$), ($$SELECT unregister_job_handler('mail')$$),
    ($$SELECT make_history_partitions(400)$$);
GRANT SELECT ON commands TO PUBLIC;
CREATE FUNCTION some_handler(job job_queue) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION everything() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$
    SELECT md5(string_agg(r, E'\n' ORDER BY r))
      FROM (SELECT 'live' || t::text FROM job_live t UNION ALL SELECT 'history' || t::text FROM job_history t
            UNION ALL SELECT 'lease' || t::text FROM job_leases t UNION ALL SELECT 'key' || t::text FROM job_keys t
            UNION ALL SELECT 'handler' || t::text FROM job_handlers t UNION ALL SELECT 'tick' || t::text FROM campaign_audit_log t) s (r)
$$;
SELECT everything() AS before \gset
SET SESSION AUTHORIZATION regress_a;
SELECT command, try(command) FROM commands ORDER BY n;
RESET SESSION AUTHORIZATION;
SELECT everything() = :'before' AS nothing_changed;
-- The same, when somebody gave it EXECUTE on everything by hand: its rows still bind it.
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA public TO regress_a;
SET SESSION AUTHORIZATION regress_a;
SELECT command, try(command) FROM commands WHERE command ~ 'load_test|run_job|register|reclaim' ORDER BY n;
CALL run_job_queue_ticks(1);
SELECT try($$SELECT grant_queue_access('regress_a', 'worker')$$);
RESET SESSION AUTHORIZATION;
SELECT everything() = :'before' AS nothing_changed;
REVOKE ALL ON ALL ROUTINES IN SCHEMA public FROM regress_a;
SELECT grant_queue_access('regress_a', 'operator', 'a'); -- brings back what its rows give
SELECT count(*) FROM granted WHERE role = 'regress_a'::regrole;

------------------------------------------------------------------------------------------------ for its own tenant
-- A claim takes its own jobs only, and completes them; the lease that it knows from its own job is not its own.
SET ROLE regress_a;
SELECT try($$SELECT enqueue_job('a', 'mail', idempotency_key => 'key')$$) AS known_key, try($$SELECT enqueue_job('a', 'mail', idempotency_key => 'key of b') > 12$$) AS of_its_own;
SELECT try($$INSERT INTO job_queue (tenant_id, job_type) VALUES ('a', 'mail')$$), try($$INSERT INTO job_queue (tenant_id, job_type) VALUES (NULL, 'mail')$$);
SELECT lock_token = current_setting('vars.token')::bigint AS shared_lease FROM my_jobs WHERE id = 5;
SELECT heartbeat_jobs(:token);
SELECT id, tenant_id, status FROM claim_queued_jobs('a', 100, 100) ORDER BY id;
SELECT max(lock_token) AS own FROM my_jobs WHERE locked_by = 'a' \gset
SELECT heartbeat_jobs(:own);
SELECT count(*) FROM claim_queued_jobs('a');
\set VERBOSITY sqlstate
SELECT count(*) FROM complete_and_claim_jobs(ARRAY[6, 4711], :token, 'a'); -- another tenant's job is not accepted
\set VERBOSITY default
SELECT complete_jobs(ARRAY[9, 10, 12, 4711], :own);
SELECT fail_job(11, :own, 'no', false);
SELECT release_jobs(ARRAY[12], :own);
SELECT complete_jobs(ARRAY[5, 6], :token); -- its own tenant's job, by the token that it knows
SELECT cancel_job(7), try('SELECT cancel_job(8)');
SELECT redrive_dead_jobs(max_jobs => 1), redrive_dead_jobs(), redrive_dead_jobs('a');
SELECT tenant_id, status, count(*) FROM my_jobs GROUP BY 1, 2 ORDER BY 1, 2;
RESET ROLE;
SELECT tenant_id, string_agg(id || ' ' || status, ', ' ORDER BY id) FROM job_queue WHERE tenant_id <> 'a' GROUP BY tenant_id ORDER BY 1;
SET ROLE regress_ab;
SELECT tenant_id, count(*) FROM claim_queued_jobs('ab') GROUP BY 1 ORDER BY 1;
SELECT redrive_dead_jobs();
SET ROLE regress_all;
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'b', 'c'], 'mail');
SELECT tenant_id, count(*) FROM claim_queued_jobs('all') GROUP BY 1 ORDER BY 1;
SELECT reclaim_stuck_jobs();
RESET ROLE;

-- A bound worker does not move the rotation: the tenant after the last one is next.
TRUNCATE job_live, job_history, job_leases;
SET ROLE regress_a;
SELECT get_queue_metrics() -> 'oldest_queued_age_seconds' AS age_of_none;
RESET ROLE;
CREATE FUNCTION claim_one() RETURNS text LANGUAGE sql SECURITY INVOKER AS $$ SELECT min(tenant_id) FROM public.claim_queued_jobs('one', 1) $$;
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'c', 'd', 'a', 'c', 'd', 'a', 'c', 'd', 'a', 'c', 'd'], 'mail');
DO $$ BEGIN WHILE public.claim_one() <> 'd' LOOP END LOOP; END $$;
SELECT claim_one();
SELECT claim_one();
SET ROLE regress_a;
SELECT claim_one() AS bound;
RESET ROLE;
SELECT claim_one();

------------------------------------------------------------------------------------------------ which rows count
-- None: EXECUTE alone decides. One of another capability: the others are not open any more.
GRANT EXECUTE ON FUNCTION enqueue_job, claim_queued_jobs TO regress_free, regress_app;
SET ROLE regress_free;
SELECT try($$SELECT enqueue_job('b', 'mail') > 0$$), try($$SELECT count(*) > 0 FROM claim_queued_jobs('free')$$);
RESET ROLE;
SELECT grant_queue_access('regress_free', 'producer', 'a');
SET ROLE regress_free;
SELECT try($$SELECT enqueue_job('b', 'mail') > 0$$), try($$SELECT enqueue_job('a', 'mail') > 0$$);
SELECT try($$SELECT count(*) > 0 FROM claim_queued_jobs('free')$$);
RESET ROLE;
-- Of a role that it is a member of, if it inherits; the role that it becomes by SET ROLE.
GRANT regress_b TO regress_app;
SET SESSION AUTHORIZATION regress_app;
SELECT try($$SELECT enqueue_job('a', 'mail') > 0$$), try($$SELECT enqueue_job('b', 'mail') > 0$$);
SELECT my_tenants();
SET ROLE regress_b;
SELECT try($$SELECT enqueue_job('a', 'mail') > 0$$);
RESET SESSION AUTHORIZATION;
ALTER ROLE regress_app NOINHERIT;
REVOKE regress_b FROM regress_app; -- since 16 it is the membership that inherits, or not
GRANT regress_b TO regress_app;
SET SESSION AUTHORIZATION regress_app;
SELECT try($$SELECT enqueue_job('a', 'mail') > 0$$), try($$SELECT my_tenants()$$);
SET ROLE regress_b;
SELECT try($$SELECT enqueue_job('a', 'mail') > 0$$);
RESET ROLE;
SELECT try($$SELECT enqueue_job('a', 'mail') > 0$$);
RESET SESSION AUTHORIZATION;
-- Bound and unbound: unbound. Another name: the same role.
ALTER ROLE regress_app INHERIT;
SELECT grant_queue_access('regress_app', 'producer');
SET ROLE regress_app;
SELECT try($$SELECT enqueue_job('a', 'mail') > 0$$);
RESET ROLE;
SELECT revoke_queue_access('regress_app', 'producer');
ALTER ROLE regress_free RENAME TO regress_renamed;
SET ROLE regress_renamed;
SELECT try($$SELECT enqueue_job('b', 'mail') > 0$$);
RESET ROLE;
ALTER ROLE regress_renamed RENAME TO regress_free;
REVOKE regress_b FROM regress_app;

------------------------------------------------------------------------------------------------ other people's functions
-- An application's SECURITY DEFINER function does not free who calls it, and a bound role's own does not act for who does.
GRANT EXECUTE ON FUNCTION enqueue_job, claim_queued_jobs TO regress_app;
GRANT INSERT ON job_queue TO regress_app;
GRANT CREATE ON SCHEMA public TO regress_a;
CREATE FUNCTION app_enqueue(tenant text) RETURNS boolean LANGUAGE sql SECURITY DEFINER AS $$ SELECT public.enqueue_job(tenant, 'mail') > 0 $$;
ALTER FUNCTION app_enqueue OWNER TO regress_app;
CREATE FUNCTION super_enqueue(tenant text) RETURNS boolean LANGUAGE sql SECURITY DEFINER AS $$ SELECT public.enqueue_job(tenant, 'mail') > 0 $$;
SET ROLE regress_a;
CREATE FUNCTION bound_enqueue(tenant text) RETURNS boolean LANGUAGE sql SECURITY DEFINER AS $$ SELECT public.enqueue_job(tenant, 'mail') > 0 $$;
CREATE FUNCTION bound_insert(tenant text) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.job_queue (tenant_id, job_type) VALUES (tenant, 'mail');
    RETURN true;
END
$$;
CREATE FUNCTION bound_claim() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS $$ SELECT DISTINCT tenant_id FROM public.claim_queued_jobs('bound') $$;
CREATE FUNCTION bound_read() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS $$ SELECT DISTINCT tenant_id FROM public.my_jobs $$;
SELECT try($$SELECT app_enqueue('b')$$), try($$SELECT app_enqueue('a')$$);
SELECT try($$SELECT super_enqueue('b')$$), try($$SELECT super_enqueue('a')$$);
RESET ROLE;
SELECT try($$SELECT bound_enqueue('b')$$), try($$SELECT bound_enqueue('a')$$);
SELECT try($$SELECT bound_insert('b')$$), try($$SELECT bound_insert('a')$$);
SELECT bound_claim();
SELECT bound_read();
SET ROLE regress_app;
SELECT try($$SELECT app_enqueue('b')$$), try($$SELECT bound_enqueue('b')$$);
-- Two bound roles at once: what both may.
SET ROLE regress_b;
SELECT try($$SELECT bound_enqueue('b')$$), try($$SELECT bound_enqueue('a')$$), try($$SELECT count(*) FROM bound_read()$$), try($$SELECT count(*) FROM bound_claim()$$);
SET ROLE regress_ab;
SELECT try($$SELECT bound_enqueue('b')$$), try($$SELECT bound_enqueue('a')$$), try($$SELECT string_agg(t, ' ') FROM bound_read() t$$);
RESET ROLE;
-- After an error inside of a function the caller is himself again.
SELECT try($$SELECT bound_enqueue('b')$$), try($$SELECT enqueue_job('b', 'mail') > 0$$), current_user = session_user AS oneself;

------------------------------------------------------------------------------------------------ handlers
-- Whose role is bound to tenants as a worker gets no jobs, since they are of all tenants; one that is bound as a producer
-- works for all, but enqueues for its own only, also by other people's functions.
TRUNCATE job_live, job_history, job_leases, job_keys;
CREATE ROLE regress_handler;
GRANT EXECUTE ON FUNCTION register_job_handler, enqueue_job TO regress_handler;
GRANT CREATE ON SCHEMA public TO regress_handler;
SET ROLE regress_handler;
CREATE FUNCTION forward(job job_queue) RETURNS void LANGUAGE sql AS $$ SELECT public.enqueue_job(job.payload ->> 'to', 'forwarded') $$;
CREATE FUNCTION forward_by_app(job job_queue) RETURNS void LANGUAGE sql AS $$ SELECT public.app_enqueue(job.payload ->> 'to') $$;
SELECT register_job_handler('forward', 'forward(job_queue)');
SELECT register_job_handler('forward_by_app', 'forward_by_app(job_queue)');
RESET ROLE;
CREATE FUNCTION forwarded() RETURNS TABLE (job_type text, sent_to text, status job_status, error text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT q.job_type, coalesce(q.payload ->> 'to', q.tenant_id), q.status, q.last_error FROM public.job_queue q ORDER BY q.job_type, 2, 3;
END
$$;
SELECT count(*) FROM (SELECT enqueue_job('x', y, jsonb_build_object('to', t), max_attempts => 1) FROM unnest(ARRAY['a', 'b']) t, unnest(ARRAY['forward', 'forward_by_app']) y) s;
SELECT run_job_queue_cron() -> 'completed' AS completed;
SELECT * FROM forwarded();
TRUNCATE job_live, job_history, job_leases;
SELECT grant_queue_access('regress_handler', 'producer', 'a');
SELECT grant_queue_access('regress_handler', 'worker');
SELECT count(*) FROM (SELECT enqueue_job('x', y, jsonb_build_object('to', t), max_attempts => 1) FROM unnest(ARRAY['a', 'b']) t, unnest(ARRAY['forward', 'forward_by_app']) y) s;
SELECT run_job_queue_parallel(1) -> 'completed' AS completed;
SELECT * FROM forwarded();
TRUNCATE job_live, job_history, job_leases;
SELECT revoke_queue_access('regress_handler', 'worker');
SELECT enqueue_job('a', 'forward', '{"to": "a"}') > 0 AS enqueued;
SELECT run_job_queue_cron() -> 'completed' AS completed;
SELECT * FROM forwarded();
SET ROLE regress_handler;
SELECT try($$SELECT register_job_handler('forward', 'forward(job_queue)')$$);
RESET ROLE;

------------------------------------------------------------------------------------------------ revoking
SELECT revoke_queue_access('regress_a', 'operator', 'b') AS of_another_tenant, revoke_queue_access('regress_a', 'operator') AS of_all, revoke_queue_access('regress_a', 'operator', 'a') AS revoked;
SELECT privilege FROM granted WHERE role = 'regress_a'::regrole ORDER BY 1;
SELECT revoke_queue_access('regress_ab', 'producer', 'a');
SELECT count(*) AS as_before FROM granted WHERE role = 'regress_ab'::regrole;
SET ROLE regress_ab;
SELECT try($$SELECT enqueue_job('a', 'mail') > 0$$), try($$SELECT enqueue_job('b', 'mail') > 0$$);
RESET ROLE;
-- In one transaction, and its rollback; rows changed by hand act at once.
BEGIN;
SELECT revoke_queue_access('regress_ab', 'producer', 'b');
GRANT EXECUTE ON FUNCTION enqueue_job TO regress_ab;
SET ROLE regress_ab;
SELECT try($$SELECT enqueue_job('b', 'mail') > 0$$);
ROLLBACK;
SET ROLE regress_ab;
SELECT try($$SELECT enqueue_job('b', 'mail') > 0$$);
RESET ROLE;
BEGIN;
SAVEPOINT s;
UPDATE queue_access SET tenant_id = 'c' WHERE role = 'regress_ab'::regrole AND capability = 'producer';
SET LOCAL ROLE regress_ab;
SELECT try($$SELECT enqueue_job('b', 'mail') > 0$$);
ROLLBACK TO s;
SET LOCAL ROLE regress_ab;
SELECT try($$SELECT enqueue_job('b', 'mail') > 0$$);
COMMIT;
UPDATE queue_access SET tenant_id = 'c' WHERE role = 'regress_ab'::regrole AND capability = 'producer';
SET ROLE regress_ab;
SELECT try($$SELECT enqueue_job('b', 'mail') > 0$$), try($$SELECT enqueue_job('c', 'mail') > 0$$);
RESET ROLE;
SET session_replication_role = replica;
UPDATE queue_access SET tenant_id = 'd' WHERE role = 'regress_ab'::regrole AND capability = 'producer';
RESET session_replication_role;
SET ROLE regress_ab;
SELECT try($$SELECT enqueue_job('c', 'mail') > 0$$), try($$SELECT enqueue_job('d', 'mail') > 0$$);
RESET ROLE;
\set VERBOSITY sqlstate
INSERT INTO queue_access VALUES ('regress_a', 'anything', 'a');
INSERT INTO queue_access VALUES ('regress_a', 'worker', '');
INSERT INTO queue_access VALUES ('regress_all', 'worker', NULL);
\set VERBOSITY default
-- The last one: nothing is left, and the role can be dropped.
SELECT revoke_queue_access('regress_b', c, 'b') FROM unnest(ARRAY['producer', 'worker', 'operator']) c;
SELECT count(*) FROM granted WHERE role = 'regress_b'::regrole;
DROP ROLE regress_b;
-- A role that was dropped without it leaves no row behind for long.
DROP OWNED BY regress_all;
DROP ROLE regress_all;
SELECT grant_queue_access('regress_a', 'monitor', 'a');
SELECT role, count(*) FROM queue_access GROUP BY role ORDER BY role::text;
-- All rows gone at once: nobody is bound, EXECUTE alone decides.
TRUNCATE queue_access;
SET ROLE regress_a;
SELECT try($$SELECT enqueue_job('b', 'mail') > 0$$);
RESET ROLE;

-- In another schema, where the role is given USAGE.
SET client_min_messages = warning;
DROP VIEW granted;
DROP FUNCTION forward, forward_by_app, forwarded, some_handler;
DROP EXTENSION fairq CASCADE;
CREATE SCHEMA "My Queue";
CREATE EXTENSION fairq SCHEMA "My Queue";
RESET client_min_messages;
SET ROLE regress_free;
SELECT try($$SELECT "My Queue".my_tenants()$$);
RESET ROLE;
SELECT "My Queue".grant_queue_access('regress_free', c, 'a') FROM unnest(ARRAY['producer', 'monitor']) c;
SET ROLE regress_free;
SELECT "My Queue".my_tenants(), try($$SELECT "My Queue".enqueue_job('a', 'mail')$$), try($$SELECT "My Queue".enqueue_job('b', 'mail')$$);
SELECT try($$INSERT INTO "My Queue".job_queue (tenant_id, job_type) VALUES ('b', 'mail')$$), try($$INSERT INTO "My Queue".job_queue (tenant_id, job_type) VALUES ('a', 'mail')$$);
SELECT id, tenant_id FROM "My Queue".my_jobs ORDER BY id;
RESET ROLE;
SELECT "My Queue".revoke_queue_access('regress_free', c, 'a') FROM unnest(ARRAY['producer', 'monitor']) c;
SELECT has_schema_privilege('regress_free', 'My Queue', 'USAGE') AS has_usage;

SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
DROP SCHEMA "My Queue";
CREATE EXTENSION fairq;
DROP FUNCTION everything, claim_one, leak, app_enqueue, super_enqueue;
DROP TABLE commands;
DROP OWNED BY regress_a, regress_ab, regress_free, regress_app, regress_handler;
DROP ROLE regress_a, regress_ab, regress_free, regress_app, regress_handler;
DROP FUNCTION try;
