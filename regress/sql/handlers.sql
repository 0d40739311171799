-- Handlers: who may register which, as whom they run, and that none leaves anything to the next one or to us.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
CREATE ROLE regress_ann;
CREATE ROLE regress_bob;
CREATE ROLE regress_cron LOGIN;
RESET client_min_messages;
GRANT CREATE ON SCHEMA public TO regress_ann, regress_bob;
GRANT EXECUTE ON FUNCTION register_job_handler, unregister_job_handler TO regress_ann, regress_bob;
GRANT EXECUTE ON FUNCTION run_job_queue_cron, run_job_queue_parallel TO regress_cron;
CREATE TABLE seen (n integer GENERATED ALWAYS AS IDENTITY, what text, who name DEFAULT current_user);
GRANT INSERT, SELECT ON seen TO PUBLIC;

-- What is no handler.
CREATE FUNCTION returns_text(job job_queue) RETURNS text LANGUAGE sql AS 'SELECT ''''';
CREATE FUNCTION takes_two(job job_queue, b text) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION takes_live(job job_live) RETURNS void LANGUAGE sql AS '';
CREATE PROCEDURE is_procedure(job job_queue) LANGUAGE sql AS '';
\set VERBOSITY sqlstate
SELECT register_job_handler('x', 'returns_text(job_queue)');
SELECT register_job_handler('x', 'takes_two(job_queue, text)');
SELECT register_job_handler('x', 'takes_live(job_live)');
SELECT register_job_handler('x', 'is_procedure(job_queue)');
\set VERBOSITY default
DROP FUNCTION returns_text, takes_two, takes_live;
DROP PROCEDURE is_procedure;

-- It is given the job's row, a payload out of line included, and can keep it.
CREATE TABLE kept (job job_queue, same boolean);
CREATE FUNCTION keep(job job_queue) RETURNS void LANGUAGE sql AS $$
    INSERT INTO public.kept SELECT job, q = job FROM public.job_queue q WHERE q.id = job.id
$$;
SELECT register_job_handler('keep', 'keep(job_queue)');
SELECT FROM enqueue_job('a', 'keep', '{"n": 1}', 3, timeout => '7 s');
SELECT FROM enqueue_job('a', 'keep', to_jsonb((SELECT string_agg(md5(i::text), '') FROM generate_series(1, 700) i)));
SELECT run_job_queue_cron() ->> 'completed' AS completed;
VACUUM FULL job_live;
SELECT (job).status, (job).attempts, (job).priority, (job).timeout, length((job).payload::text), same FROM kept ORDER BY (job).id;
SELECT unregister_job_handler('keep');
DROP FUNCTION keep;
DROP TABLE kept;

-- A role needs EXECUTE on what it registers, and runs it with its own rights.
CREATE FUNCTION secret(job job_queue) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.seen (what) VALUES ('secret') $$;
REVOKE EXECUTE ON FUNCTION secret FROM PUBLIC;
SET ROLE regress_ann;
SELECT register_job_handler('secret', 'secret(job_queue)');
CREATE FUNCTION hers(job job_queue) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.seen (what) VALUES (job.job_type) $$;
SELECT register_job_handler('hers', 'hers(job_queue)');
SET ROLE regress_bob;
CREATE FUNCTION his(job job_queue) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.seen (what) VALUES (job.job_type) $$;
SELECT register_job_handler('his', 'his(job_queue)');
-- Nobody else's can be replaced or taken back, nor the built-in one.
SELECT register_job_handler('hers', 'his(job_queue)');
SELECT unregister_job_handler('hers');
SELECT register_job_handler('load_test', 'his(job_queue)');
SELECT unregister_job_handler('load_test');
RESET ROLE;
SELECT job_type, handler_schema, handler_name, run_as FROM job_handlers ORDER BY job_type;

-- A tick runs what its role may become; the rest stays unclaimed.
SELECT count(*) FROM enqueue_jobs(ARRAY['t'], 'hers');
SELECT count(*) FROM enqueue_jobs(ARRAY['t'], 'his');
GRANT regress_ann TO regress_cron;
SET ROLE regress_cron;
SELECT s -> 'claimed' AS claimed FROM run_job_queue_cron() s;
SELECT s -> 'claimed' AS claimed FROM run_job_queue_parallel(2) s;
RESET ROLE;
SELECT what, who FROM seen;
SELECT job_type, status, attempts FROM job_queue ORDER BY id;
SELECT s -> 'claimed' AS claimed FROM run_job_queue_cron() s; -- a superuser is a member of all
SELECT what, who FROM seen ORDER BY n;
-- The same for a session of that role.
SELECT count(*) FROM enqueue_jobs(ARRAY['t'], 'hers');
SET SESSION AUTHORIZATION regress_cron;
SELECT s -> 'completed' AS completed FROM run_job_queue_cron() s;
RESET SESSION AUTHORIZATION;
-- And for one that may not log in: its workers could not start.
SET SESSION AUTHORIZATION regress_ann;
SELECT run_job_queue_cron();
RESET SESSION AUTHORIZATION;
GRANT EXECUTE ON FUNCTION run_job_queue_cron TO regress_ann;
SET SESSION AUTHORIZATION regress_ann;
SELECT run_job_queue_cron();
RESET SESSION AUTHORIZATION;
REVOKE EXECUTE ON FUNCTION run_job_queue_cron FROM regress_ann;

-- EXECUTE that is taken away later leaves the job unclaimed until it is given back (handlers_gone.sql has more of this kind).
SELECT count(*) FROM enqueue_jobs(ARRAY['t'], 'his', max_attempts => 1);
REVOKE EXECUTE ON FUNCTION his FROM PUBLIC, regress_bob;
SELECT s -> 'claimed' AS claimed FROM run_job_queue_cron() s;
SELECT status, attempts FROM job_queue WHERE job_type = 'his' ORDER BY id DESC LIMIT 1;
GRANT EXECUTE ON FUNCTION his TO PUBLIC;
SELECT s -> 'completed' AS completed FROM run_job_queue_cron() s;

-- Replacing one's own; taking it back; a superuser may do both to anybody's.
SET ROLE regress_ann;
CREATE FUNCTION hers_too(job job_queue) RETURNS void LANGUAGE sql AS '';
SELECT register_job_handler('hers', 'hers_too(job_queue)');
SELECT unregister_job_handler('hers');
SELECT unregister_job_handler('hers');
RESET ROLE;
SELECT register_job_handler('his', 'his(job_queue)');
SELECT job_type, handler_name, run_as::text <> 'regress_bob' AS superusers FROM job_handlers;
SELECT unregister_job_handler('his');

-- What a handler does to its session ends with its job: settings, role.
TRUNCATE seen RESTART IDENTITY;
CREATE FUNCTION look(job job_queue) RETURNS void LANGUAGE sql AS $$
    INSERT INTO public.seen (what)
    SELECT concat_ws(', ', job.job_type, current_setting('search_path'), current_setting('lock_timeout'), current_setting('work_mem'))
$$;
CREATE FUNCTION set_path(job job_queue) RETURNS void LANGUAGE plpgsql AS 'BEGIN SET search_path = regress_nowhere; END';
CREATE FUNCTION set_local(job job_queue) RETURNS void LANGUAGE plpgsql AS 'BEGIN SET LOCAL search_path = regress_nowhere; END';
CREATE FUNCTION set_others(job job_queue) RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET lock_timeout = '17s'; SET work_mem = '17MB'; END $$;
CREATE FUNCTION set_role(job job_queue) RETURNS void LANGUAGE plpgsql AS 'BEGIN SET ROLE regress_bob; END';
CREATE FUNCTION reset_role(job job_queue) RETURNS void LANGUAGE plpgsql AS 'BEGIN RESET ROLE; END';
CREATE FUNCTION set_session(job job_queue) RETURNS void LANGUAGE plpgsql AS 'BEGIN SET SESSION AUTHORIZATION DEFAULT; END';
SELECT register_job_handler(f, (f || '(job_queue)')::regprocedure)
  FROM unnest(ARRAY['set_path', 'set_local', 'set_others', 'set_role', 'reset_role', 'set_session']) f;
SELECT register_job_handler('look ' || i, 'look(job_queue)') FROM generate_series(1, 7) i;
SELECT count(*) AS enqueued
  FROM (SELECT enqueue_job('t', f, priority => i::integer * 2, max_attempts => 1), enqueue_job('t', 'look ' || i, priority => i::integer * 2 + 1)
          FROM unnest(ARRAY['set_path', 'set_local', 'set_others', 'set_role', 'reset_role', 'set_session']) WITH ORDINALITY f (f, i)) s;
SELECT s -> 'completed' AS completed, s -> 'failed' AS failed FROM run_job_queue_cron() s;
SELECT what FROM seen ORDER BY n;
SELECT job_type, status, last_error FROM job_queue WHERE job_type ~ '^(re)?set_' ORDER BY id;

-- And nobody gets our rights by what runs only when the job is committed, or by our own statements.
GRANT CREATE ON SCHEMA public TO regress_ann;
CREATE SCHEMA regress_hers AUTHORIZATION regress_ann;
TRUNCATE seen RESTART IDENTITY;
SET ROLE regress_ann;
CREATE TABLE regress_hers.bait (n integer);
CREATE FUNCTION regress_hers.on_bait() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.seen (what) VALUES ('deferred trigger ' || NEW.n);
    IF NEW.n < 3 THEN -- and another one, deferred while the first is made to run
        SET CONSTRAINTS ALL DEFERRED;
        INSERT INTO regress_hers.bait VALUES (NEW.n + 1);
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER bait AFTER INSERT ON regress_hers.bait DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION regress_hers.on_bait();
CREATE FUNCTION regress_hers.deferred(job public.job_queue) RETURNS void LANGUAGE sql AS 'INSERT INTO regress_hers.bait VALUES (1)';
CREATE FUNCTION regress_hers.see() RETURNS integer LANGUAGE sql AS 'INSERT INTO public.seen (what) VALUES (''held cursor'') RETURNING 1';
CREATE FUNCTION regress_hers.held(job public.job_queue) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT regress_hers.see()'; END $$;
CREATE FUNCTION regress_hers.eq(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.seen (what) VALUES ('operator');
    RETURN $1 OPERATOR(pg_catalog.=) $2;
END
$$;
CREATE OPERATOR regress_hers.= (leftarg = bigint, rightarg = bigint, function = regress_hers.eq);
CREATE FUNCTION regress_hers.path(job public.job_queue) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN PERFORM set_config('search_path', 'regress_hers, pg_catalog', false); END $$;
SELECT public.register_job_handler(f, ('regress_hers.' || f || '(public.job_queue)')::regprocedure) FROM unnest(ARRAY['deferred', 'held', 'path']) f;
RESET ROLE;
SELECT enqueue_job('t', f, priority => 100, max_attempts => 1) > 0 AS enqueued FROM unnest(ARRAY['deferred', 'held', 'path', 'look 7']) f;
SELECT s -> 'claimed' AS claimed FROM run_job_queue_cron() s;
SELECT what FROM seen WHERE what ~ '^deferred' ORDER BY n;
SELECT what, count(*) AS with_other_rights FROM seen WHERE what !~ '^look' AND who <> 'regress_ann' GROUP BY 1 ORDER BY 1;

DROP FUNCTION look, set_path, set_local, set_others, set_role, reset_role, set_session, secret, hers, hers_too, his;
DROP TABLE seen;
SET client_min_messages = warning;
DROP SCHEMA regress_hers CASCADE;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
DROP OWNED BY regress_ann, regress_bob, regress_cron;
DROP ROLE regress_ann, regress_bob, regress_cron;
