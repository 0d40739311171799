-- With shared memory, metrics are kept and not counted: no table whose size grows is scanned.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
ALTER TABLE job_live SET (autovacuum_enabled = off);

SELECT seed_load_test_jobs(20000, 100);
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[1000]), 'mail');
SELECT (run_job_queue_parallel(2) -> 'completed')::integer AS completed;
ANALYZE job_live;

-- Once they are established.
SELECT get_queue_metrics() -> 'shared_memory' AS shared_memory, get_load_test_metrics() -> 'source' AS source, get_load_test_metrics() -> 'exact' AS exact;
-- The view counts what this session scanned: it would show a scan.
BEGIN;
CREATE TEMP TABLE before AS SELECT relname, seq_scan, seq_tup_read FROM pg_stat_xact_user_tables;
SELECT count(*) FROM job_queue WHERE payload = '"nothing"';
SELECT b.relname FROM pg_stat_xact_user_tables n JOIN before b USING (relname)
 WHERE n.seq_scan > b.seq_scan AND b.relname IN ('job_live', 'job_history_default') ORDER BY 1;
COMMIT;
BEGIN;
DROP TABLE before;
CREATE TEMP TABLE before AS SELECT relname, seq_scan, seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables;
SELECT (get_load_test_metrics() -> 'queue_stats' -> 'queued')::integer AS queued;
SELECT (get_queue_metrics() -> 'queue_stats' -> 'completed')::integer AS completed;
-- A row or two for each tenant that is named, and no more.
SELECT n.relname, n.seq_scan - b.seq_scan AS scans, n.idx_tup_fetch - b.idx_tup_fetch AS rows_by_index
  FROM pg_stat_xact_user_tables n JOIN before b USING (relname)
 WHERE n.relname ~ '^(job_live|job_history|channel_outbox|campaign_audit_log)'
   AND (n.seq_scan > b.seq_scan OR n.idx_tup_fetch > b.idx_tup_fetch + 60);
COMMIT;
DROP TABLE before;
