-- The claim: fair parts, rotation, order, one lease a call, and no trace of one that was rolled back.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

-- Forgets all jobs.
CREATE PROCEDURE pg_temp.empty() LANGUAGE sql AS 'TRUNCATE job_live, job_history, job_leases, job_keys RESTART IDENTITY';
-- n jobs of each of some tenants, in turn.
CREATE PROCEDURE pg_temp.seed(tenants integer, n integer) LANGUAGE sql AS $$
    SELECT enqueue_jobs(array_agg('t' || lpad(t::text, 2, '0') ORDER BY j, t), 'mail')
      FROM generate_series(1, tenants) t, generate_series(1, n) j
$$;
-- The parts of one call: how many tenants got how many.
CREATE FUNCTION pg_temp.parts(max_jobs integer, tenant_cap integer DEFAULT 25)
RETURNS TABLE (jobs_each bigint, tenants bigint) LANGUAGE sql AS $$
    SELECT n, count(*)
      FROM (SELECT tenant_id, count(*) AS n FROM claim_queued_jobs('w', max_jobs, tenant_cap) GROUP BY tenant_id) s
     GROUP BY n ORDER BY n
$$;

-- Within a call the parts differ by at most one.
CALL pg_temp.seed(10, 20);
SELECT * FROM pg_temp.parts(50);
SELECT * FROM pg_temp.parts(53);
SELECT * FROM pg_temp.parts(7);
-- The rests went round: over the three calls together the tenants are as even as they can be.
SELECT jobs, count(*) AS tenants FROM (SELECT tenant_id, count(*) AS jobs FROM job_live WHERE status = 'locked' GROUP BY tenant_id) s
 GROUP BY jobs ORDER BY jobs;

-- A lone tenant gets its cap, or all there is; the cap holds whatever is left.
CALL pg_temp.empty(); CALL pg_temp.seed(1, 60);
SELECT * FROM pg_temp.parts(50);
SELECT * FROM pg_temp.parts(50, 100);
CALL pg_temp.empty(); CALL pg_temp.seed(2, 60);
SELECT * FROM pg_temp.parts(100);
SELECT * FROM pg_temp.parts(100, 3);

-- Work-conserving: what one tenant cannot use goes to the others.
CALL pg_temp.empty();
SELECT count(*) FROM enqueue_jobs(array_fill('flood'::text, ARRAY[1000]), 'mail');
SELECT count(*) FROM enqueue_jobs(ARRAY['quiet 1', 'quiet 2', 'quiet 2', 'quiet 3'], 'mail');
SELECT tenant_id, count(*) FROM claim_queued_jobs('w', 25) GROUP BY tenant_id ORDER BY tenant_id;
SELECT tenant_id, count(*) FROM claim_queued_jobs('w', 1000, 1000) GROUP BY tenant_id ORDER BY tenant_id;
SELECT count(*) FROM claim_queued_jobs('w');

-- Small calls serve the tenants in turn: any ten successive claims of one job serve ten tenants.
CALL pg_temp.empty(); CALL pg_temp.seed(10, 5);
CREATE TEMP TABLE turns (n integer GENERATED ALWAYS AS IDENTITY, tenant_id text);
DO $$ BEGIN FOR i IN 1..50 LOOP INSERT INTO turns (tenant_id) SELECT tenant_id FROM claim_queued_jobs('w', 1); END LOOP; END $$;
SELECT count(*) AS claims, count(DISTINCT tenant_id) AS tenants FROM turns;
SELECT min(served) AS least_tenants_of_ten_claims
  FROM (SELECT (SELECT count(DISTINCT b.tenant_id) FROM turns b WHERE b.n BETWEEN a.n - 9 AND a.n) AS served
          FROM turns a WHERE a.n >= 10) s;
-- A tenant that comes later has its turn within one round.
CALL pg_temp.empty(); CALL pg_temp.seed(5, 50);
DO $$ BEGIN FOR i IN 1..7 LOOP PERFORM claim_queued_jobs('w', 1); END LOOP; END $$;
SELECT enqueue_job('late', 'mail') > 0 AS enqueued;
DO $$ BEGIN FOR i IN 1..6 LOOP PERFORM claim_queued_jobs('w', 1); END LOOP; END $$;
SELECT status FROM job_queue WHERE tenant_id = 'late';

-- In a lane: priority (low first), then order of enqueue.
CALL pg_temp.empty();
SELECT enqueue_job('a', 'mail', to_jsonb(n), p) FROM (VALUES (1, 0), (2, 5), (3, -5), (4, 0), (5, -5), (6, 32767), (7, -32768)) v (n, p);
SELECT priority, id FROM claim_queued_jobs('w', 1);
SELECT priority, id FROM claim_queued_jobs('w', 3);
SELECT priority, id FROM claim_queued_jobs('w', 50);

-- The rows are those of job_queue, all with one new token.
CALL pg_temp.empty(); CALL pg_temp.seed(3, 3);
CREATE TEMP TABLE claimed AS SELECT * FROM claim_queued_jobs('worker-7', 5);
SELECT count(*), count(DISTINCT lock_token) AS tokens, bool_and(lock_token > 0) AS positive FROM claimed;
SELECT DISTINCT status, attempts, locked_by, locked_at = updated_at AS same_time, locked_at >= created_at AS after FROM claimed;
SELECT count(*) AS differing FROM (TABLE claimed EXCEPT SELECT * FROM job_queue) s;
SELECT count(*) AS not_returned FROM (SELECT * FROM job_queue WHERE status = 'locked' EXCEPT TABLE claimed) s;
SELECT worker_id, locked_at = heartbeat_at AS fresh, job_ids = (SELECT array_agg(id ORDER BY id) FROM claimed) AS its_jobs,
       lock_token = (SELECT DISTINCT lock_token FROM claimed) AS its_token
  FROM job_leases;
SELECT count(DISTINCT lock_token) AS another_token FROM claim_queued_jobs('worker-8') WHERE lock_token NOT IN (SELECT lock_token FROM claimed);
SELECT count(*) FROM job_leases;
SELECT count(*) AS nothing_left, count(*) FILTER (WHERE false) FROM claim_queued_jobs('worker-9');
SELECT count(*) AS no_empty_lease FROM job_leases;

-- Each job is claimed once, however it is called: in FROM, in the select list, as a field.
CALL pg_temp.empty(); CALL pg_temp.seed(2, 4);
SELECT count(claim_queued_jobs) FROM (SELECT claim_queued_jobs('w', 2)) s;
SELECT count((claim_queued_jobs('w', 2)).id) AS refused;
SELECT count(*) FROM (SELECT (c).id FROM (SELECT claim_queued_jobs('w', 2) AS c OFFSET 0) s) t;
SELECT id FROM claim_queued_jobs('w', 3) LIMIT 0;
SELECT count(*) AS locked, count(DISTINCT lock_token) AS tokens FROM job_live WHERE status = 'locked';

-- REPEATABLE READ and SERIALIZABLE are refused, with the way out.
CALL pg_temp.empty(); CALL pg_temp.seed(1, 3);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM claim_queued_jobs('w');
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT * FROM claim_queued_jobs('w');
ROLLBACK;
BEGIN READ ONLY;
\set VERBOSITY sqlstate
SELECT * FROM claim_queued_jobs('w');
\set VERBOSITY default
ROLLBACK;

-- Rolled back, also to a savepoint, a claim leaves no trace: not in the table, not in the leases, not in the counts.
CREATE TEMP TABLE before AS SELECT * FROM job_live;
SELECT get_queue_metrics() -> 'queue_stats' AS before;
BEGIN;
SAVEPOINT s;
SELECT count(*) FROM claim_queued_jobs('w', 2);
ROLLBACK TO s;
SELECT count(*) AS differing FROM (TABLE before EXCEPT TABLE job_live) s;
SELECT count(*) FROM job_leases;
SELECT id FROM claim_queued_jobs('w', 1);
SAVEPOINT t;
SELECT id FROM claim_queued_jobs('w', 1);
RELEASE t;
SAVEPOINT u;
SELECT id FROM claim_queued_jobs('w', 1);
ROLLBACK TO u;
COMMIT;
SELECT id, status, attempts FROM job_live ORDER BY id;
SELECT count(*) FROM job_leases;
SELECT get_queue_metrics() -> 'queue_stats' AS after;
BEGIN;
SELECT count(*) FROM claim_queued_jobs('w');
ROLLBACK;
SELECT id, status, attempts, locked_by FROM job_live ORDER BY id;
SELECT get_queue_metrics() -> 'queue_stats' AS after_rollback;

-- One call finds work behind many lanes that have nothing to give.
CALL pg_temp.empty(); CALL pg_temp.seed(15, 1);
SELECT count(*) FROM claim_queued_jobs('holder', 50);
SELECT enqueue_job('t99', 'mail');
SELECT tenant_id FROM claim_queued_jobs('w', 1);
-- Among more lanes than a call may visit, the next calls go on where it stopped.
CALL pg_temp.empty();
SELECT count(*) FROM enqueue_jobs(ARRAY(SELECT 'h' || lpad(i::text, 3, '0') FROM generate_series(1, 90) i), 'mail');
SELECT count(*) FROM claim_queued_jobs('holder', 100);
SELECT enqueue_job('last', 'mail');
DO $$ BEGIN FOR i IN 1..5 LOOP PERFORM claim_queued_jobs('w', 1); END LOOP; END $$;
SELECT status FROM job_queue WHERE tenant_id = 'last';
