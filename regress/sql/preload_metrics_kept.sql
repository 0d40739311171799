-- Numbers that are kept go on from what was counted or estimated: each commit adds its changes, and a large history that
-- was counted while it was small is not estimated later.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
ALTER TABLE job_history_default SET (fillfactor = 10, autovacuum_enabled = off);
CREATE FUNCTION told(OUT exact boolean, OUT source text, OUT queued bigint, OUT completed bigint) LANGUAGE sql AS $$
    SELECT (m -> 'exact')::boolean, m ->> 'source', (m -> 'queue_stats' -> 'queued')::bigint, (m -> 'queue_stats' -> 'completed')::bigint
      FROM get_queue_metrics() m
$$;
CREATE FUNCTION grow() RETURNS boolean LANGUAGE sql AS $$
    INSERT INTO job_history_default (id, tenant_id, job_type, priority, run_at, max_attempts, timeout, created_at, payload, status, attempts, finished_at)
    SELECT n + 1000000, 'a', 'mail', 0, now(), 5, '5 min', now(), jsonb_build_object('x', repeat('y', 150)), 'completed', 1, now() - interval '100 days'
      FROM generate_series(1, 25000) n;
    SELECT pg_relation_size('job_history_default') > 64 * 1024 * 1024;
$$;

-- Counted while it was small; what is written past the API is not seen, and so the number is not called exact.
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[10]), 'mail');
SELECT * FROM told();
SELECT * FROM told();
SELECT grow() AS large;
SELECT * FROM told();
SELECT count(*) FROM (SELECT complete_jobs(ARRAY[id], lock_token) FROM claim_queued_jobs('w', 3)) s;
SELECT * FROM told();

-- Lost: estimated, and kept from there on.
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
ALTER TABLE job_history_default SET (fillfactor = 10, autovacuum_enabled = off);
RESET client_min_messages;
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[10]), 'mail');
SELECT grow() AS large;
ANALYZE job_history_default;
SELECT exact, source, queued, completed BETWEEN 24000 AND 26000 AS near FROM told();
SELECT completed FROM told() \gset
SELECT count(*) FROM (SELECT complete_jobs(ARRAY[id], lock_token) FROM claim_queued_jobs('w', 3)) s;
SELECT exact, source, queued, completed - :completed AS more FROM told();
BEGIN;
SELECT count(*) FROM (SELECT complete_jobs(ARRAY[id], lock_token) FROM claim_queued_jobs('w', 3)) s;
SELECT exact, source, queued, completed - :completed AS more FROM told();
ROLLBACK;
SELECT exact, source, queued, completed - :completed AS more FROM told();

DROP FUNCTION told, grow;
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
