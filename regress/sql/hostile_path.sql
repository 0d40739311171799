-- A hostile search_path: operators, functions, tables and types that stand before ours and PostgreSQL's own. Whoever is
-- used raises, or writes into the wrong table; so everything has to work here as anywhere, for a superuser and for others.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
CREATE ROLE regress_app LOGIN;
CREATE ROLE regress_bound;
SELECT grant_queue_access('regress_bound', 'worker', 'a');
CREATE SCHEMA regress_hostile;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA public TO regress_app;
GRANT USAGE ON SCHEMA regress_hostile TO PUBLIC;

CREATE PROCEDURE regress_hostile.plant() LANGUAGE plpgsql AS $$
DECLARE
    t text;
    o text;
BEGIN
    FOREACH t IN ARRAY ARRAY['bigint', 'integer', 'smallint', 'text', 'boolean', 'jsonb', 'timestamptz', 'interval', 'name', 'oid', 'anyelement', 'anyarray'] LOOP
        EXECUTE format('CREATE FUNCTION regress_hostile.op(a %1$s, b %1$s) RETURNS boolean LANGUAGE plpgsql AS '
                       '$f$ BEGIN RAISE ''hostile operator''; END $f$', t);
        FOREACH o IN ARRAY ARRAY['=', '<>', '<', '<=', '>', '>=', '+', '-', '||', '->>', '->'] LOOP
            EXECUTE format('CREATE OPERATOR regress_hostile.%1$s (leftarg = %2$s, rightarg = %2$s, function = regress_hostile.op)', o, t);
        END LOOP;
    END LOOP;
    CREATE DOMAIN regress_hostile.oid AS pg_catalog.oid
        CHECK (regress_hostile.op(VALUE::pg_catalog.oid, VALUE::pg_catalog.oid));
    FOR t IN SELECT unnest(ARRAY[
        'now()', 'clock_timestamp()', 'nextval(regclass)', 'nextval(text)', 'count(bigint)', 'lower(text)', 'format(text)',
        'format(text, text, text)', 'to_char(timestamp, text)', 'to_regclass(text)', 'pg_relation_size(regclass)', 'pg_sleep(double precision)',
        'date_trunc(text, timestamp)', 'cardinality(bigint[])', 'array_position(anyarray, anyelement)', 'enum_range(anyenum)',
        'int4(bigint)', 'int8(integer)', 'text(name)', 'timezone(text, timestamptz)', 'generate_series(integer, integer)',
        'enqueue_job(text, text, jsonb, smallint, timestamptz, text, integer, interval)',
        'enqueue_job(text, text, jsonb, integer, timestamptz, text, integer, interval)']) LOOP
        EXECUTE format('CREATE FUNCTION regress_hostile.%s RETURNS bigint LANGUAGE plpgsql AS $f$ BEGIN RAISE ''hostile function''; END $f$', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['job_live', 'job_history', 'job_leases', 'job_keys', 'job_handlers', 'channel_outbox', 'campaign_audit_log',
                             'load_test_totals', 'job_queue', 'pg_class', 'pg_proc', 'pg_type', 'pg_namespace'] LOOP
        EXECUTE format('CREATE TABLE regress_hostile.%I (hostile integer)', t);
        EXECUTE format('CREATE TEMP TABLE %I (hostile integer)', t);
    END LOOP;
    CREATE TYPE regress_hostile.job_status AS ENUM ('hostile');
    CREATE TYPE pg_temp.job_status AS ENUM ('hostile');
    CREATE SEQUENCE regress_hostile.job_live_id_seq;
END
$$;
CALL regress_hostile.plant();
GRANT INSERT, SELECT ON public.job_queue TO regress_app;
SELECT format('ALTER DATABASE %I SET search_path = pg_temp, regress_hostile, public, pg_catalog', current_database()) \gexec

-- The rehearsal, for a superuser: what is planted does bite.
\c -
SET client_min_messages = warning;
SHOW search_path;
SELECT 1::bigint = 1::bigint;
SELECT now();
SELECT hostile FROM job_live;
SELECT 1::oid;

-- Procedures, which can have no SET clause, before anything else has prepared what they ask first.
CALL public.run_job_queue_ticks(1, '1 s', '1 ms');
\c -
CALL public.wait_for_jobs('1 ms');

-- As a superuser, then as a role that has EXECUTE and nothing else: the same calls.
SELECT public.enqueue_job('a', 'mail', idempotency_key => 'k');
SELECT public.enqueue_job('a', 'mail', idempotency_key => 'k');
SELECT public.enqueue_jobs(ARRAY['a', 'b', 'b'], 'mail', NULL, 1, NULL, ARRAY['k', 'l', 'm']);
INSERT INTO public.job_queue (tenant_id, job_type) VALUES ('c', 'mail') RETURNING id, status::text;
SELECT status::text, attempts FROM public.claim_queued_jobs('w', 2);
SELECT max(lock_token) AS token FROM public.claim_queued_jobs('w') \gset
SELECT public.heartbeat_jobs(:token);
SELECT public.complete_jobs(job_ids[:1], lock_token) IS NOT NULL AS completed, public.release_jobs(job_ids[2:], lock_token) FROM public.job_leases WHERE lock_token OPERATOR(pg_catalog.=) :token;
SELECT public.reclaim_stuck_jobs();
SELECT public.cancel_job(public.enqueue_job('d', 'mail'));
SELECT public.redrive_dead_jobs('a', 'mail');
SELECT public.enqueue_job('a', 'mail');
SELECT max(lock_token) AS token, max(id) AS id FROM public.claim_queued_jobs('w', 1) \gset
SELECT public.fail_job(:id, :token, 'no', false)::text;
SELECT public.redrive_dead_jobs();
SELECT public.cancel_job(:id);
SELECT public.seed_load_test_jobs(6, 3);
SELECT public.run_job_queue_cron()::text ~ '"completed": 6, "load_test": true' AS six;
SELECT public.seed_load_test_jobs(6, 3);
CALL public.run_job_queue_ticks(2, '1 s', '1 ms');
SELECT public.get_load_test_metrics()::text ~ '"completed": 12,' AS twelve;
SELECT public.get_queue_metrics()::text ~ '"source": "(counted|kept)"' AS metrics;
SELECT public.clear_load_test_data();
SELECT public.notify_truncated('c', 'x');
SELECT public.make_history_partitions(1);

SET SESSION AUTHORIZATION regress_app;
CREATE TEMP TABLE IF NOT EXISTS job_live (hostile integer);
SELECT public.enqueue_job('a', 'mail', idempotency_key => 'app') IS NOT NULL AS enqueued;
INSERT INTO public.job_queue (tenant_id, job_type) VALUES ('c', 'mail');
SELECT max(lock_token) AS token, array_agg(id) AS ids FROM public.claim_queued_jobs('w') \gset
SELECT public.heartbeat_jobs(:token);
SELECT public.complete_jobs(:'ids', :token) IS NOT NULL AS completed;
SELECT public.seed_load_test_jobs(6, 3);
SELECT public.run_job_queue_parallel(2)::text ~ '"completed": 6, "load_test": true' AS six;
SELECT public.run_job_queue_cron()::text ~ '"completed": 0' AS none_left;
SELECT public.get_load_test_metrics()::text ~ '"completed": 6,' AS six;
SELECT public.clear_load_test_data();
RESET SESSION AUTHORIZATION;

-- Indexes of the owner's: their functions run with his rights, so the names in them have to mean what they meant to him.
SET search_path = pg_catalog;
CREATE FUNCTION public.small(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN lower($1); END';
ALTER EVENT TRIGGER fairq_check_ddl DISABLE;
CREATE INDEX small_live ON public.job_live (public.small(tenant_id));
CREATE INDEX small_history ON public.job_history (id) WHERE public.small(tenant_id) <> 'x';
SET SESSION AUTHORIZATION regress_app;
RESET search_path;
SELECT public.small('A'); -- the rehearsal
SELECT public.enqueue_jobs(ARRAY['A', 'B'], 'mail') IS NOT NULL AS enqueued;
SELECT max(lock_token) AS token, array_agg(id) AS ids FROM public.claim_queued_jobs('w') \gset
SELECT public.complete_jobs(:'ids', :token) IS NOT NULL AS completed;
RESET SESSION AUTHORIZATION;
SET search_path = pg_catalog;
DROP INDEX public.small_live, public.small_history;
DROP FUNCTION public.small;

-- What ran is in our tables, nothing in theirs.
SET search_path = pg_catalog;
SELECT status, count(*) FROM public.job_queue WHERE status >= 'completed' GROUP BY status ORDER BY status;
SELECT format('SELECT sum(n) AS planted_rows FROM (%s) t', string_agg(format('SELECT count(*) AS n FROM %s', oid::regclass), ' UNION ALL ')) AS count_planted
  FROM pg_class WHERE relnamespace IN ('regress_hostile'::regnamespace, pg_my_temp_schema()) AND relkind = 'r' AND relname !~ '^pg_' \gset
:count_planted;

SET client_min_messages = warning;
SELECT format('ALTER DATABASE %I RESET search_path', current_database()) \gexec
DROP SCHEMA regress_hostile CASCADE;
\c -
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
DROP OWNED BY regress_app, regress_bound;
DROP ROLE regress_app, regress_bound;
