-- What metrics cost has a bound: they never read a large table, and never say that a number is exact that they have not
-- just counted.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
SET fairq.metrics_count_limit = '2 MB';
ALTER TABLE job_history_default SET (fillfactor = 10, autovacuum_enabled = off);
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[10]), 'mail');
SELECT count(*) FROM claim_queued_jobs('w1', 1);

-- Small: counted by each call, also what was written past the API.
CREATE FUNCTION told(OUT exact boolean, OUT source text, OUT queued bigint, OUT completed bigint) LANGUAGE sql AS $$
    SELECT (m -> 'exact')::boolean, m ->> 'source', (m -> 'queue_stats' -> 'queued')::bigint, (m -> 'queue_stats' -> 'completed')::bigint
      FROM get_queue_metrics() m
$$;
SELECT * FROM told();
UPDATE job_live SET status = 'queued', locked_by = NULL, locked_at = NULL, lock_token = NULL WHERE status = 'locked';
SELECT * FROM told();
SELECT (get_load_test_metrics() -> 'exact')::boolean AS exact;

-- A history of 80 MB: its size is looked up, no job is read, and the number is near.
INSERT INTO job_history_default (id, tenant_id, job_type, priority, run_at, max_attempts, timeout, created_at, payload, status, attempts, finished_at)
SELECT n + 1000000, 'a', 'mail', 0, now(), 5, '5 min', now(), jsonb_build_object('x', repeat('y', 150)),
       CASE WHEN n % 10 = 0 THEN 'dead' ELSE 'completed' END::job_status, 1, now() - interval '100 days'
  FROM generate_series(1, 25000) n;
SELECT pg_relation_size('job_history_default') > 64 * 1024 * 1024 AS large;
CREATE FUNCTION reads(statement text) RETURNS TABLE (relation name) LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE before AS SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows FROM pg_stat_xact_user_tables;
    EXECUTE statement;
    RETURN QUERY SELECT n.relname FROM pg_stat_xact_user_tables n JOIN before b USING (relname)
                  WHERE n.seq_tup_read + coalesce(n.idx_tup_fetch, 0) > b.rows + 1000 AND n.relname ~ '^job_';
    DROP TABLE before;
END
$$;
SELECT * FROM reads('SELECT count(*) FROM job_history');
SELECT * FROM reads('SELECT get_queue_metrics()');
SELECT * FROM reads('SELECT get_load_test_metrics()');
SELECT exact, source, queued, completed BETWEEN 1000 AND 500000 AS near FROM told(); -- nothing is known of the table but its size
ANALYZE job_history_default;
\c -
SET fairq.metrics_count_limit = '2 MB';
SELECT * FROM reads('SELECT get_queue_metrics(), get_load_test_metrics()');
SELECT exact, source, queued FROM told();

-- Large, and small again.
TRUNCATE job_history_default;
SELECT * FROM told();

DROP FUNCTION told, reads;
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
