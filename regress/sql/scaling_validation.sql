-- The horizontal-scaling validation's own statements (rows H1 to H10 of the requirements), as they are written there.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

-- Things that are not the load test's.
SELECT enqueue_job('tenant-1', 'mail', idempotency_key => 'mine') AS mine;
SELECT enqueue_job('tenant-1', 'mail', run_at => now() + interval '1 hour') AS later;
SELECT lock_token AS token FROM claim_queued_jobs('me') \gset
INSERT INTO channel_outbox (job_id, tenant_id, channel, content, idempotency_key) VALUES (1, 'tenant-1', 'email', 'hello', 'mine');
INSERT INTO channel_outbox (tenant_id, channel, content, idempotency_key) VALUES ('tenant-1', 'email', 'without a job', 'other');
INSERT INTO campaign_audit_log (tenant_id, event_type, details) VALUES ('tenant-1', 'something else', '{}');

-- H1
SELECT seed_load_test_jobs(1000, 10);
SELECT tenant_id, count(*), min(status) AS status, max(priority) AS priority FROM job_queue WHERE job_type = 'load_test'
 GROUP BY tenant_id ORDER BY length(tenant_id), tenant_id;
SELECT (clear_load_test_data());
SELECT count(*) FROM job_queue;
SELECT seed_load_test_jobs(7, 3);
SELECT tenant_id, count(*) FROM job_queue WHERE job_type = 'load_test' GROUP BY tenant_id ORDER BY tenant_id;
SELECT clear_load_test_data();
SELECT seed_load_test_jobs(2, 5);
SELECT DISTINCT tenant_id FROM job_queue WHERE job_type = 'load_test' ORDER BY 1;
SELECT clear_load_test_data();

-- H8: the keys
SELECT seed_load_test_jobs(120, 4);
SELECT get_load_test_metrics() AS m \gset
SELECT string_agg(key || ' ' || jsonb_typeof(value), E'\n' ORDER BY key) AS keys FROM jsonb_each(:'m');
SELECT :'m'::jsonb -> 'queue_stats' AS queue_stats;
SELECT :'m'::jsonb -> 'pass_criteria' AS pass_criteria;
SELECT :'m'::jsonb -> 'worker_stats' AS worker_stats;
SELECT :'m'::jsonb -> 'tenant_distribution' AS tenant_distribution;

-- H2 and H3: what cron calls. 50 jobs a tick and worker, nobody over 25.
SELECT public.run_job_queue_cron() AS tick \gset
SELECT :'tick'::jsonb -> 'completed' AS completed, :'tick'::jsonb -> 'load_test' AS load_test, (:'tick'::jsonb -> 'ms')::integer >= 500 AS worked_10_ms_each;
SELECT public.run_job_queue_parallel() AS tick \gset
SELECT :'tick'::jsonb -> 'completed' AS completed, :'tick'::jsonb -> 'load_test' AS load_test;
SELECT get_load_test_metrics() AS m \gset
SELECT :'m'::jsonb -> 'queue_stats' AS queue_stats;
SELECT :'m'::jsonb -> 'tenant_distribution' AS tenant_distribution;
SELECT s -> 'worker_count' AS worker_count, s -> 'total_jobs_claimed' AS total_jobs_claimed, s -> 'total_jobs_completed' AS total_jobs_completed
  FROM (SELECT :'m'::jsonb -> 'worker_stats' AS s) t;
SELECT :'m'::jsonb -> 'oldest_queued_age_seconds' AS age_of_none, :'m'::jsonb -> 'duplicate_count' AS duplicate_count, :'m'::jsonb -> 'pass_criteria' AS pass_criteria;

-- H9: over each tick nobody has more than 25, and all progress
SELECT event_type, max(claimed::integer) <= 25 AS nobody_over_25, count(DISTINCT tenant) AS tenants
  FROM campaign_audit_log, jsonb_each_text(details -> 'tenants') AS t (tenant, claimed) GROUP BY event_type;
CREATE TEMP TABLE h9 AS
SELECT tenant_id, COUNT(*) AS jobs_completed, MIN(updated_at) AS first_completed, MAX(updated_at) AS last_completed FROM job_queue WHERE status = 'completed' AND created_at > now() - interval '1 hour' GROUP BY tenant_id ORDER BY jobs_completed DESC;
SELECT tenant_id, jobs_completed, first_completed < last_completed AS progress FROM h9 ORDER BY tenant_id;

-- H6
SELECT COUNT(*) FROM (SELECT idempotency_key, COUNT(*) FROM channel_outbox WHERE created_at > now() - interval '1 hour' GROUP BY idempotency_key HAVING COUNT(*) > 1) dups;
SELECT count(*), count(DISTINCT job_id), count(DISTINCT idempotency_key), min(channel) FROM channel_outbox WHERE channel = 'load_test';

-- H7
SELECT EXTRACT(EPOCH FROM (now() - MIN(created_at)))::integer AS oldest_age_seconds FROM job_queue WHERE status = 'queued';

-- H10
CREATE TEMP TABLE h10 AS
SELECT * FROM campaign_audit_log WHERE event_type = 'job_queue_tick' ORDER BY created_at DESC LIMIT 10;
SELECT count(*), min(jsonb_array_length(details -> 'workers')) AS workers_of_cron, max(jsonb_array_length(details -> 'workers')) AS workers_of_parallel FROM h10;
UPDATE job_live SET locked_at = now() - interval '6 minutes' WHERE id = 1;
CREATE TEMP TABLE stuck AS
SELECT * FROM job_queue WHERE status = 'locked' AND locked_at < now() - interval '5 minutes';
SELECT id, tenant_id, locked_by FROM stuck;
SELECT idempotency_key, COUNT(*) FROM channel_outbox GROUP BY idempotency_key HAVING COUNT(*) > 1;
CREATE TEMP TABLE by_tenant AS
SELECT tenant_id, COUNT(*) FROM job_queue WHERE status = 'completed' GROUP BY tenant_id;
SELECT * FROM by_tenant ORDER BY tenant_id;

-- LOAD2 can fail: a handler that sends twice.
CREATE FUNCTION send_twice(job job_queue) RETURNS void LANGUAGE sql AS $$
    SELECT public.run_load_test_job(job);
    SELECT public.run_load_test_job(job)
$$;
SELECT register_job_handler('load_test', 'send_twice(job_queue)');
SELECT seed_load_test_jobs(3, 3);
SELECT s -> 'completed' AS completed FROM run_job_queue_cron() s;
SELECT get_load_test_metrics() -> 'duplicate_count' AS duplicate_count, get_load_test_metrics() -> 'pass_criteria' AS pass_criteria;
SELECT COUNT(*) FROM (SELECT idempotency_key, COUNT(*) FROM channel_outbox WHERE created_at > now() - interval '1 hour' GROUP BY idempotency_key HAVING COUNT(*) > 1) dups;
SELECT COUNT(*) FROM (SELECT idempotency_key, COUNT(*) FROM channel_outbox GROUP BY idempotency_key HAVING COUNT(*) > 1) s;
SELECT count(*) AS rows, max(copy) AS copies FROM channel_outbox WHERE job_id IN (SELECT id FROM job_queue ORDER BY id DESC LIMIT 3);
SELECT unregister_job_handler('load_test');
-- Duplicates older than an hour are no longer counted, there as here.
UPDATE channel_outbox SET created_at = created_at - interval '2 hours';
SELECT get_load_test_metrics() -> 'duplicate_count' AS duplicate_count;
SELECT COUNT(*) FROM (SELECT idempotency_key, COUNT(*) FROM channel_outbox WHERE created_at > now() - interval '1 hour' GROUP BY idempotency_key HAVING COUNT(*) > 1) dups;

-- LOAD3 can fail: a load-test job that waits for longer than 180 seconds. Jobs of other types do not count.
SELECT enqueue_job('tenant-1', 'mail') AS waits \gset
SELECT seed_load_test_jobs(3, 1);
UPDATE job_live SET created_at = now() - interval '1 hour' WHERE id = :waits;
SELECT get_load_test_metrics() -> 'pass_criteria' -> 'LOAD3_oldest_under_180s' AS load3;
SELECT (get_queue_metrics() -> 'oldest_queued_age_seconds')::integer BETWEEN 3600 AND 3660 AS of_any_type;
UPDATE job_live SET created_at = now() - interval '170 seconds' WHERE id = :waits + 1;
SELECT get_load_test_metrics() -> 'pass_criteria' -> 'LOAD3_oldest_under_180s' AS load3;
UPDATE job_live SET created_at = now() - interval '200 seconds' WHERE id = :waits + 1;
SELECT (get_load_test_metrics() -> 'oldest_queued_age_seconds')::integer BETWEEN 200 AND 260 AS age,
       get_load_test_metrics() -> 'pass_criteria' -> 'LOAD3_oldest_under_180s' AS load3;
SELECT EXTRACT(EPOCH FROM (now() - MIN(created_at)))::integer >= 180 AS h7 FROM job_queue WHERE status = 'queued';

-- H4: clears what the seeding and the runs made (jobs in any status, messages, keys, ticks, totals), and nothing else
SELECT count(*) FROM claim_queued_jobs('some', 2);
SELECT enqueue_job('tenant-1', 'load_test', idempotency_key => 'loaded') > 0 AS with_a_key;
SELECT cancel_job(max(id)) FROM job_live WHERE job_type = 'load_test';
CREATE FUNCTION mail(job job_queue) RETURNS void LANGUAGE sql AS '';
SELECT register_job_handler('mail', 'mail(job_queue)');
SELECT s -> 'load_test' AS load_test FROM run_job_queue_cron() s; -- also ran mail
SELECT s -> 'load_test' AS load_test FROM run_job_queue_cron() s; -- ran nothing
SELECT seed_load_test_jobs(2, 2);
SELECT clear_load_test_data();
SELECT clear_load_test_data();
SELECT id, job_type, status FROM job_queue ORDER BY id;
SELECT tenant_id, idempotency_key, job_id FROM job_keys;
SELECT channel, content FROM channel_outbox ORDER BY id;
SELECT event_type, details -> 'load_test' AS load_test, count(*) FROM campaign_audit_log GROUP BY 1, 2 ORDER BY 1, 2;
SELECT worker_id FROM job_leases;
SELECT heartbeat_jobs(:token);
SELECT get_load_test_metrics() - 'exact' - 'source' AS empty;
DROP FUNCTION send_twice, mail;
