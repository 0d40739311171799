-- What EXPLAIN tells a role that is bound to tenants depends on nothing but constants: not on what other tenants have, nor on
-- how much of it. Tried on everything that such a role may read.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
CREATE ROLE regress_bound LOGIN;
RESET client_min_messages;
SELECT grant_queue_access('regress_bound', c, 'own') FROM unnest(ARRAY['producer', 'worker', 'operator']) c;

-- Of tenant victim: names, types, keys, errors and numbers that stand out in the statistics.
CREATE PROCEDURE fill() LANGUAGE sql AS $$
    SELECT count(enqueue_job('victim', 'secret type', '{"secret": true}', priority => 7, concurrency_key => 'secret key', max_attempts => 3,
                             timeout => interval '7 minutes')) FROM generate_series(1, 300);
    SELECT count(enqueue_job('victim', 'secret type', run_id => r, stage => 4)) FROM (SELECT create_pipeline_run('victim', 'secret') OFFSET 0) s (r), generate_series(1, 50);
    SELECT count(fail_job(id, lock_token, 'secret error')) FROM claim_queued_jobs('secret worker', 100, 100);
    SELECT count(enqueue_job('victim', 'secret type')) FROM generate_series(1, 300);
    SELECT count(*) FROM claim_queued_jobs('secret worker', 50, 50) c, complete_jobs(ARRAY[c.id], c.lock_token) WHERE c.id % 2 = 0;
    SELECT count(enqueue_job('own', 'mail'));
$$;
CALL fill();
ANALYZE;

-- The conditions that were tried; %s stands for the value.
CREATE TABLE attacks AS
    SELECT c.relname AS place, format(pattern, attname, coalesce(value, 'nothing there')) AS condition, pattern, attname, value IS NOT NULL AS hits
      FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
      JOIN queue_capabilities q ON q.object = relname AND q.privilege = 'SELECT' AND NOT q.for_all
     CROSS JOIN unnest(ARRAY['%I::text = %L', '%I::text <> %L', '%I::text ~~ (%L || ''%%'')', '%I::text < %L', '%I IS NULL OR %2$L = %2$L', '%I IS NOT NULL']) pattern
      JOIN LATERAL (VALUES ('tenant_id', 'victim'), ('job_type', 'secret type'), ('concurrency_key', 'secret key'), ('last_error', 'secret error'),
                           ('locked_by', 'secret worker'), ('status', 'queued'), ('priority', '7'), ('max_attempts', '3'), ('timeout', '00:07:00'),
                           ('stage', '4'), (attname::text, NULL)) v (name, value) ON name = attname;
-- As they are, without a cast: so that statistics of the column apply.
INSERT INTO attacks
    SELECT 'my_jobs', format('%I %s %L', name, operator, value), operator, name, hits
      FROM (VALUES ('tenant_id', 'victim', true), ('tenant_id', 'nobody', false), ('job_type', 'secret type', true), ('job_type', 'none', false),
                   ('concurrency_key', 'secret key', true), ('concurrency_key', 'none', false), ('last_error', 'secret error', true), ('last_error', 'none', false),
                   ('status', 'scheduled', true), ('status', 'cancelled', false), ('id', '1', true), ('id', '1000000', false),
                   ('run_id', '1', true), ('run_id', '99', false), ('created_at', 'yesterday', true), ('created_at', 'tomorrow', false)) v (name, value, hits),
           unnest(ARRAY['=', '<>', '<', '>']) operator;
GRANT SELECT ON attacks TO regress_bound;
CREATE FUNCTION estimate(place text, condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE format('EXPLAIN (FORMAT JSON) SELECT * FROM %I WHERE %s', place, condition) INTO plan;
    RETURN regexp_replace((plan -> 0 -> 'Plan')::text, '"([A-Za-z -]*(Filter|Cond))": "([^"\\]|\\.)*"', '"\1": ""', 'g');
END
$$;
CREATE TABLE estimates (n integer, place text, attname name, pattern text, hits boolean, estimate text);
GRANT INSERT ON estimates TO regress_bound;
SET SESSION AUTHORIZATION regress_bound;
INSERT INTO estimates SELECT 1, place, attname, pattern, hits, estimate(place, condition) FROM attacks;
RESET SESSION AUTHORIZATION;
SELECT count(*) > 100 AS tried, count(*) FILTER (WHERE hits) > 50 AS hits FROM estimates;
-- A value that somebody has looks like one that nobody has ...
SELECT place, attname, count(*) AS told FROM (SELECT place, attname, pattern FROM estimates GROUP BY 1, 2, 3 HAVING count(DISTINCT estimate) > 1) s
 GROUP BY 1, 2 ORDER BY 1, 2;
-- ... and much looks like little.
CALL fill();
CALL fill();
ANALYZE;
SET SESSION AUTHORIZATION regress_bound;
INSERT INTO estimates SELECT 2, place, attname, pattern, hits, estimate(place, condition) FROM attacks;
RESET SESSION AUTHORIZATION;
SELECT place, attname, count(*) AS told FROM (SELECT place, attname, pattern FROM estimates GROUP BY 1, 2, 3 HAVING count(DISTINCT estimate) > 1) s
 GROUP BY 1, 2 ORDER BY 1, 2;
-- Nor does it read a table itself, or anything else that has statistics: what is behind these names are functions.
CREATE FUNCTION nodes(plan jsonb) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT plan ->> 'Node Type' UNION ALL SELECT n FROM jsonb_array_elements(plan -> 'Plans') p, nodes(p) n
$$;
SELECT place, string_agg(DISTINCT node, ', ') AS nodes FROM estimates e, nodes(estimate::jsonb) node WHERE n = 1 GROUP BY place ORDER BY place;

------------------------------------------------------------------------------------------------ what it reads is what it asked for
SET SESSION AUTHORIZATION regress_bound;
SELECT tenant_id, count(*) FROM my_jobs GROUP BY tenant_id;
SELECT count(*) FROM my_jobs WHERE tenant_id = 'victim';
SELECT count(*) FROM my_jobs WHERE id = 1;
RESET SESSION AUTHORIZATION;

-- Conditions of constants go down with it: a job is found by its id, unfinished jobs without a look at the finished ones.
-- What it looks at is counted; a condition that could tell what it is given stays above.
CREATE FUNCTION looked_at(query text, history boolean DEFAULT false) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    before bigint;
    read bigint;
    rows bigint;
BEGIN
    PERFORM pg_stat_clear_snapshot();
    SELECT sum(pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid)) INTO before FROM pg_class
     WHERE relname ~ CASE WHEN history THEN '^job_history' ELSE '^job_(live|history)' END;
    EXECUTE query INTO rows;
    SELECT sum(pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid)) - before INTO read FROM pg_class
     WHERE relname ~ CASE WHEN history THEN '^job_history' ELSE '^job_(live|history)' END;
    RETURN read;
END
$$;
CREATE FUNCTION leak(value text) RETURNS boolean COST 0.0000001 LANGUAGE plpgsql AS $$ BEGIN RAISE INFO 'seen: %', value; RETURN true; END $$;
SELECT max(id) AS own, min(id) AS first FROM job_live WHERE tenant_id = 'own' AND status = 'queued' \gset
SELECT grant_queue_access('regress_bound', 'monitor', 'victim');
SET SESSION AUTHORIZATION regress_bound;
SELECT count(*) FROM my_jobs WHERE id = :own AND leak(tenant_id);
RESET SESSION AUTHORIZATION;
BEGIN;
SET LOCAL SESSION AUTHORIZATION regress_bound;
SET LOCAL enable_seqscan = off;
SELECT looked_at('SELECT count(*) FROM my_jobs') > 900 AS all_jobs;
SELECT looked_at('SELECT count(*) FROM my_jobs WHERE id = ' || :own) < 10 AS by_id;
SELECT looked_at('SELECT count(*) FROM my_jobs WHERE ' || :own || ' = id AND payload IS NOT NULL') < 10 AS by_id;
SELECT looked_at(format('SELECT count(*) FROM my_jobs WHERE id = ANY (%L)', ARRAY[:own, :first])) < 20 AS by_ids;
SELECT looked_at('SELECT count(*) FROM my_jobs a WHERE EXISTS (SELECT FROM my_jobs b WHERE b.id = ' || :own || ') AND a.id = ' || :first) < 20 AS twice;
SELECT looked_at($$SELECT count(*) FROM my_jobs WHERE tenant_id = 'own'$$, false) < 1000 AS by_tenant;
SELECT looked_at($$SELECT count(*) FROM my_jobs WHERE status = 'queued'$$, true) AS unfinished;
SELECT looked_at($$SELECT count(*) FROM my_jobs WHERE status IN ('queued', 'locked')$$, true) AS unfinished;
PREPARE by_id(bigint) AS SELECT count(*) FROM my_jobs WHERE id = $1;
SET LOCAL plan_cache_mode = force_generic_plan;
SELECT looked_at('EXECUTE by_id(' || :own || ')') < 10 AS by_parameter;
SELECT looked_at('EXECUTE by_id(' || :first || ')') < 10 AS by_parameter;
ROLLBACK;
DEALLOCATE by_id;
-- Whatever the condition, and whoever checks it, it finds the same.
SELECT enqueue_job('own', $$it's @job_live \ "$$, '{"a": "@"}', concurrency_key => '%s', run_at => 'tomorrow') > 0 AS odd;
CREATE FUNCTION count_of(place text, condition text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    found bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM %s WHERE %s', place, condition) INTO found;
    RETURN found;
END
$$;
CREATE TABLE found AS SELECT condition, count_of('job_queue', condition || $$ AND tenant_id IN ('own', 'victim')$$) AS jobs FROM unnest(ARRAY[
    $$job_type = 'it''s @job_live \ "'$$, $$job_type ~~ 'it%'$$, $$payload = '{"a": "@"}'$$, $$payload ->> 'a' = '@'$$, $$concurrency_key = '%s'$$,
    $$(tenant_id = 'own' OR status = 'completed')$$, $$NOT (tenant_id = 'own' OR status <> 'scheduled')$$, $$run_id IS NULL$$, $$(run_id IS NOT NULL) IS TRUE$$,
    $$tenant_id COLLATE "POSIX" > 'p'$$, $$tenant_id::varchar(2) = 'ow'$$, $$tenant_id > 'p' COLLATE "POSIX"$$, $$id = ANY ('{1,2,3,NULL}')$$, $$id <> ALL ('{1,2,3}')$$,
    $$id = (SELECT min(id) FROM my_jobs)$$, $$id IN (SELECT id FROM my_jobs WHERE priority = 7)$$, $$status IN ('queued', 'dead', NULL)$$, $$status::text = 'queued'$$,
    $$status > 'queued'$$, $$status = ANY (enum_range('queued'::job_status, 'completed'))$$, $$(tenant_id, priority) = ('victim', 7)$$, $$run_at > now() - interval '1 day'$$,
    $$created_at < clock_timestamp()$$, $$timeout = '7 minutes'$$, $$timeout > interval '6 minutes'$$, $$random() < 2$$, $$priority + 0 = 7$$, $$priority = 7::numeric$$,
    $$coalesce(stage, 4) = 4$$, $$CASE WHEN stage = 4 THEN true ELSE false END$$]) condition;
GRANT SELECT ON found TO regress_bound;
SELECT count(*) AS conditions, count(*) FILTER (WHERE jobs > 0) AS that_hold FROM found;
SELECT * FROM found WHERE jobs <> count_of('my_jobs', condition || $$ AND tenant_id IN ('own', 'victim')$$);
SET SESSION AUTHORIZATION regress_bound;
SELECT * FROM found WHERE jobs <> count_of('my_jobs', condition);
SELECT * FROM found WHERE jobs <> count_of('(SELECT (read_my_jobs()).*) AS my_jobs', condition) AND condition !~ 'FROM my_jobs';
SELECT * FROM found WHERE jobs <> count_of('my_jobs', condition || ' AND EXISTS (SELECT FROM my_jobs AS other WHERE other.id = my_jobs.id)');
RESET SESSION AUTHORIZATION;
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
DROP PROCEDURE fill;
DROP FUNCTION estimate, nodes, looked_at, leak, count_of;
DROP TABLE attacks, estimates, found;
DROP OWNED BY regress_bound;
DROP ROLE regress_bound;
