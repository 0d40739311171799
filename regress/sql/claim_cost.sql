-- What claims cost the table: HOT updates, no new index entries, no sequential scan.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

-- Of this transaction, so that nobody else's work and no late statistics disturb.
CREATE TEMP VIEW now AS
    SELECT n_tup_upd AS updates, n_tup_hot_upd AS hot, seq_scan AS scans
      FROM pg_stat_xact_user_tables WHERE relid = 'job_live'::regclass;
CREATE FUNCTION pg_temp.index_bytes() RETURNS bigint LANGUAGE sql AS $$
    SELECT sum(pg_relation_size(indexrelid)) FROM pg_index WHERE indrelid = 'job_live'::regclass
$$;
CREATE PROCEDURE pg_temp.claim_and_complete(jobs integer) LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[];
    token bigint;
    done integer := 0;
BEGIN
    WHILE done < jobs LOOP
        SELECT array_agg(id), max(lock_token) INTO ids, token FROM claim_queued_jobs('w', 50);
        PERFORM complete_jobs(ids, token);
        done := done + cardinality(ids);
    END LOOP;
END
$$;

-- 4,000 jobs over 20 tenants, with payloads of a usual size; nothing vacuums meanwhile.
ALTER TABLE job_live SET (autovacuum_enabled = off);
SELECT count(*) FROM enqueue_jobs(ARRAY(SELECT 't' || i % 20 FROM generate_series(1, 4000) i), 'mail',
                                  ARRAY(SELECT jsonb_build_object('n', i, 'body', repeat('x', 100)) FROM generate_series(1, 4000) i));
VACUUM job_live;

BEGIN;
CREATE TEMP TABLE before AS SELECT now.*, pg_temp.index_bytes() AS bytes FROM now;
CALL pg_temp.claim_and_complete(4000);
SELECT now.updates - b.updates AS updates, (now.hot - b.hot) >= 0.95 * (now.updates - b.updates) AS hot,
       now.scans - b.scans AS scans, pg_temp.index_bytes() - b.bytes AS index_growth
  FROM now, before b;
COMMIT;
SELECT status, count(*) FROM job_queue GROUP BY status;

-- A claim logs what it changes, and not the payload, which stands in front of that. (Somebody else's records, or whole pages
-- after a checkpoint, may come into one of the claims, not into all.)
SELECT count(*) FROM enqueue_jobs(array_fill('payloads'::text, ARRAY[60]), 'mail',
                                  array_fill(jsonb_build_object('body', repeat('x', 1000)), ARRAY[60]));
CREATE FUNCTION pg_temp.logged_by_claim() RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    start pg_lsn := pg_current_wal_insert_lsn();
    claimed integer := (SELECT count(*) FROM claim_queued_jobs('w', 10, 10));
BEGIN
    RETURN (pg_current_wal_insert_lsn() - start) / claimed;
END
$$;
SELECT min(pg_temp.logged_by_claim()) < 300 AS without_payload FROM generate_series(1, 5);
SELECT count(*) FROM (SELECT complete_jobs(array_agg(id), lock_token) FROM job_live WHERE status = 'locked' GROUP BY lock_token) s;
SELECT count(*) FROM (SELECT complete_jobs(array_agg(id), max(lock_token)) FROM claim_queued_jobs('w')) s;

-- A job that counts for a cap is found as running by an index, so its claim is no HOT update and adds entries. But none to
-- the lane, which the job leaves. (All in one transaction: no entry is dead yet.)
SELECT set_tenant_limits('capped', max_concurrency => 1000);
SELECT count(*) FROM enqueue_jobs(array_fill('capped'::text, ARRAY[500]), 'mail');
CREATE FUNCTION pg_temp.lane_entries() RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    entries bigint := pg_stat_get_xact_tuples_returned('job_live_lane'::regclass);
BEGIN
    PERFORM count(*) FROM job_live WHERE tenant_id = 'capped' AND position IS NOT NULL;
    RETURN pg_stat_get_xact_tuples_returned('job_live_lane'::regclass) - entries;
END
$$;
BEGIN;
SELECT pg_temp.lane_entries();
SELECT count(*) FROM claim_queued_jobs('w', 500, 500);
SELECT pg_temp.lane_entries();
SELECT count(*) FROM (SELECT complete_jobs(array_agg(id), max(lock_token)) FROM job_live WHERE status = 'locked') s;
SELECT pg_temp.lane_entries();
COMMIT;

-- No verb of the hot path scans the table, however much of it is dead by now and whatever autoanalyze thinks of it.
ANALYZE job_live;
BEGIN;
DROP TABLE before;
CREATE TEMP TABLE before AS SELECT relname, coalesce(seq_scan, 0) AS scans FROM pg_stat_xact_user_tables
    WHERE relname ~ '^(job_|channel_outbox|campaign_audit)';
SELECT count(*) FROM enqueue_jobs(ARRAY(SELECT 't' || i FROM generate_series(1, 100) i), 'mail',
                                  idempotency_keys => ARRAY(SELECT 'k' || i FROM generate_series(1, 100) i));
SELECT enqueue_job('t1', 'mail', idempotency_key => 'k1') > 0 AS known;
SELECT enqueue_job('t1', 'later', run_at => clock_timestamp() + interval '1 ms') > 0 AS scheduled;
CREATE TEMP TABLE claimed AS SELECT id, lock_token FROM claim_queued_jobs('w', 50);
SELECT heartbeat_jobs(max(lock_token)) FROM claimed;
SELECT count(*) FROM (SELECT complete_jobs(array_agg(id), max(lock_token)) FROM (SELECT * FROM claimed ORDER BY id LIMIT 40) s) t;
SELECT fail_job(max(id), max(lock_token), 'no') FROM claimed;
SELECT release_jobs(array_agg(id), max(lock_token)) FROM claimed;
SELECT reclaim_stuck_jobs('1 hour');
SELECT cancel_job(max(id)) FROM claimed;
SELECT now.relname, now.seq_scan - b.scans AS sequential
  FROM pg_stat_xact_user_tables now JOIN before b USING (relname)
 WHERE now.relname ~ '^(job_|channel_outbox|campaign_audit)' AND now.seq_scan > b.scans;
COMMIT;
DROP VIEW now;
DROP TABLE before, claimed;
