-- queue_alerts: every rule is seen to be ok, and to raise an alert when what it watches is wrong.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
\pset format unaligned

SELECT rule, level, warning, critical, unit FROM queue_alerts;

CREATE VIEW levels AS SELECT rule, level FROM queue_alerts WHERE level <> 'ok';

------------------------------------------------------------------------------------------------ each rule in turn
SELECT enqueue_job('a', 'mail') AS old \gset
UPDATE job_live SET created_at = now() - interval '200 seconds' WHERE id = :old;
SELECT * FROM levels;
UPDATE job_live SET created_at = now() - interval '2000 seconds' WHERE id = :old;
SELECT * FROM levels;

-- A lease without a heartbeat; one with a heartbeat is none.
SELECT count(*) FROM claim_queued_jobs('w');
UPDATE job_leases SET locked_at = now() - interval '1 hour';
SELECT * FROM levels;
UPDATE job_leases SET heartbeat_at = now() - interval '1 hour';
SELECT * FROM levels;
SELECT count(*) FROM reclaim_stuck_jobs();
SELECT * FROM levels WHERE rule = 'stale_leases';
SELECT count(cancel_job(:old));

-- Dead jobs.
SELECT set_alert_threshold('dead_jobs', warning => 1, critical => 2);
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'a'], 'mail');
SELECT count(fail_job(id, lock_token, 'no', retry => false)) FROM claim_queued_jobs('w', 1);
SELECT * FROM levels;
SELECT count(fail_job(id, lock_token, 'no', retry => false)) FROM claim_queued_jobs('w', 1);
SELECT * FROM levels;
-- NULL: as the rule has it by itself.
SELECT set_alert_threshold('dead_jobs', critical => 2);
SELECT rule, level, warning, critical FROM queue_alerts WHERE rule = 'dead_jobs';
SELECT set_alert_threshold('dead_jobs');
SELECT rule, level, warning, critical FROM queue_alerts WHERE rule = 'dead_jobs';

-- Rows that housekeeping cannot move.
INSERT INTO housekeeping_failures VALUES ('job', 1, 'promote', 1, 'P0001', 'no', now(), now(), 'infinity');
SELECT * FROM levels;
DELETE FROM housekeeping_failures;

-- A handler that is gone.
CREATE FUNCTION handle(job job_queue) RETURNS void LANGUAGE sql AS '';
SELECT register_job_handler('mail', 'handle(job_queue)');
DROP FUNCTION handle;
SELECT * FROM levels;
SELECT unregister_job_handler('mail');

-- A row in the default partition.
INSERT INTO job_history SELECT (jsonb_populate_record(h, '{"finished_at": "2000-01-01"}')).* FROM job_history h LIMIT 1;
SELECT * FROM levels;
DELETE FROM job_history WHERE finished_at < '2001-01-01';
VACUUM job_history;
SELECT * FROM levels;

-- Rows that were deleted and not vacuumed.
SELECT set_alert_threshold('dead_rows', warning => 50);
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[100]), 'mail');
DELETE FROM job_live;
ANALYZE job_live;
SELECT * FROM levels;
SELECT set_alert_threshold('dead_rows');

-- What a server has is judged as well: this session is one of its connections.
SELECT set_alert_threshold('connections', warning => 0.001);
SELECT * FROM levels;
SELECT value > 0 AND value < 100 AS percent FROM queue_alerts WHERE rule = 'connections';
SELECT set_alert_threshold('connections');

------------------------------------------------------------------------------------------------ bad input, roles
SELECT set_alert_threshold('dead');
SELECT set_alert_threshold(NULL);
SELECT set_alert_threshold('dead_jobs', -1);
SELECT set_alert_threshold('dead_jobs', 'NaN');

SET client_min_messages = warning;
CREATE ROLE regress_monitor;
CREATE ROLE regress_bound_monitor;
CREATE ROLE regress_operator;
RESET client_min_messages;
SELECT grant_queue_access('regress_monitor', 'monitor');
SELECT grant_queue_access('regress_bound_monitor', 'monitor', 'a');
SELECT grant_queue_access('regress_operator', 'operator');
SET ROLE regress_monitor;
SELECT count(*) FROM queue_alerts;
SELECT set_alert_threshold('dead_jobs', 5);
SET ROLE regress_bound_monitor;
SELECT count(*) FROM queue_alerts;
SET ROLE regress_operator;
SELECT set_alert_threshold('dead_jobs', 5);
SELECT count(*) FROM queue_alerts WHERE warning = 5;
RESET ROLE;
GRANT EXECUTE ON FUNCTION get_queue_alerts() TO regress_bound_monitor;
SET ROLE regress_bound_monitor;
SELECT count(*) FROM get_queue_alerts();
RESET ROLE;

SET client_min_messages = warning;
DROP OWNED BY regress_monitor, regress_bound_monitor, regress_operator;
DROP ROLE regress_monitor, regress_bound_monitor, regress_operator;
DROP EXTENSION fairq CASCADE;
