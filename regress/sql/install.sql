-- Installing: in public, in another schema, over what somebody planted, and leaving nothing behind.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;

CREATE TEMP VIEW objects AS
    SELECT 'pg_class'::regclass AS catalog, oid, relname AS name FROM pg_class WHERE relnamespace <> pg_my_temp_schema()
    UNION ALL SELECT 'pg_proc'::regclass, oid, proname FROM pg_proc
    UNION ALL SELECT 'pg_type'::regclass, oid, typname FROM pg_type WHERE typnamespace <> pg_my_temp_schema()
    UNION ALL SELECT 'pg_trigger'::regclass, oid, tgname FROM pg_trigger
    UNION ALL SELECT 'pg_constraint'::regclass, oid, conname FROM pg_constraint
    UNION ALL SELECT 'pg_rewrite'::regclass, oid, rulename FROM pg_rewrite
    UNION ALL SELECT 'pg_namespace'::regclass, oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_';
CREATE TEMP TABLE before AS TABLE objects;

-- In public, which is the current schema.
CREATE EXTENSION fairq;
SELECT extnamespace::regnamespace, extversion = default_version AS current_version, extrelocatable, superuser, trusted
  FROM pg_extension
  JOIN pg_available_extensions ON name = extname
  JOIN pg_available_extension_versions v USING (name)
 WHERE extname = 'fairq' AND v.version = extversion;
SELECT count(*) AS schemas, bool_and(n.oid = e.extnamespace) AS all_members_there
  FROM pg_extension e
  JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
  JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
  JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE extname = 'fairq' GROUP BY n.oid;
CREATE EXTENSION fairq; -- 42710
ALTER EXTENSION fairq SET SCHEMA pg_catalog; -- not relocatable
SELECT seed_load_test_jobs(3, 2);
SELECT run_job_queue_cron() -> 'completed' AS completed; -- also makes partitions
SELECT count(*) > 1 AS has_partitions FROM pg_inherits WHERE inhparent = 'job_history'::regclass;

-- Leaves nothing, partitions and messages included.
DROP EXTENSION fairq;
SELECT catalog, name FROM objects EXCEPT SELECT catalog, name FROM before;

-- In a schema that needs quoting; no path leads there.
CREATE SCHEMA "My Queue";
CREATE EXTENSION fairq SCHEMA "My Queue";
SET search_path = pg_catalog;
SELECT "My Queue".enqueue_job('a', 'mail');
SELECT "My Queue".enqueue_jobs(ARRAY['a', 'b'], 'mail', idempotency_keys => ARRAY['k', 'k']);
INSERT INTO "My Queue".job_queue (tenant_id, job_type) VALUES ('c', 'mail') RETURNING id, status;
SELECT id, tenant_id, status FROM "My Queue".claim_queued_jobs('w') ORDER BY id;
SELECT "My Queue".complete_jobs(ARRAY[1, 2], max(lock_token)) FROM "My Queue".job_live;
SELECT "My Queue".fail_job(3, lock_token, 'no', retry => false) FROM "My Queue".job_live WHERE id = 3;
SELECT "My Queue".redrive_dead_jobs();
SELECT "My Queue".cancel_job(4);
SELECT "My Queue".seed_load_test_jobs(10, 2);
SELECT "My Queue".run_job_queue_parallel(2) -> 'completed' AS completed;
SELECT "My Queue".get_load_test_metrics() -> 'queue_stats' -> 'completed' AS completed;
SELECT "My Queue".get_queue_metrics() -> 'queue_stats' AS queue_stats;
SELECT status, count(*) FROM "My Queue".job_queue GROUP BY status ORDER BY status;
SELECT relnamespace::regnamespace, count(*) > 1 AS has_partitions
  FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = '"My Queue".job_history'::regclass GROUP BY 1;
SELECT "My Queue".clear_load_test_data();
RESET search_path;
DROP EXTENSION fairq;
DROP SCHEMA "My Queue"; -- empty
SELECT catalog, name FROM objects EXCEPT SELECT catalog, name FROM before;

-- Whatever object of ours somebody planted beforehand, the installation stops and changes nothing. The table shows what
-- did not stop it.
CREATE EXTENSION fairq;
CREATE TEMP TABLE ours AS
    SELECT pg_describe_object(classid, objid, 0) AS object,
           CASE WHEN classid = 'pg_class'::regclass THEN format('TABLE planted.%I ()', c.relname)
                WHEN classid = 'pg_proc'::regclass
                THEN format('FUNCTION planted.%I (%s) RETURNS integer LANGUAGE sql AS ''SELECT 1''', p.proname, i.arguments)
                ELSE format('TYPE planted.%I AS (a integer)', t.typname) END AS plant
      FROM (SELECT classid, objid FROM pg_depend
             WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' AND classid <> 'pg_event_trigger'::regclass
               AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'fairq')
            UNION ALL
            SELECT 'pg_class'::regclass, oid FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relkind = 'i' AND relname ~ '^(job_|channel_|campaign_|load_)'
               AND relname !~ '^job_history_[0-9]' -- their names are made, and evade one that is taken
           ) m
      LEFT JOIN pg_class c ON classid = 'pg_class'::regclass AND c.oid = objid
      LEFT JOIN pg_proc p ON classid = 'pg_proc'::regclass AND p.oid = objid
      LEFT JOIN LATERAL (SELECT string_agg(a::regtype::text, ', ') AS arguments FROM unnest(p.proargtypes) a) i ON true
      LEFT JOIN pg_type t ON classid = 'pg_type'::regclass AND t.oid = objid
     WHERE (p.oid IS NULL OR NOT 'job_queue'::regtype = ANY (p.proargtypes)) -- planted, it would need our own type
       AND coalesce(t.typelem, 0) = 0; -- an array type, since 17 a member, evades the name
DROP EXTENSION fairq;
CREATE SCHEMA planted;
CREATE FUNCTION pg_temp.try_install() RETURNS TABLE (object text, result text) LANGUAGE plpgsql AS $$
DECLARE
    o record;
BEGIN
    FOR o IN SELECT * FROM ours ORDER BY ours.object LOOP
        BEGIN
            EXECUTE 'CREATE ' || o.plant;
            CREATE EXTENSION fairq SCHEMA planted;
            RAISE EXCEPTION USING ERRCODE = 'ZZ000', MESSAGE = 'installed over it';
        EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
            object := o.object;
            result := SQLERRM;
            RETURN NEXT;
        WHEN duplicate_table OR duplicate_function OR duplicate_object OR wrong_object_type OR object_not_in_prerequisite_state THEN
            NULL; -- stopped
        END;
    END LOOP;
END
$$;
SELECT count(*) > 50 AS many FROM ours;
SELECT * FROM pg_temp.try_install();
SELECT count(*) AS left_behind FROM pg_class WHERE relnamespace = 'planted'::regnamespace;
CREATE TABLE planted.job_live (id bigint);
\set SHOW_CONTEXT never
CREATE EXTENSION fairq SCHEMA planted; -- 42P07
\set SHOW_CONTEXT errors
DROP SCHEMA planted CASCADE;
CREATE EXTENSION fairq;
