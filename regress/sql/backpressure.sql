-- Back-pressure: what max_pending and enqueue_rate refuse, how they say it, and that it leaves nothing.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
\pset null '-'

CREATE FUNCTION pg_temp.everything() RETURNS text LANGUAGE sql AS $$
    SELECT md5(string_agg(r, E'\n' ORDER BY r))
      FROM (SELECT 'live' || t::text FROM job_live t UNION ALL SELECT 'key' || t::text FROM job_keys t
            UNION ALL SELECT 'rate' || t::text FROM tenant_rates t UNION ALL SELECT 'pending' || t::text FROM tenant_pending t) s (r)
$$;
-- Makes one call; of a refused one the detail, and whether anything changed.
CREATE FUNCTION pg_temp.try(call text, OUT code text, OUT detail jsonb, OUT changed boolean) LANGUAGE plpgsql AS $$
DECLARE
    before constant text := pg_temp.everything();
BEGIN
    BEGIN
        EXECUTE 'SELECT ' || call;
        code := 'accepted';
    EXCEPTION WHEN SQLSTATE 'JQ002' THEN
        GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL;
    END;
    changed := pg_temp.everything() IS DISTINCT FROM before;
END
$$;
CREATE VIEW waiting AS
    SELECT tenant_id AS tenant, (SELECT sum(change) FROM tenant_pending p WHERE p.tenant_id = l.tenant_id) AS counted,
           (SELECT count(*) FROM job_live j WHERE j.tenant_id = l.tenant_id AND status <> 'locked') AS waiting
      FROM tenant_limits l WHERE max_pending IS NOT NULL ORDER BY 1;

-- max_pending: the words, and the numbers for machines. Other tenants are not concerned, nor is a known key.
SELECT set_tenant_limits('a', max_pending => 3);
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'a', 'b'], 'mail', idempotency_keys => ARRAY['k', NULL, NULL]);
SELECT enqueue_job('a', 'mail', run_at => now() + interval '1 hour') AS id;
SELECT enqueue_job('a', 'mail', idempotency_key => 'l');
SELECT enqueue_jobs(ARRAY['a', 'b', 'a', 'b'], 'mail', idempotency_keys => ARRAY['l', 'm', NULL, NULL]);
INSERT INTO job_queue (tenant_id, job_type) VALUES ('a', 'mail');
SELECT enqueue_job('a', 'mail', idempotency_key => 'k') AS known, enqueue_job('b', 'mail') > 0 AS other;
SELECT enqueue_jobs(ARRAY['a', 'b', 'a'], 'mail', idempotency_keys => ARRAY['k', 'm', 'k']) <= 7 AS known_and_other;
SELECT * FROM pg_temp.try($$enqueue_job('a', 'mail', idempotency_key => 'n')$$);
SELECT * FROM waiting;

-- A place that a claim, a cancelled job or a higher limit makes is filled; a job that comes back takes one, whatever the limit.
SELECT count(cancel_job(id)) FROM job_live WHERE tenant_id = 'b';
SELECT lock_token AS token FROM claim_queued_jobs('w', 1) \gset
SELECT enqueue_job('a', 'mail') > 0 AS enqueued;
SELECT code FROM pg_temp.try($$enqueue_job('a', 'mail')$$);
SELECT cancel_job(4) AS scheduled;
SELECT enqueue_jobs(ARRAY['a'], 'mail') > 0 AS enqueued;
SELECT release_jobs(ARRAY[1], :token);
SELECT * FROM pg_temp.try($$enqueue_job('a', 'mail')$$);
SELECT * FROM waiting;
SELECT set_tenant_limits('a', max_pending => 5);
SELECT enqueue_job('a', 'mail') > 0 AS enqueued;
SELECT code FROM pg_temp.try($$enqueue_job('a', 'mail')$$);

-- Bulk: all or nothing, by tenant in DETAIL; or partial, the last ones of a tenant, by NULL.
TRUNCATE job_live, job_history, job_leases, job_keys, tenant_limits, tenant_pending RESTART IDENTITY;
SELECT set_tenant_limits('a', max_pending => 2), set_tenant_limits('c"\', max_pending => 1), set_tenant_limits('z', weight => 5);
SELECT code, jsonb_pretty(detail), changed FROM pg_temp.try($$enqueue_jobs(ARRAY['a', 'b', 'a', 'c"\', 'a', 'c"\', 'z', 'a'], 'mail')$$);
SELECT enqueue_jobs(ARRAY['a', 'b', 'a', 'c"\', 'a', 'c"\', 'z', 'a'], 'mail', partial => true) IS NULL AS refused;
SELECT tenant_id, count(*) FROM job_live GROUP BY 1 ORDER BY 1;
SELECT * FROM waiting;
SELECT changed FROM pg_temp.try($$enqueue_jobs(ARRAY['a', 'a', 'c"\'], 'mail', idempotency_keys => ARRAY['k', NULL, 'l'], partial => true)$$);
-- The same with keys: known ones and repeated ones take no place; the keys of refused ones are free.
TRUNCATE job_live, job_keys, tenant_pending RESTART IDENTITY;
SELECT enqueue_job('a', 'mail', idempotency_key => 'known');
SELECT count(*) FILTER (WHERE id = 1) AS known, count(DISTINCT id) - 1 AS new, count(*) FILTER (WHERE id IS NULL) AS refused
  FROM enqueue_jobs(array_fill('a'::text, ARRAY[7]), 'mail', idempotency_keys => ARRAY['known', 'x', 'x', 'y', 'known', 'y', NULL],
                    partial => true) id;
SELECT idempotency_key FROM job_keys ORDER BY 1;
SELECT idempotency_key FROM job_live ORDER BY id;
SELECT cancel_job(1), cancel_job(min(id)) FROM job_live WHERE id > 1;
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'a'], 'mail', idempotency_keys => ARRAY['y', 'z']);
SELECT * FROM waiting;
-- More than ever fit; nothing; NULL.
SELECT count(*) AS asked, count(id) AS enqueued FROM enqueue_jobs(array_fill('c"\'::text, ARRAY[10000]), 'mail', partial => true) id;
SELECT * FROM pg_temp.try($$enqueue_jobs('{}', 'mail', partial => true)$$);
SELECT enqueue_jobs(ARRAY['a'], 'mail', partial => NULL);
-- A hundred tenants are named, the others counted.
TRUNCATE job_live, job_keys, tenant_limits, tenant_pending;
SELECT count(set_tenant_limits('t' || n, max_pending => 1)) FROM generate_series(1, 120) n;
SELECT code, detail -> 'refused' AS refused, detail -> 'retry_after_seconds' AS retry_after, jsonb_array_length(detail -> 'tenants') AS named
  FROM pg_temp.try($$enqueue_jobs(ARRAY(SELECT 't' || n % 120 + 1 FROM generate_series(1, 360) n), 'mail')$$);

-- When room is to be expected: a second, or by the tenant's own rate of claims.
TRUNCATE tenant_limits;
SELECT set_tenant_limits('a', max_pending => 1, rate_per_second => 0.3);
SELECT detail -> 'tenants' -> 0 -> 'retry_after_seconds' AS retry_after FROM pg_temp.try($$enqueue_jobs(ARRAY['a', 'a', 'a'], 'mail')$$);

-- enqueue_rate: a burst, then by the clock; what was refused or rolled back took no token.
TRUNCATE tenant_limits;
SELECT set_tenant_limits('r', enqueue_rate_per_second => 0.001, enqueue_burst => 3);
SELECT enqueue_job('r', 'mail') > 0 AS enqueued;
SELECT code, detail #- '{tenants,0,retry_after_seconds}' #- '{retry_after_seconds}' AS detail, changed,
       (detail ->> 'retry_after_seconds')::numeric BETWEEN 900 AND 1000 AS retry_after
  FROM pg_temp.try($$enqueue_jobs(ARRAY['r', 'r', 'r'], 'mail', idempotency_keys => ARRAY['k', 'l', 'm'])$$);
BEGIN;
SELECT count(*) FROM enqueue_jobs(ARRAY['r', 'r'], 'mail');
SAVEPOINT s;
\set VERBOSITY terse
SELECT enqueue_job('r', 'mail');
\set VERBOSITY default
ROLLBACK TO s;
SELECT code, changed FROM pg_temp.try($$enqueue_job('r', 'mail', idempotency_key => 'k')$$);
ROLLBACK;
SELECT count(*) FROM enqueue_jobs(ARRAY['r', 'r'], 'mail');
SELECT code, detail - 'retry_after_seconds' AS detail, changed, (detail ->> 'retry_after_seconds')::numeric BETWEEN 900 AND 1000 AS retry_after
  FROM pg_temp.try($$enqueue_job('r', 'mail')$$);
-- A day passes: a whole burst, no more. Partial takes what there is.
UPDATE tenant_rates SET due_at = due_at - interval '1 day';
SELECT count(*) AS asked, count(id) AS enqueued FROM enqueue_jobs(array_fill('r'::text, ARRAY[5]), 'mail', partial => true) id;
SELECT code, changed FROM pg_temp.try($$enqueue_jobs(ARRAY['r'], 'mail', idempotency_keys => ARRAY['k'], partial => true)$$);
-- A thousand an hour; a higher rate helps at once; none at all, too.
SELECT set_tenant_limits('h', enqueue_rate_per_second => 1000 / 3600.0, enqueue_burst => 1000);
SELECT count(*) FROM enqueue_jobs(array_fill('h'::text, ARRAY[1000]), 'mail');
SELECT code, (detail ->> 'retry_after_seconds')::numeric <= 3.6 AS retry_after FROM pg_temp.try($$enqueue_job('h', 'mail')$$);
SELECT set_tenant_limits('h', enqueue_rate_per_second => 0);
SELECT enqueue_job('h', 'mail') > 0 AS enqueued;
SELECT tenant_id, side FROM tenant_rates;
-- Both limits: the one that lets less in is named, and none is charged for what the other refuses.
SELECT set_tenant_limits('both', enqueue_rate_per_second => 0.001, enqueue_burst => 5, max_pending => 3);
SELECT count(*) AS asked, count(id) AS enqueued FROM enqueue_jobs(array_fill('both'::text, ARRAY[9]), 'mail', partial => true) id;
SELECT detail ->> 'limit' AS "limit" FROM pg_temp.try($$enqueue_job('both', 'mail')$$);
SELECT set_tenant_limits('both', max_pending => 100);
SELECT count(*) AS asked, count(id) AS enqueued FROM enqueue_jobs(array_fill('both'::text, ARRAY[9]), 'mail', partial => true) id;
SELECT detail ->> 'limit' AS "limit" FROM pg_temp.try($$enqueue_job('both', 'mail')$$);
SELECT * FROM waiting;

-- Setting max_pending counts what waits, in every way; removing it forgets. Paused tenants may enqueue.
TRUNCATE job_live, job_history, job_leases, job_keys, tenant_limits, tenant_pending, tenant_rates RESTART IDENTITY;
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[5]), 'mail');
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'a', 'b'], 'mail', run_at => now() + interval '1 hour');
UPDATE job_live SET parked_position = position, position = NULL WHERE id = 1;
UPDATE job_live SET status = 'blocked', position = NULL, run_id = 1, stage = 2 WHERE id = 2;
SELECT count(*) FROM claim_queued_jobs('w', 1);
SELECT set_tenant_limits('a', max_pending => 6, paused => true);
SELECT * FROM waiting;
SELECT code, detail FROM pg_temp.try($$enqueue_job('a', 'mail')$$);
DELETE FROM job_live WHERE id IN (4, 5); -- written directly to the table: not noticed until the jobs are counted anew
SELECT code, detail FROM pg_temp.try($$enqueue_job('a', 'mail')$$);
SELECT set_tenant_limits('a', max_pending => 6);
SELECT enqueue_job('a', 'mail') > 0 AS enqueued;
SELECT * FROM waiting;
UPDATE tenant_pending SET change = change - 100; -- as if a hundred jobs came while it was being counted
SELECT set_tenant_limits('b', max_pending => 9223372036854775807);
INSERT INTO tenant_pending VALUES ('b', -100);
SELECT enqueue_job('b', 'mail') > 0 AS enqueued;
SELECT code, detail #> '{tenants,0,waiting}' AS waiting FROM pg_temp.try($$enqueue_jobs(array_fill('a'::text, ARRAY[7]), 'mail')$$);
SELECT set_tenant_limits('a', max_pending => 6), set_tenant_limits('b', max_pending => 6);
SELECT * FROM waiting;
SELECT set_tenant_limits('a', max_pending => 0), set_tenant_limits('b', max_pending => 0);
SELECT count(*) FROM tenant_pending;

-- The operator's own load test is not refused, and counted.
SELECT set_tenant_limits('tenant-2', max_pending => 3);
SELECT seed_load_test_jobs(8, 3);
SELECT * FROM waiting;
SELECT code FROM pg_temp.try($$enqueue_job('tenant-2', 'mail')$$);
SELECT count(*) FROM claim_queued_jobs('w', 6);
SELECT enqueue_job('tenant-2', 'mail') > 0 AS enqueued;
SELECT clear_load_test_data();
SELECT * FROM waiting;

-- At a stricter isolation level the count is as old as the snapshot; nothing breaks.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT enqueue_job('tenant-2', 'mail') > 0 AS enqueued;
SELECT code, detail #> '{tenants,0,waiting}' AS waiting FROM pg_temp.try($$enqueue_jobs(ARRAY['tenant-2', 'tenant-2'], 'mail')$$);
COMMIT;

-- Many rows of a tenant in tenant_pending are folded into one by an enqueue that adds them up, and by sessions that add rows.
INSERT INTO tenant_pending SELECT 'tenant-2', (-1) ^ n FROM generate_series(1, 3000) n;
SELECT * FROM waiting;
SELECT enqueue_job('tenant-2', 'mail') > 0 AS enqueued;
-- Once; or twice, for one in 64 of those who add a row folds as well.
SELECT count(*) BETWEEN 2000 AND 2010 OR count(*) BETWEEN 1000 AND 1010 AS folded FROM tenant_pending;
SELECT * FROM waiting;
SELECT set_tenant_limits('tenant-2', max_pending => 1000);
DO $$
BEGIN
    FOR n IN 1 .. 1000 LOOP
        PERFORM release_jobs(ARRAY[id], lock_token) FROM claim_queued_jobs('w', 1);
    END LOOP;
END
$$;
SELECT count(*) < 1000 AS folded FROM tenant_pending;
SELECT * FROM waiting;

-- All of it by index, whatever other tenants have: plans that were made while the tables were empty serve full ones.
INSERT INTO tenant_limits (tenant_id, max_pending) SELECT 't' || n, 100 FROM generate_series(1, 3000) n;
INSERT INTO tenant_pending SELECT 't' || n, 0 FROM generate_series(1, 3000) n, generate_series(1, 3);
INSERT INTO tenant_rates SELECT 't' || n, 'enqueue', now() FROM generate_series(1, 3000) n;
SELECT set_tenant_limits('t7', enqueue_rate_per_second => 1, enqueue_burst => 100);
SELECT count(*) FROM enqueue_jobs(array_fill('other'::text, ARRAY[3000]), 'mail', idempotency_keys => ARRAY(SELECT 'k' || n FROM generate_series(1, 3000) n));
CREATE TEMP VIEW reads AS
    SELECT relname, seq_scan, coalesce(idx_tup_fetch, 0) AS fetched FROM pg_stat_xact_user_tables
     WHERE relname IN ('tenant_limits', 'tenant_pending', 'tenant_rates', 'job_keys');
BEGIN;
CREATE TEMP TABLE read_before AS TABLE reads;
SELECT count(*) AS asked, count(id) AS enqueued FROM enqueue_jobs(array_fill('t7'::text, ARRAY[101]), 'mail',
    idempotency_keys => ARRAY(SELECT 'k' || n FROM generate_series(1, 101) n), partial => true) id;
SELECT cancel_job(max(id)) FROM job_live WHERE tenant_id = 't7';
SELECT set_tenant_limits('t7', max_pending => 0, enqueue_rate_per_second => 0), set_tenant_limits('t8', max_pending => 7);
SELECT relname, r.seq_scan - b.seq_scan AS scans, r.fetched - b.fetched < 500 AS few FROM reads r JOIN read_before b USING (relname) ORDER BY 1;
ROLLBACK;

-- Whatever happens, the sum is the count: 3,000 random operations, some of them rolled back.
TRUNCATE job_live, job_history, job_leases, job_keys, tenant_limits, tenant_pending, tenant_rates;
SELECT set_tenant_limits('a', max_pending => 40), set_tenant_limits('b', max_pending => 15), set_tenant_limits('tenant-1', max_pending => 5);
CREATE FUNCTION pg_temp.step(n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    tenant constant text := (ARRAY['a', 'b', 'c'])[1 + floor(random() * 3)];
    later constant timestamptz := CASE WHEN random() < 0.2 THEN clock_timestamp() + random() * interval '20 ms' END;
    key constant text := CASE WHEN random() < 0.3 THEN 'k' || floor(random() * 50) END;
    token bigint;
    some_jobs bigint[];
BEGIN
    SELECT lock_token, array_agg(id) FILTER (WHERE random() < 0.7) INTO token, some_jobs
      FROM job_live WHERE status = 'locked' GROUP BY 1 ORDER BY random() LIMIT 1;
    some_jobs := coalesce(some_jobs, '{}');
    CASE n % 13
        WHEN 0, 1 THEN PERFORM enqueue_job(tenant, 'mail', run_at => later, idempotency_key => key, max_attempts => 2);
        WHEN 2 THEN PERFORM enqueue_jobs(ARRAY['a', tenant, 'b', tenant], 'mail', run_at => later, idempotency_keys => ARRAY[key, key, NULL, NULL]);
        WHEN 3 THEN PERFORM enqueue_jobs(ARRAY[tenant, 'a', tenant, 'b', 'a', 'c'], 'mail', idempotency_keys => ARRAY[key, 'x' || n, NULL, NULL, key, NULL],
                                         partial => true);
        WHEN 4, 5 THEN PERFORM claim_queued_jobs('w', 1 + floor(random() * 10)::integer);
        WHEN 6 THEN PERFORM complete_jobs(some_jobs, token) WHERE token IS NOT NULL;
        WHEN 7 THEN PERFORM fail_job(id, token, 'no', retry => random() < 0.7) FROM unnest(some_jobs) id;
        WHEN 8 THEN PERFORM release_jobs(some_jobs, token, later) WHERE token IS NOT NULL;
        WHEN 9 THEN PERFORM reclaim_stuck_jobs('1 microsecond', 3);
        WHEN 10 THEN PERFORM cancel_job(id) FROM (SELECT id FROM job_live ORDER BY random() LIMIT 3) s;
        WHEN 11 THEN PERFORM redrive_dead_jobs(max_jobs => 5);
        ELSE
            IF random() < 0.1 THEN
                PERFORM seed_load_test_jobs(7, 3);
            ELSIF random() < 0.1 THEN
                PERFORM clear_load_test_data();
            END IF;
    END CASE;
    IF random() < 0.1 THEN
        RAISE SQLSTATE 'JQ002'; -- as if it were refused: all of it rolled back
    END IF;
EXCEPTION WHEN SQLSTATE 'JQ002' THEN
END
$$;
SET fairq.backoff_base = '20ms';
SELECT setseed(0.56);
DO $$
BEGIN
    FOR n IN 1 .. 3000 LOOP
        PERFORM pg_temp.step(n);
        COMMIT;
        IF EXISTS (SELECT FROM waiting WHERE coalesce(counted, 0) <> waiting) THEN
            RAISE 'step % (%): %', n, n % 13, (SELECT string_agg(w::text, ' ') FROM waiting w);
        END IF;
    END LOOP;
END
$$;
SELECT status, count(*) > 10 AS many FROM job_queue WHERE status IN ('completed', 'cancelled') GROUP BY status ORDER BY status;
SELECT count(*) FROM tenant_pending WHERE tenant_id = 'c';
DROP VIEW waiting;
