-- Settings: their bounds, and that only a superuser changes them.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
CREATE ROLE regress_app;
RESET client_min_messages;
SELECT truncate_notify_payload('loads the library');

SELECT name, setting, unit, min_val, max_val, context, vartype FROM pg_settings WHERE name LIKE 'fairq.%' AND name NOT IN ('fairq.max_databases', 'fairq.ring_lanes', 'fairq.ring_queues') ORDER BY name COLLATE "C";
SELECT name FROM pg_settings WHERE name LIKE 'fairq.%' AND name NOT IN ('fairq.max_databases', 'fairq.ring_lanes', 'fairq.ring_queues') AND short_desc = '';

\set VERBOSITY sqlstate
SET fairq.lease_timeout = '99ms';
SET fairq.lease_timeout = '25h';
SET fairq.lease_timeout = 'soon';
SET fairq.backoff_base = 0;
SET fairq.backoff_max = -1;
SET fairq.max_payload_size = 1023;
SET fairq.max_payload_size = '1GB';
SET fairq.tick_jobs_per_worker = 0;
SET fairq.tick_jobs_per_worker = 10001;
SET fairq.tick_tenant_cap = 0;
SET fairq.tick_tenant_cap = 1000001;
SET fairq.async_claims = 2;
SET fairq.tick_deadline = 0;
SET fairq.tick_patience = -1;
SET fairq.metrics_count_limit = '2GB';
SET fairq.housekeeping_time = 0;
SET fairq.housekeeping_time = '61s';
SET fairq.lease_timeout = '100ms';
SET fairq.lease_timeout = '1d';
RESET fairq.lease_timeout;

-- Not for others.
SET ROLE regress_app;
SELECT format('SET %s = %s', name, setting) FROM pg_settings WHERE name LIKE 'fairq.%' AND name NOT IN ('fairq.max_databases', 'fairq.ring_lanes', 'fairq.ring_queues') ORDER BY name COLLATE "C" \gexec
SHOW fairq.lease_timeout;
RESET ROLE;
GRANT EXECUTE ON FUNCTION enqueue_job TO regress_app;
ALTER ROLE regress_app SET fairq.max_payload_size = 2048;
DROP EXTENSION fairq;
CREATE EXTENSION fairq;
DROP OWNED BY regress_app;
DROP ROLE regress_app;
