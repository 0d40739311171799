-- Security, from the catalog: what the extension's objects give to whom, and what is dumped; and what a stranger can do.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
CREATE ROLE regress_stranger;
CREATE ROLE regress_producer;
CREATE ROLE regress_monitor IN ROLE pg_monitor;
RESET client_min_messages;
CREATE TEMP VIEW members AS
    SELECT classid, objid FROM pg_depend
     WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'fairq');

-- Functions: search_path is pinned but where it cannot be: a procedure that commits (see hostile_path). None of these is
-- SECURITY DEFINER.
SELECT count(*) > 20 AS functions FROM members WHERE classid = 'pg_proc'::regclass;
SELECT proname AS definer_without_path FROM members JOIN pg_proc p ON p.oid = objid AND classid = 'pg_proc'::regclass
 WHERE prosecdef AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false);
SELECT proname AS without_path, prosecdef FROM members JOIN pg_proc p ON p.oid = objid AND classid = 'pg_proc'::regclass
 WHERE NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false) ORDER BY 1;
SELECT proname AS executable_by_public FROM members JOIN pg_proc p ON p.oid = objid AND classid = 'pg_proc'::regclass,
       aclexplode(coalesce(proacl, acldefault('f', proowner))) a
 WHERE a.grantee = 0 ORDER BY 1;
SELECT proname AS of_others, a.grantee::regrole FROM members JOIN pg_proc p ON p.oid = objid AND classid = 'pg_proc'::regclass,
       aclexplode(coalesce(proacl, acldefault('f', proowner))) a
 WHERE a.grantee NOT IN (0, proowner) ORDER BY 1;
SELECT proname AS marked_leakproof FROM members JOIN pg_proc p ON p.oid = objid AND classid = 'pg_proc'::regclass WHERE proleakproof;

-- Relations, partitions made later included: nothing for anybody but the owner; no column of theirs either.
SELECT make_history_partitions() > 0 AS partitions;
CREATE TEMP VIEW relations AS
    SELECT c.* FROM pg_class c
     WHERE oid IN (SELECT objid FROM members WHERE classid = 'pg_class'::regclass)
        OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'job_history'::regclass);
SELECT relkind, count(*) > 0 AS some FROM relations GROUP BY relkind ORDER BY relkind;
SELECT relname, a.grantee, a.privilege_type
  FROM relations, aclexplode(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))) a
 WHERE a.grantee <> relowner ORDER BY 1;
SELECT attrelid::regclass, attname FROM pg_attribute JOIN relations r ON r.oid = attrelid WHERE attacl IS NOT NULL;
SELECT count(DISTINCT relowner) AS owners FROM relations;

-- What is dumped: every table and sequence that has data. (Daily partitions are no members: pg_dump takes them as any table.)
SELECT c.oid::regclass, x.condition
  FROM pg_extension, unnest(extconfig, extcondition) AS x (oid, condition) JOIN pg_class c ON c.oid = x.oid
 WHERE extname = 'fairq' ORDER BY relname COLLATE "C";
SELECT relname AS not_dumped FROM relations
 WHERE relkind IN ('r', 'S') AND oid <> ALL ((SELECT extconfig FROM pg_extension WHERE extname = 'fairq')::oid[])
   AND oid IN (SELECT objid FROM members);
SELECT relname AS member_that_is_a_day FROM relations WHERE relname ~ '_[0-9]{8}$' AND oid IN (SELECT objid FROM members);
SELECT indexrelid::regclass, indrelid::regclass AS of_a_partitioned_parent FROM pg_index WHERE indrelid = 'job_history'::regclass;

-- A stranger: refused everything, by PostgreSQL itself.
CREATE FUNCTION pg_temp.try(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE command;
    RETURN 'allowed';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;
CREATE TEMP TABLE calls AS
    SELECT proname, format('%s public.%I(%s)', CASE prokind WHEN 'p' THEN 'CALL' ELSE 'SELECT' END, proname,
                           (SELECT string_agg(format('NULL::%s', t::regtype), ', ' ORDER BY n) FROM unnest(proargtypes) WITH ORDINALITY a (t, n))) AS command
      FROM members JOIN pg_proc p ON p.oid = objid AND classid = 'pg_proc'::regclass;
INSERT INTO calls
    SELECT relname, format(c, relname)
      FROM relations, unnest(ARRAY['SELECT FROM public.%I', 'DELETE FROM public.%I', 'INSERT INTO public.%I DEFAULT VALUES', 'TRUNCATE public.%I']) c
     WHERE relkind IN ('r', 'v', 'p') AND relname !~ '[0-9]{8}$' AND NOT (relkind = 'v' AND c ~ 'TRUNCATE')
       AND NOT (relname IN ('my_jobs', 'queue_capabilities', 'tenant_metrics', 'queue_alerts') AND c !~ 'SELECT') -- views that nobody can write to
    UNION ALL SELECT relname, format('SELECT nextval(''public.%I'')', relname) FROM relations WHERE relkind = 'S';
GRANT SELECT ON calls TO PUBLIC;
SET ROLE regress_stranger;
SELECT pg_temp.try(command) AS result, count(*) > 40 AS many FROM calls WHERE proname <> 'truncate_notify_payload' GROUP BY 1;
SELECT pg_temp.try(command) AS result, command FROM calls WHERE proname = 'truncate_notify_payload';
SELECT command AS not_refused FROM calls WHERE pg_temp.try(command) <> '42501' AND proname <> 'truncate_notify_payload';
SELECT enqueue_job('a', 'mail');
RESET ROLE;

-- EXECUTE is what is granted; it gives that function and nothing else.
GRANT EXECUTE ON FUNCTION enqueue_job TO regress_producer;
SET ROLE regress_producer;
SELECT enqueue_job('a', 'mail');
SELECT proname AS also_allowed FROM calls WHERE pg_temp.try(command) NOT IN ('42501', 'JQ007') AND proname <> 'truncate_notify_payload';
\set VERBOSITY sqlstate
INSERT INTO job_queue (tenant_id, job_type) VALUES ('a', 'mail');
RESET ROLE;
GRANT INSERT ON job_queue TO regress_producer;
SET ROLE regress_producer;
INSERT INTO job_queue (tenant_id, job_type) VALUES ('a', 'mail');
INSERT INTO job_queue (tenant_id, job_type) VALUES ('a', 'mail') RETURNING id;
SELECT * FROM job_queue;
RESET ROLE;
\set VERBOSITY default
SELECT count(*) FROM job_queue;

-- A member of pg_monitor sees metrics, and no job.
SET ROLE regress_monitor;
SELECT get_queue_metrics() -> 'queue_stats' -> 'queued' AS queued, get_load_test_metrics() -> 'duplicate_count' AS duplicates;
SELECT DISTINCT proname AS also_allowed FROM calls WHERE pg_temp.try(command) NOT IN ('42501', 'JQ007') ORDER BY 1;
RESET ROLE;

SET client_min_messages = warning;
DROP VIEW relations, members;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
DROP OWNED BY regress_producer, regress_stranger, regress_monitor;
DROP ROLE regress_producer, regress_stranger, regress_monitor;
