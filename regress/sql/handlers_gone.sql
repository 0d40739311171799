-- Handlers that are gone: their jobs wait, no tick claims them, and it is told why. A new role of an old name gets nothing.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
CREATE ROLE regress_ann;
RESET client_min_messages;
GRANT CREATE ON SCHEMA public TO regress_ann;
GRANT EXECUTE ON FUNCTION register_job_handler TO regress_ann;
CREATE TABLE seen (who name DEFAULT current_user, super boolean);
GRANT INSERT ON seen TO PUBLIC;
CREATE FUNCTION look(job job_queue) RETURNS void LANGUAGE sql AS $$
    INSERT INTO public.seen (super) SELECT rolsuper FROM pg_roles WHERE rolname = current_user
$$;
SET ROLE regress_ann;
SELECT register_job_handler('look', 'look(job_queue)');
RESET ROLE;

-- A tick, and what is told of the one job.
CREATE FUNCTION told(OUT claimed bigint, OUT reason text, OUT defect text, OUT gone_since boolean, OUT handlers_gone bigint)
LANGUAGE plpgsql AS $$
BEGIN
    SELECT why ->> 'reason', why ->> 'defect' INTO reason, defect
      FROM (SELECT why_not_running(id) AS why FROM job_live) w;
    SELECT h.gone_since IS NOT NULL INTO gone_since FROM job_handlers h WHERE job_type = 'look';
    handlers_gone := get_queue_metrics() -> 'handlers_gone';
END
$$;
SELECT enqueue_job('t', 'look') > 0 AS enqueued;

-- The function is renamed, and comes back; what it returns changes.
ALTER FUNCTION look RENAME TO looked;
SELECT s -> 'claimed' AS claimed FROM run_job_queue_cron() s;
SELECT reason, defect, gone_since, handlers_gone FROM told();
ALTER FUNCTION looked RENAME TO look;
SELECT s -> 'completed' AS completed FROM run_job_queue_cron() s;
SELECT gone_since, handlers_gone FROM told();
SELECT enqueue_job('t', 'look') > 0 AS enqueued;
ALTER FUNCTION look RENAME TO looked;
CREATE FUNCTION look(job job_queue) RETURNS text LANGUAGE sql AS 'SELECT ''''';
SELECT s -> 'claimed' AS claimed FROM run_job_queue_cron() s;
SELECT reason, defect, gone_since, handlers_gone FROM told();
DROP FUNCTION look;
ALTER FUNCTION looked RENAME TO look;

-- Its role may not execute it any more.
REVOKE EXECUTE ON FUNCTION look FROM PUBLIC;
SELECT s -> 'claimed' AS claimed FROM run_job_queue_cron() s;
SELECT reason, defect, gone_since, handlers_gone FROM told();
GRANT EXECUTE ON FUNCTION look TO PUBLIC;

-- Its role is bound to tenants.
SELECT grant_queue_access('regress_ann', 'worker', 't');
SELECT s -> 'claimed' AS claimed FROM run_job_queue_cron() s;
SELECT reason, defect, gone_since, handlers_gone FROM told();
SELECT revoke_queue_access('regress_ann', 'worker', 't');

-- A renamed role keeps what it has registered.
ALTER ROLE regress_ann RENAME TO regress_anna;
SELECT s -> 'completed' AS completed FROM run_job_queue_cron() s;
SELECT * FROM seen ORDER BY who;
ALTER ROLE regress_anna RENAME TO regress_ann;

-- The role is dropped, and a superuser of its name comes.
TRUNCATE seen;
SELECT enqueue_job('t', 'look') > 0 AS enqueued;
SELECT run_as::oid AS dropped FROM job_handlers WHERE job_type = 'look' \gset
DROP OWNED BY regress_ann;
DROP ROLE regress_ann;
SELECT s -> 'claimed' AS claimed FROM run_job_queue_cron() s;
CREATE ROLE regress_ann SUPERUSER;
SELECT s -> 'claimed' AS claimed FROM run_job_queue_cron() s;
SELECT reason, defect, gone_since, handlers_gone FROM told();
SELECT * FROM seen;

-- What a dump has of it: nothing.
SELECT format('SELECT count(*) AS dumped FROM job_handlers %s', c.condition)
  FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS c (relation, condition)
 WHERE e.extname = 'fairq' AND c.relation = 'job_handlers'::regclass \gexec

-- An older dump comes back in this cluster: the name is that of the superuser now. In another cluster the name counts.
DELETE FROM job_handlers WHERE job_type = 'look';
INSERT INTO job_handlers (job_type, handler_schema, handler_name, run_as, cluster, cluster_role)
SELECT 'look', 'public', 'look', 'regress_ann', system_identifier, :dropped FROM pg_control_system();
SELECT run_as::oid = :dropped AS the_dropped_one FROM job_handlers WHERE job_type = 'look';
SELECT s -> 'claimed' AS claimed FROM run_job_queue_cron() s;
DELETE FROM job_handlers WHERE job_type = 'look';
-- The same where triggers are disabled, as pg_restore --disable-triggers does.
ALTER TABLE job_handlers DISABLE TRIGGER ALL;
INSERT INTO job_handlers (job_type, handler_schema, handler_name, run_as, cluster, cluster_role)
SELECT 'look', 'public', 'look', 'regress_ann', system_identifier, :dropped FROM pg_control_system();
ALTER TABLE job_handlers ENABLE ALWAYS TRIGGER job_handlers_role;
SELECT s -> 'claimed' AS claimed FROM run_job_queue_cron() s;
SELECT * FROM seen;
DELETE FROM job_handlers WHERE job_type = 'look';
INSERT INTO job_handlers (job_type, handler_schema, handler_name, run_as, cluster, cluster_role)
VALUES ('look', 'public', 'look', 'regress_ann', 4711, :dropped);
SELECT run_as, cluster = (SELECT system_identifier FROM pg_control_system()) AS bound_here, cluster_role = 'regress_ann'::regrole AS to_her
  FROM job_handlers WHERE job_type = 'look';

-- Everybody may take over what belongs to nobody.
DELETE FROM job_handlers WHERE job_type = 'look';
INSERT INTO job_handlers (job_type, handler_schema, handler_name, run_as, cluster, cluster_role)
SELECT 'look', 'public', 'look', 'regress_ann', system_identifier, :dropped FROM pg_control_system();
ALTER ROLE regress_ann NOSUPERUSER;
GRANT EXECUTE ON FUNCTION register_job_handler TO regress_ann;
SET ROLE regress_ann;
SELECT register_job_handler('look', 'look(job_queue)');
RESET ROLE;
SELECT s -> 'completed' AS completed FROM run_job_queue_cron() s;
SELECT * FROM seen;

DROP FUNCTION look, told;
DROP TABLE seen;
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
DROP OWNED BY regress_ann;
DROP ROLE regress_ann;
