-- With shared memory: shares of the last minute, how long quiet tenants wait, and queued counts that follow every verb.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
CREATE FUNCTION pg_temp.finish() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM (SELECT complete_jobs(array_agg(id), lock_token) FROM job_live WHERE status = 'locked' GROUP BY lock_token) s
$$;

-- The first claim makes the ring complete.
SELECT count(*) FROM claim_queued_jobs('w');

-- Shares: by weight, also of a tenant that has nothing left; a tenant at its limit is due nothing.
INSERT INTO tenant_limits (tenant_id, weight, max_concurrency) VALUES ('three', 3, NULL), ('capped', 4, 2);
SELECT count(*) FROM enqueue_jobs(array_fill('one'::text, ARRAY[300]) || array_fill('three'::text, ARRAY[60]), 'mail');
SELECT count(*) FROM (SELECT claim_queued_jobs('w', 40, 40) FROM generate_series(1, 2)) s;
SELECT tenant_id, weight, depth, served, round(share_due::numeric, 2) AS due, round(share_got::numeric, 2) AS got, in_flight
  FROM tenant_metrics ORDER BY 1;
SELECT waiting_in_ring FROM tenant_metrics WHERE tenant_id = 'one';
SELECT count(*) FROM enqueue_jobs(array_fill('capped'::text, ARRAY[100]), 'mail');
SELECT count(*) FROM (SELECT claim_queued_jobs('w', 10, 10) FROM generate_series(1, 12)) s;
SELECT tenant_id, served, round(share_got::numeric, 2) AS got, share_due < 0.1 AS due_little FROM tenant_metrics ORDER BY 1;
SELECT round(sum(share_got)::numeric, 4) AS got, sum(share_due) BETWEEN 0.98 AND 1.02 AS due FROM tenant_metrics;
SELECT pg_temp.finish();

-- Quiet tenants: their jobs have waited ten seconds; a flood's and a capped tenant's, an hour: those do not count.
SELECT get_queue_metrics() -> 'quiet_dwell_ms' AS none_yet;
SELECT count(*) FROM enqueue_jobs(ARRAY['q1', 'q2', 'q3', 'q3'], 'mail');
UPDATE job_live SET updated_at = clock_timestamp() - CASE WHEN tenant_id ~ 'q' THEN interval '10 seconds' ELSE interval '1 hour' END;
SELECT count(*) FROM (SELECT claim_queued_jobs('w', 20, 20) FROM generate_series(1, 5)) s;
SELECT (d ->> 'jobs')::integer AS jobs, (d ->> 'p50')::float8 / 1000 BETWEEN 9 AND 70 AS p50, (d ->> 'p99')::float8 / 1000 BETWEEN 9 AND 70 AS p99
  FROM (SELECT get_queue_metrics() -> 'quiet_dwell_ms' AS d) s;

-- Queued counts follow every verb, without a count of all jobs in between: such a count would find that tenant ghost's jobs
-- were deleted directly in the table.
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
SELECT count(*) FROM claim_queued_jobs('w');
SELECT get_queue_metrics() -> 'depths_source' AS source;
SELECT count(*) FROM enqueue_jobs(ARRAY['ghost', 'ghost'], 'mail');
DELETE FROM job_live;
CREATE FUNCTION pg_temp.depths(step text) RETURNS TABLE (after text, a bigint, b bigint, as_counted boolean) LANGUAGE sql AS $$
    SELECT step, t.a, t.b,
           t.a IS NOT DISTINCT FROM (SELECT nullif(count(*), 0) FROM job_live WHERE tenant_id = 'a' AND status = 'queued')
           AND t.b IS NOT DISTINCT FROM (SELECT nullif(count(*), 0) FROM job_live WHERE tenant_id = 'b' AND status = 'queued')
      FROM (SELECT nullif(sum(depth) FILTER (WHERE tenant_id = 'a'), 0)::bigint AS a,
                   nullif(sum(depth) FILTER (WHERE tenant_id = 'b'), 0)::bigint AS b FROM get_tenant_metrics()) t
$$;
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'b', 'a', 'b', 'a', 'a'], 'mail', idempotency_keys => ARRAY['1', '1', '1', '2', '2', NULL]);
SELECT * FROM pg_temp.depths('enqueue, one key twice');
SELECT enqueue_job('a', 'mail', idempotency_key => '1') > 0 AS known, enqueue_job('b', 'mail') > 0 AS new;
SELECT * FROM pg_temp.depths('enqueue');
CREATE TEMP TABLE c AS SELECT id, tenant_id, lock_token, row_number() OVER (PARTITION BY tenant_id ORDER BY id) AS n FROM claim_queued_jobs('w', 4);
SELECT * FROM pg_temp.depths('claim');
SELECT release_jobs(array_agg(id), max(lock_token)) FROM c WHERE n = 1;
SELECT * FROM pg_temp.depths('release');
SELECT complete_jobs(array_agg(id), max(lock_token)) > 0 AS completed FROM c WHERE n = 2 AND tenant_id = 'a';
SELECT fail_job(id, lock_token, 'no', retry => false) FROM c WHERE n = 2 AND tenant_id = 'b';
SELECT * FROM pg_temp.depths('complete, fail');
SELECT redrive_dead_jobs();
SELECT * FROM pg_temp.depths('redrive');
SELECT cancel_job(min(id)) FROM job_live WHERE tenant_id = 'b' AND status = 'queued';
SELECT * FROM pg_temp.depths('cancel');
SELECT count(*) FROM claim_queued_jobs('w', 1);
UPDATE job_leases SET locked_at = locked_at - interval '1 hour', heartbeat_at = locked_at - interval '1 hour';
SELECT reclaim_stuck_jobs();
SELECT * FROM pg_temp.depths('claim, reclaim');
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'a', 'b'], 'mail', run_at => clock_timestamp() + interval '1 hour');
SELECT * FROM pg_temp.depths('scheduled');
UPDATE job_live SET due_at = clock_timestamp() WHERE status = 'scheduled';
BEGIN;
SELECT count(*) FROM claim_queued_jobs('w', 2);
SELECT * FROM pg_temp.depths('promote, claim');
ROLLBACK;
SELECT * FROM pg_temp.depths('rolled back');
BEGIN;
SELECT enqueue_job('a', 'mail') > 0;
SAVEPOINT s;
SELECT enqueue_job('a', 'mail') > 0;
SAVEPOINT t;
SELECT enqueue_job('b', 'mail') > 0;
RELEASE t;
SELECT * FROM pg_temp.depths('before the savepoint rolls back');
ROLLBACK TO s;
SELECT * FROM pg_temp.depths('after it');
SAVEPOINT u;
SELECT enqueue_job('b', 'mail') > 0;
RELEASE u;
COMMIT;
SELECT * FROM pg_temp.depths('committed');
-- Parked jobs are queued jobs.
SELECT count(*) FROM enqueue_jobs(ARRAY['k', 'k', 'k'], 'mail', concurrency_keys => ARRAY['x', 'x', 'x']);
SELECT count(*) > 0 FROM claim_queued_jobs('w', 50);
SELECT depth, in_flight, (SELECT count(*) FROM job_live WHERE parked_position IS NOT NULL) AS parked FROM tenant_metrics WHERE tenant_id = 'k';
SELECT count(*) > 0 FROM (SELECT complete_jobs(array_agg(id), lock_token) FROM job_live WHERE tenant_id = 'k' AND status = 'locked' GROUP BY lock_token) s;
SELECT depth, in_flight, (SELECT count(*) FROM job_live WHERE parked_position IS NOT NULL) AS parked FROM tenant_metrics WHERE tenant_id = 'k';
-- A job that somebody keeps from being claimed stays where it is.
SELECT * FROM pg_temp.depths('claim all');
CREATE FUNCTION pg_temp.keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER keep BEFORE UPDATE ON job_live FOR EACH ROW WHEN (OLD.tenant_id = 'b') EXECUTE FUNCTION pg_temp.keep();
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'b'], 'mail');
SELECT count(*) > 0 FROM claim_queued_jobs('w', 50);
SELECT * FROM pg_temp.depths('claim by the executor, one refused');
DROP TRIGGER keep ON job_live;
SELECT depth AS not_counted_anew FROM tenant_metrics WHERE tenant_id = 'ghost';
SELECT get_queue_metrics() -> 'depths_source' AS source;

-- A verb that does not say whose jobs it moved costs a count, and no wrong number.
SELECT count(*) FROM enqueue_jobs(ARRAY['l', 'a', 'l'], 'load_test');
SELECT clear_load_test_data();
SELECT tenant_id, depth FROM tenant_metrics WHERE tenant_id IN ('l', 'ghost') ORDER BY 1;
SELECT * FROM pg_temp.depths('clear');
