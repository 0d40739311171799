-- Bad input for every argument of every function: a documented SQLSTATE, nothing changed, and the next call works.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

-- Each error of ours once, with its words.
SELECT enqueue_job(NULL, 'mail');
SELECT enqueue_job('', 'mail');
SELECT enqueue_job(repeat('x', 300), 'mail');
SELECT enqueue_job('a', 'mail', priority => 32768);
SELECT enqueue_job('a', 'mail', timeout => '-1 second');
SELECT enqueue_job('a', 'mail', run_at => 'infinity');
SELECT enqueue_jobs(ARRAY['a', NULL], 'mail');
SELECT enqueue_jobs(ARRAY['a', 'b'], 'mail', ARRAY['1']::jsonb[]);
SELECT complete_jobs(ARRAY[[1], [2]], 1);
SELECT heartbeat_jobs(-1);
SELECT complete_and_claim_jobs(ARRAY[1], NULL, 'w');
SELECT fail_job(4711, 1, 'no');
SELECT cancel_job(4711);
SELECT enqueue_job('a', 'mail');
SELECT fail_job(1, 4711, 'no');
SET fairq.max_payload_size = 1024;
SELECT enqueue_job('a', 'mail', to_jsonb(repeat('x', 2000)));
RESET fairq.max_payload_size;

-- A job in every status, to see that nothing changes.
SELECT count(*) FROM enqueue_jobs(array_fill('t'::text, ARRAY[6]), 'mail', idempotency_keys => ARRAY['a', 'b', 'c', 'd', 'e', 'f']);
SELECT count(*) FROM claim_queued_jobs('w', 4);
SELECT count(*) FROM (SELECT complete_jobs(ARRAY[1], max(lock_token)) FROM job_live) s;
SELECT fail_job(2, lock_token, 'no', retry => false) FROM job_live WHERE id = 2;
SELECT fail_job(3, lock_token, 'no') FROM job_live WHERE id = 3;
UPDATE job_live SET due_at = now() + interval '1 hour' WHERE id = 3;
SELECT cancel_job(5);
SELECT status, count(*) FROM job_queue GROUP BY status ORDER BY status;

CREATE FUNCTION pg_temp.everything() RETURNS text LANGUAGE sql AS $$
    SELECT md5(string_agg(r, E'\n' ORDER BY r))
      FROM (SELECT 'live' || t::text FROM job_live t UNION ALL SELECT 'history' || t::text FROM job_history t
            UNION ALL SELECT 'lease' || t::text FROM job_leases t UNION ALL SELECT 'key' || t::text FROM job_keys t
            UNION ALL SELECT 'handler' || t::text FROM job_handlers t UNION ALL SELECT 'message' || t::text FROM channel_outbox t
            UNION ALL SELECT 'tick' || t::text FROM campaign_audit_log t UNION ALL SELECT 'total' || t::text FROM load_test_totals t
            UNION ALL SELECT 'partition' || inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'job_history'::regclass) s (r)
$$;

-- Runs one call; after a refusal, a good one.
CREATE FUNCTION pg_temp.try(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    command constant text := CASE WHEN call LIKE 'run_job_queue_ticks%' THEN 'CALL ' ELSE 'SELECT ' END;
BEGIN
    EXECUTE command || call;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    IF heartbeat_jobs(1) <> 0 OR truncate_notify_payload('next') <> 'next' THEN
        RAISE 'the next call failed';
    END IF;
    RETURN SQLSTATE;
END
$$;

CREATE FUNCTION pg_temp.bad(calls text[]) RETURNS TABLE (call text, sqlstate text, changed text) LANGUAGE plpgsql AS $$
DECLARE
    before constant text := pg_temp.everything();
BEGIN
    FOREACH call IN ARRAY calls LOOP
        sqlstate := pg_temp.try(call);
        changed := CASE WHEN pg_temp.everything() <> before THEN 'yes' ELSE '' END;
        RETURN NEXT;
    END LOOP;
END
$$;
\pset format unaligned
\pset fieldsep '  '
\pset footer off

SELECT * FROM pg_temp.bad(ARRAY[
    $$enqueue_job(NULL, 'j')$$, $$enqueue_job('', 'j')$$, $$enqueue_job(repeat('x', 256), 'j')$$,
    $$enqueue_job(repeat('é', 128), 'j')$$, $$enqueue_job(convert_from('\xff', 'UTF8'), 'j')$$,
    $$enqueue_job('t', NULL)$$, $$enqueue_job('t', '')$$, $$enqueue_job('t', repeat('x', 256))$$,
    $$enqueue_job('t', convert_from('\xc3', 'UTF8'))$$,
    $$enqueue_job('t', 'j', NULL)$$, $$enqueue_job('t', 'j', '')$$, $$enqueue_job('t', 'j', '{')$$,
    $$enqueue_job('t', 'j', '"\u0000"')$$, $$enqueue_job('t', 'j', convert_from('\x22ff22', 'UTF8')::jsonb)$$,
    $$enqueue_job('t', 'j', to_jsonb(repeat('x', 16 * 1024 * 1024)))$$,
    $$enqueue_job('t', 'j', priority => NULL)$$, $$enqueue_job('t', 'j', priority => 32768)$$,
    $$enqueue_job('t', 'j', priority => -32769)$$, $$enqueue_job('t', 'j', priority => 2147483647)$$,
    $$enqueue_job('t', 'j', priority => 2147483648)$$,
    $$enqueue_job('t', 'j', run_at => 'infinity')$$, $$enqueue_job('t', 'j', run_at => '-infinity')$$,
    $$enqueue_job('t', 'j', run_at => '300000-01-01')$$,
    $$enqueue_job('t', 'j', idempotency_key => '')$$, $$enqueue_job('t', 'j', idempotency_key => repeat('x', 256))$$,
    $$enqueue_job('t', 'j', idempotency_key => convert_from('\x80', 'UTF8'))$$,
    $$enqueue_job('t', 'j', max_attempts => NULL)$$, $$enqueue_job('t', 'j', max_attempts => 0)$$,
    $$enqueue_job('t', 'j', max_attempts => -1)$$, $$enqueue_job('t', 'j', max_attempts => 1001)$$,
    $$enqueue_job('t', 'j', max_attempts => 2147483647)$$,
    $$enqueue_job('t', 'j', timeout => NULL)$$, $$enqueue_job('t', 'j', timeout => '0')$$,
    $$enqueue_job('t', 'j', timeout => '-1 day')$$, $$enqueue_job('t', 'j', timeout => '7 days 1 microsecond')$$,
    $$enqueue_job('t', 'j', timeout => '178000000 years')$$, $$enqueue_job('t', 'j', timeout => '-178000000 years')$$,
    $$enqueue_job('t', 'j', nothing => 1)$$]);

SELECT * FROM pg_temp.bad(ARRAY[
    $$enqueue_jobs(NULL, 'j')$$, $$enqueue_jobs(ARRAY[NULL], 'j')$$, $$enqueue_jobs(ARRAY['a', '', 'b'], 'j')$$,
    $$enqueue_jobs(ARRAY['a', repeat('x', 256)], 'j')$$, $$enqueue_jobs(ARRAY[['a', 'b'], ['c', 'd']], 'j')$$,
    $$enqueue_jobs(ARRAY['a', convert_from('\xff', 'UTF8')], 'j')$$,
    $$enqueue_jobs(ARRAY['a'], NULL)$$, $$enqueue_jobs(ARRAY['a'], '')$$, $$enqueue_jobs(ARRAY['a'], repeat('x', 256))$$,
    $$enqueue_jobs('{}', '')$$,
    $$enqueue_jobs(ARRAY['a'], 'j', '{}')$$, $$enqueue_jobs(ARRAY['a'], 'j', ARRAY['1', '2']::jsonb[])$$,
    $$enqueue_jobs('{}', 'j', ARRAY['1']::jsonb[])$$, $$enqueue_jobs(ARRAY['a', 'b'], 'j', ARRAY[['1'], ['2']]::jsonb[])$$,
    $$enqueue_jobs(ARRAY['a', 'b'], 'j', ARRAY['1', to_jsonb(repeat('x', 16 * 1024 * 1024))])$$,
    $$enqueue_jobs(ARRAY['a'], 'j', priority => NULL)$$, $$enqueue_jobs(ARRAY['a'], 'j', priority => 32768)$$,
    $$enqueue_jobs(ARRAY['a'], 'j', priority => -32769)$$,
    $$enqueue_jobs(ARRAY['a'], 'j', run_at => 'infinity')$$, $$enqueue_jobs(ARRAY['a'], 'j', run_at => '-infinity')$$,
    $$enqueue_jobs(ARRAY['a'], 'j', idempotency_keys => '{}')$$,
    $$enqueue_jobs(ARRAY['a'], 'j', idempotency_keys => ARRAY['k', 'l'])$$,
    $$enqueue_jobs(ARRAY['a', 'b'], 'j', idempotency_keys => ARRAY[['k'], ['l']])$$,
    $$enqueue_jobs(ARRAY['a', 'b'], 'j', idempotency_keys => ARRAY['k', ''])$$,
    $$enqueue_jobs(ARRAY['a', 'b'], 'j', idempotency_keys => ARRAY[NULL, repeat('x', 256)])$$,
    $$enqueue_jobs(ARRAY['a'], 'j', idempotency_keys => ARRAY[convert_from('\xff', 'UTF8')])$$,
    $$enqueue_jobs(ARRAY['a'], 'j', max_attempts => NULL)$$, $$enqueue_jobs(ARRAY['a'], 'j', max_attempts => 0)$$,
    $$enqueue_jobs(ARRAY['a'], 'j', max_attempts => -1)$$, $$enqueue_jobs(ARRAY['a'], 'j', max_attempts => 1001)$$,
    $$enqueue_jobs(ARRAY['a'], 'j', timeout => NULL)$$, $$enqueue_jobs(ARRAY['a'], 'j', timeout => '0')$$,
    $$enqueue_jobs(ARRAY['a'], 'j', timeout => '-1 second')$$, $$enqueue_jobs(ARRAY['a'], 'j', timeout => '8 days')$$]);

SELECT * FROM pg_temp.bad(ARRAY[
    $$claim_queued_jobs(NULL)$$, $$claim_queued_jobs('')$$, $$claim_queued_jobs(repeat('x', 256))$$,
    $$claim_queued_jobs(convert_from('\xff', 'UTF8'))$$,
    $$claim_queued_jobs('w', NULL)$$, $$claim_queued_jobs('w', 0)$$, $$claim_queued_jobs('w', -1)$$,
    $$claim_queued_jobs('w', 10001)$$, $$claim_queued_jobs('w', 2147483647)$$, $$claim_queued_jobs('w', -2147483648)$$,
    $$claim_queued_jobs('w', 1, NULL)$$, $$claim_queued_jobs('w', 1, 0)$$, $$claim_queued_jobs('w', 1, -1)$$,
    $$complete_jobs(NULL, 1)$$, $$complete_jobs(ARRAY[NULL]::bigint[], 1)$$, $$complete_jobs(ARRAY[4, NULL], 1)$$,
    $$complete_jobs(ARRAY[[4], [5]], 1)$$, $$complete_jobs('{}', 1)$$, $$complete_jobs(ARRAY[4711], 1)$$,
    $$complete_jobs(ARRAY[0, -1, 9223372036854775807], 1)$$, $$complete_jobs(ARRAY[4], 4711)$$,
    $$complete_jobs(ARRAY[4], NULL)$$, $$complete_jobs(ARRAY[4], 0)$$, $$complete_jobs(ARRAY[4], -1)$$,
    $$complete_jobs(ARRAY(SELECT generate_series(1000, 200000)), 1)$$,
    $$complete_and_claim_jobs(ARRAY[4], NULL, 'w')$$, $$complete_and_claim_jobs(ARRAY[4], 0, 'w')$$,
    $$complete_and_claim_jobs(ARRAY[4], -1, 'w')$$, $$complete_and_claim_jobs('{}', 0, 'w')$$,
    $$complete_and_claim_jobs(NULL, -1, 'w')$$, $$complete_and_claim_jobs(ARRAY[NULL]::bigint[], 1, 'w')$$,
    $$complete_and_claim_jobs(ARRAY[[4], [5]], 1, 'w')$$, $$complete_and_claim_jobs(NULL, NULL, NULL)$$,
    $$complete_and_claim_jobs(NULL, NULL, '')$$, $$complete_and_claim_jobs('{}', 1, repeat('x', 256))$$,
    $$complete_and_claim_jobs('{}', NULL, 'w', NULL)$$, $$complete_and_claim_jobs('{}', NULL, 'w', 0)$$,
    $$complete_and_claim_jobs('{}', NULL, 'w', 10001)$$, $$complete_and_claim_jobs('{}', NULL, 'w', 1, NULL)$$,
    $$complete_and_claim_jobs('{}', NULL, 'w', 1, 0)$$,
    $$fail_job(NULL, 1, 'e')$$, $$fail_job(0, 1, 'e')$$, $$fail_job(-1, 1, 'e')$$, $$fail_job(4711, 1, 'e')$$,
    $$fail_job(9223372036854775807, 1, 'e')$$,
    $$fail_job(4, NULL, 'e')$$, $$fail_job(4, 0, 'e')$$, $$fail_job(4, -1, 'e')$$, $$fail_job(4, 4711, 'e')$$,
    $$fail_job(1, 4711, 'e')$$, $$fail_job(3, 4711, 'e')$$, $$fail_job(7, 4711, 'e')$$,
    $$fail_job(4, 1, NULL)$$, $$fail_job(4, 1, convert_from('\xff', 'UTF8'))$$, $$fail_job(4, 1, 'e', NULL)$$,
    $$release_jobs(NULL, 1)$$, $$release_jobs(ARRAY[NULL]::bigint[], 1)$$, $$release_jobs(ARRAY[[4], [5]], 1)$$,
    $$release_jobs('{}', 1)$$, $$release_jobs(ARRAY[4711, 0, -1], 1)$$, $$release_jobs(ARRAY[4], 4711)$$,
    $$release_jobs(ARRAY[4], NULL)$$, $$release_jobs(ARRAY[4], 0)$$, $$release_jobs(ARRAY[4], -1)$$,
    $$release_jobs(ARRAY[4], 1, 'infinity')$$, $$release_jobs(ARRAY[4], 1, '-infinity')$$,
    $$heartbeat_jobs(NULL)$$, $$heartbeat_jobs(0)$$, $$heartbeat_jobs(-1)$$, $$heartbeat_jobs(4711)$$,
    $$reclaim_stuck_jobs(NULL)$$, $$reclaim_stuck_jobs('0')$$, $$reclaim_stuck_jobs('-1 second')$$,
    $$reclaim_stuck_jobs('366 days')$$, $$reclaim_stuck_jobs('178000000 years')$$,
    $$reclaim_stuck_jobs('1 day', NULL)$$, $$reclaim_stuck_jobs('1 day', 0)$$, $$reclaim_stuck_jobs('1 day', -1)$$,
    $$reclaim_stuck_jobs('1 day', 10001)$$,
    $$cancel_job(NULL)$$, $$cancel_job(0)$$, $$cancel_job(-1)$$, $$cancel_job(4711)$$, $$cancel_job(9223372036854775807)$$,
    $$cancel_job(1)$$,
    $$redrive_dead_jobs('')$$, $$redrive_dead_jobs(repeat('x', 256))$$, $$redrive_dead_jobs('nobody')$$,
    $$redrive_dead_jobs(convert_from('\xff', 'UTF8'))$$,
    $$redrive_dead_jobs(job_type => '')$$, $$redrive_dead_jobs(job_type => repeat('x', 256))$$,
    $$redrive_dead_jobs(job_type => 'nothing')$$,
    $$redrive_dead_jobs(max_jobs => NULL)$$, $$redrive_dead_jobs(max_jobs => 0)$$, $$redrive_dead_jobs(max_jobs => -1)$$,
    $$redrive_dead_jobs(max_jobs => 10001)$$]);

CREATE FUNCTION pg_temp.handler(job job_queue) RETURNS void LANGUAGE sql AS '';
SELECT * FROM pg_temp.bad(ARRAY[
    $$register_job_handler(NULL, 'run_load_test_job(job_queue)')$$, $$register_job_handler('', 'run_load_test_job(job_queue)')$$,
    $$register_job_handler(repeat('x', 256), 'run_load_test_job(job_queue)')$$,
    $$register_job_handler('j', NULL)$$, $$register_job_handler('j', 0)$$, $$register_job_handler('j', 4711::oid::regprocedure)$$,
    $$register_job_handler('j', 'nothing(job_queue)')$$, $$register_job_handler('j', 'now()')$$,
    $$register_job_handler('j', 'cancel_job(bigint)')$$, $$register_job_handler('j', 'count(anyelement)')$$,
    $$register_job_handler('j', 'run_job_queue_ticks(integer, interval, interval, text)')$$,
    $$unregister_job_handler(NULL)$$, $$unregister_job_handler('')$$, $$unregister_job_handler(repeat('x', 256))$$,
    $$unregister_job_handler('nothing')$$,
    $$run_job_queue_parallel(NULL)$$, $$run_job_queue_parallel(0)$$, $$run_job_queue_parallel(-1)$$,
    $$run_job_queue_parallel(65)$$, $$run_job_queue_parallel(2147483647)$$,
    $$run_job_queue_ticks(NULL)$$, $$run_job_queue_ticks(0)$$, $$run_job_queue_ticks(65)$$,
    $$run_job_queue_ticks(1, NULL)$$, $$run_job_queue_ticks(1, '0')$$, $$run_job_queue_ticks(1, '-1 second')$$,
    $$run_job_queue_ticks(1, '1 day 1 second')$$,
    $$run_job_queue_ticks(1, '1 second', NULL)$$, $$run_job_queue_ticks(1, '1 second', '0')$$,
    $$run_job_queue_ticks(1, '1 second', '-1 second')$$, $$run_job_queue_ticks(1, '1 second', '2 days')$$,
    $$make_history_partitions(NULL)$$, $$make_history_partitions(-1)$$, $$make_history_partitions(2147483647)$$,
    $$truncate_notify_payload(NULL)$$, $$truncate_notify_payload('x', NULL)$$, $$truncate_notify_payload('x', 0)$$,
    $$truncate_notify_payload('x', -1)$$, $$truncate_notify_payload('x', 8000)$$,
    $$truncate_notify_payload(convert_from('\xff', 'UTF8'))$$,
    $$notify_truncated(NULL, 'x')$$, $$notify_truncated('', 'x')$$, $$notify_truncated(repeat('c', 64), 'x')$$,
    $$notify_truncated('c', NULL)$$, $$notify_truncated('c', convert_from('\xff', 'UTF8'))$$,
    $$seed_load_test_jobs(NULL, 1)$$, $$seed_load_test_jobs(0, 1)$$, $$seed_load_test_jobs(-1, 1)$$,
    $$seed_load_test_jobs(2147483648, 1)$$, $$seed_load_test_jobs(1, NULL)$$, $$seed_load_test_jobs(1, 0)$$,
    $$seed_load_test_jobs(1, -1)$$, $$seed_load_test_jobs(1, 1000001)$$]);

-- The same outside of savepoints, where the session itself recovers; then good calls.
\set VERBOSITY sqlstate
SELECT enqueue_job('t', 'j', max_attempts => 0);
BEGIN;
SELECT enqueue_job('t', 'j') > 0 AS undone;
SELECT claim_queued_jobs('w', 0);
SELECT enqueue_job('t', 'j');
COMMIT;
SELECT status, count(*) FROM job_queue GROUP BY status ORDER BY status;
SELECT enqueue_job('t', 'next') > 0 AS enqueued;
SELECT count(*) FROM claim_queued_jobs('next');
SELECT count(*) FROM (SELECT complete_jobs(array_agg(id), lock_token) FROM job_live WHERE locked_by = 'next' GROUP BY lock_token) s;
