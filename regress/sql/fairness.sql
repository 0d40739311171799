-- What metrics tell of tenants: who is named, the sum of the rest, limits, jobs in flight, ages; with and without shared
-- memory.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

-- Nobody.
SELECT * FROM tenant_metrics;
SELECT get_queue_metrics() -> 'tenants' AS tenants, get_queue_metrics() ->> 'depths_source' IN ('counted', 'kept') AS depths_known,
       get_queue_metrics() -> 'quiet_dwell_ms' AS quiet_dwell_ms;

-- 50 are named, the deepest first; then the rest in one row.
SELECT count(*) FROM enqueue_jobs(ARRAY(SELECT 't' || to_char(t, 'FM00') FROM generate_series(1, 60) t, generate_series(1, t)), 'mail');
SELECT tenant_id, tenants, weight, depth, in_flight, cap, oldest_claimable_age_seconds < 60 AS young FROM tenant_metrics OFFSET 47;
SELECT count(*), sum(tenants) AS tenants, sum(depth) AS depth, count(*) FILTER (WHERE tenant_id IS NULL) AS rests FROM tenant_metrics;
SELECT every(depth >= next) AS sorted
  FROM (SELECT depth, lead(depth) OVER (ORDER BY n) AS next FROM get_tenant_metrics() WITH ORDINALITY AS t
            (tenant_id, weight, depth, served, due, got, in_flight, cap, age, waiting, tenants, n) WHERE tenant_id IS NOT NULL) s;

-- The same as JSON.
SELECT count(*) AS objects, every(tenant = to_jsonb(t) - 'tenant_id' || jsonb_build_object('tenant', t.tenant_id)) AS same
  FROM jsonb_array_elements(get_queue_metrics() -> 'tenants') tenant
  JOIN tenant_metrics t ON t.tenant_id IS NOT DISTINCT FROM tenant ->> 'tenant';
SELECT jsonb_object_keys(get_queue_metrics() -> 'tenants' -> 0) AS key ORDER BY 1;
SELECT get_queue_metrics() -> 'tenants' -> 50 ->> 'tenant' IS NULL AS rest;

-- Limits are those that are in force.
INSERT INTO tenant_limits (tenant_id, weight, max_concurrency) VALUES ('t60', 7, 3), ('t59', 1000, NULL), ('nobody', 5, 5);
SELECT tenant_id, weight, cap FROM tenant_metrics WHERE tenant_id IN ('t60', 't59', 't58', 'nobody');

-- Jobs in flight, of tenants that have nothing left as well; ages by the lane's front, behind the running ones.
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
INSERT INTO tenant_limits (tenant_id, max_concurrency) VALUES ('t60', 3);
SELECT count(*) FROM enqueue_jobs(array_fill('t60'::text, ARRAY[60]) || ARRAY['t01', 't02', 't02'], 'mail');
CREATE TEMP TABLE c AS SELECT * FROM claim_queued_jobs('w', 20, 20);
SELECT tenant_id, depth, in_flight, cap FROM tenant_metrics ORDER BY 1;
UPDATE job_live SET updated_at = now() - interval '100 seconds' WHERE tenant_id = 't60';
SELECT oldest_claimable_age_seconds BETWEEN 100 AND 160 AS old FROM tenant_metrics WHERE tenant_id = 't60';
SELECT oldest_claimable_age_seconds FROM tenant_metrics WHERE tenant_id = 't01';
SELECT count(*) FROM (SELECT complete_jobs(array_agg(id), max(lock_token)) FROM c) s;
SELECT sum(in_flight) FROM tenant_metrics;

-- Shares, what was served, and who waits are known with shared memory only.
SELECT every((served IS NOT NULL) = m.shared AND (waiting_in_ring IS NOT NULL) = (m.shared AND tenant_id IS NOT NULL)
             AND (m.shared OR (share_due IS NULL AND share_got IS NULL))) AS as_known
  FROM tenant_metrics, (SELECT (get_queue_metrics() -> 'shared_memory')::boolean AS shared) m;

-- Names that JSON has to escape, and that sort oddly.
SELECT count(*) FROM enqueue_jobs(ARRAY['"', E'\\', E'\n', 'é', '{}', 'NULL'], 'mail');
SELECT tenant ->> 'tenant' AS tenant FROM jsonb_array_elements(get_queue_metrics() -> 'tenants') tenant
 WHERE tenant ->> 'tenant' !~ '^t\d\d$' ORDER BY tenant ->> 'tenant' COLLATE "C";
