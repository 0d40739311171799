-- While it runs, a job that was claimed for a tenant with a max_concurrency is out of its lane. However its attempt ends, it
-- goes back to the place that it had, as the jobs of any other tenant, which never leave theirs.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
\pset null '-'

-- Six jobs each of a tenant with a cap and of one without; the last two are to go first.
CREATE PROCEDURE twelve_jobs() LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE job_live, job_leases RESTART IDENTITY;
    PERFORM enqueue_jobs(array_fill(tenant, ARRAY[4]), 'mail'), enqueue_jobs(array_fill(tenant, ARRAY[2]), 'mail', priority => -1)
       FROM unnest(ARRAY['capped', 'free']) AS tenant;
END
$$;
CREATE VIEW places AS
    SELECT tenant_id, status, string_agg(id::text, ' ' ORDER BY priority, coalesce(position, running_position), id) AS jobs,
           bool_and(position IS NULL) AS out_of_lane, bool_and(running_position IS NULL) AS kept_none,
           bool_and(coalesce(position, running_position) = id) AS own_place
      FROM job_live GROUP BY tenant_id, status ORDER BY tenant_id, status;
-- The order in which a tenant's jobs are claimed, all of them, one at a time; nothing is left changed.
CREATE FUNCTION in_order() RETURNS TABLE (tenant text, jobs text) LANGUAGE plpgsql AS $$
DECLARE
    job record;
    orders jsonb := '{}';
BEGIN
    BEGIN
        LOOP
            SELECT id, tenant_id INTO job FROM claim_queued_jobs('w', 1);
            EXIT WHEN NOT FOUND;
            orders := orders || jsonb_build_object(job.tenant_id, concat_ws(' ', orders ->> job.tenant_id, job.id));
        END LOOP;
        RAISE 'back' USING ERRCODE = 'ZZ000';
    EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
    END;
    RETURN QUERY SELECT * FROM jsonb_each_text(orders) ORDER BY 1;
END
$$;
CREATE FUNCTION age_leases() RETURNS void LANGUAGE sql AS
    $$ UPDATE job_leases SET locked_at = now() - interval '1 hour', heartbeat_at = now() - interval '1 hour' $$;

-- Every way back, each from a claim of eight jobs: rolled back, released at once and in two parts, reclaimed. Each step
-- commits, so that shared memory knows of it, too.
CREATE PROCEDURE every_way() LANGUAGE plpgsql AS $$
DECLARE
    way text;
    ids bigint[];
    token bigint;
BEGIN
    FOREACH way IN ARRAY ARRAY['rollback', 'release', 'parts', 'reclaim'] LOOP
        CALL twelve_jobs();
        COMMIT;
        SELECT array_agg(id ORDER BY id), max(lock_token) INTO ids, token FROM claim_queued_jobs('w', 8);
        RAISE INFO '%: claimed %', way, ids;
        IF way = 'rollback' THEN
            ROLLBACK;
        ELSE
            COMMIT;
        END IF;
        CASE way
        WHEN 'rollback' THEN
        WHEN 'release' THEN
            PERFORM release_jobs(ids, token);
        WHEN 'parts' THEN
            PERFORM release_jobs(ids[5:8], token);
            PERFORM release_jobs(ids[1:4], token);
        ELSE
            PERFORM age_leases();
            PERFORM reclaim_stuck_jobs();
        END CASE;
        COMMIT;
        RAISE INFO '%', (SELECT string_agg(places::text, ' ') FROM places);
        RAISE INFO '%', (SELECT string_agg(o::text, ' ') FROM in_order() AS o);
    END LOOP;
END
$$;
SELECT set_tenant_limits('capped', max_concurrency => 100);
CALL every_way();

-- Where the claimed ones are.
CALL twelve_jobs();
SELECT id, lock_token AS token FROM claim_queued_jobs('w', 8) ORDER BY id LIMIT 1 \gset
SELECT * FROM places;
SELECT count(running_since) AS running FROM job_live;
SELECT why_not_running(:id) ->> 'reason' AS reason;
-- A part ends: completed, failed, cancelled, released for later. The rest goes back, before what was never claimed.
SELECT complete_jobs(ARRAY[1, 7], :token);
SELECT fail_job(5, :token, 'no'), fail_job(11, :token, 'no');
SELECT release_jobs(ARRAY[6, 12], :token, '2100-01-01 00:00+00');
SELECT * FROM places;
SELECT cancel_job(6), cancel_job(12), cancel_job(5), cancel_job(11);
SELECT release_jobs(ARRAY[2, 8], :token);
SELECT * FROM places;
SELECT * FROM in_order();
-- Due again, a job has a new place, behind all others of its priority.
SELECT id, lock_token AS token FROM claim_queued_jobs('w', 2) ORDER BY id LIMIT 1 \gset
SELECT fail_job(id, :token, 'again') FROM job_live WHERE lock_token = :token ORDER BY id;
UPDATE job_live SET due_at = clock_timestamp() WHERE status = 'scheduled';
SELECT * FROM in_order();

-- Released and claimed again in the transaction of the claim, and in a part of it that is rolled back.
CALL twelve_jobs();
BEGIN;
SELECT max(lock_token) AS token, array_agg(id) AS ids FROM claim_queued_jobs('w', 8) \gset
SAVEPOINT s;
SELECT release_jobs(:'ids', :token);
SELECT * FROM in_order();
SELECT count(*) FROM claim_queued_jobs('w2', 2);
ROLLBACK TO s;
SELECT * FROM places;
SELECT * FROM in_order();
SELECT release_jobs(:'ids', :token);
COMMIT;
SELECT * FROM places;
SELECT * FROM in_order();

-- A cap that comes while jobs run leaves them in their lane; one that goes leaves them out of it. Both go back.
CALL twelve_jobs();
SELECT set_tenant_limits('free', max_concurrency => 9), set_tenant_limits('capped', max_concurrency => 0);
SELECT max(lock_token) AS token, array_agg(id) AS ids FROM claim_queued_jobs('w', 2) \gset
SELECT set_tenant_limits('capped', max_concurrency => 9), set_tenant_limits('free', max_concurrency => 0);
SELECT count(*) FROM claim_queued_jobs('w', 2);
SELECT tenant_id, count(position) AS in_lane, count(running_position) AS out_of_it, count(running_since) AS running
  FROM job_live WHERE status = 'locked' GROUP BY tenant_id ORDER BY 1;
SELECT sum(release_jobs(job_ids, lock_token)) FROM job_leases;
SELECT * FROM places;
SELECT * FROM in_order();
SELECT set_tenant_limits('free', max_concurrency => 0), set_tenant_limits('capped', max_concurrency => 9);

-- With a concurrency key: who waits for the key is parked, and comes after the one that had it.
TRUNCATE job_live, job_leases RESTART IDENTITY;
SELECT count(*) FROM enqueue_jobs(array_fill('capped'::text, ARRAY[3]), 'mail', concurrency_keys => array_fill('k'::text, ARRAY[3]));
SELECT max(lock_token) AS token FROM claim_queued_jobs('w') \gset
SELECT id, status, position, running_position, parked_position, held_key FROM job_live ORDER BY id;
SELECT age_leases();
SELECT reclaim_stuck_jobs();
SELECT id, lock_token AS token FROM claim_queued_jobs('w') \gset
SELECT complete_jobs(ARRAY[:id], :token);
SELECT id, status, position, running_position, parked_position, held_key FROM job_live ORDER BY id;

-- Of a pipeline's run, and reclaimed without attempts left.
TRUNCATE job_live, job_leases RESTART IDENTITY;
SELECT create_pipeline_run('capped', 'run') AS run \gset
SELECT enqueue_job('capped', 'mail', run_id => :run, max_attempts => 1) AS first, enqueue_job('capped', 'mail', run_id => :run, stage => 2) AS second;
SELECT count(*) FROM claim_queued_jobs('w');
SELECT id, status, position, running_position FROM job_live ORDER BY id;
SELECT age_leases();
SELECT reclaim_stuck_jobs();
SELECT status FROM pipeline_runs WHERE id = :run;

-- Tenant-bound roles see what runs.
CALL twelve_jobs();
SELECT count(*) FROM claim_queued_jobs('w', 8);
CREATE ROLE regress_capped_jobs;
SELECT grant_queue_access('regress_capped_jobs', 'monitor', 'capped');
SET SESSION AUTHORIZATION regress_capped_jobs;
SELECT status, count(*) FROM my_jobs GROUP BY status ORDER BY status;
SELECT get_queue_metrics() -> 'queue_stats' -> 'locked' AS locked;
RESET SESSION AUTHORIZATION;
SELECT revoke_queue_access('regress_capped_jobs', 'monitor', 'capped');
DROP OWNED BY regress_capped_jobs;
DROP ROLE regress_capped_jobs;

-- One place, and only where it may be.
\set VERBOSITY terse
UPDATE job_live SET position = 1 WHERE running_position IS NOT NULL;
UPDATE job_live SET running_position = NULL WHERE running_position IS NOT NULL;
UPDATE job_live SET running_since = NULL WHERE running_position IS NOT NULL;
UPDATE job_live SET running_position = 1 WHERE status = 'queued';
UPDATE job_live SET running_position = position, position = NULL WHERE status = 'locked' AND tenant_id = 'free';
UPDATE job_live SET parked_position = 1 WHERE running_position IS NOT NULL;
\set VERBOSITY default

-- By the executor it is the same, old places and order.
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER nothing BEFORE UPDATE ON job_live FOR EACH ROW EXECUTE FUNCTION nothing();
CALL every_way();
CALL twelve_jobs();
SELECT count(*) FROM claim_queued_jobs('w', 8);
SELECT * FROM places;

DROP FUNCTION nothing CASCADE;
DROP PROCEDURE twelve_jobs, every_way;
DROP FUNCTION in_order, age_leases;
DROP VIEW places;
