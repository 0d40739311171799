-- Weighted shares, exact caps, rates, pauses, concurrency keys: what one session can see of them.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
\set VERBOSITY sqlstate

-- Tenants and how many jobs each got.
CREATE FUNCTION claimed(most integer, cap integer DEFAULT 1000000) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(tenant_id || ' ' || jobs, ', ' ORDER BY tenant_id)
      FROM (SELECT tenant_id, count(*) AS jobs FROM claim_queued_jobs('w', most, cap) GROUP BY 1) AS c
$$;
CREATE FUNCTION complete_all(tenant text) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM (SELECT complete_jobs(array_agg(id), lock_token) FROM job_live
                           WHERE status = 'locked' AND tenant_id = tenant GROUP BY lock_token) AS c
$$;

-- By weight within a call; what one cannot use goes to the others by weight; tenant_cap holds.
SELECT set_tenant_limits('b', weight => 2), set_tenant_limits('c', weight => 4);
SELECT count(*) FROM enqueue_jobs(ARRAY(SELECT (ARRAY['a', 'b', 'c'])[1 + n % 3] FROM generate_series(1, 3000) n), 'mail');
SELECT claimed(70);
SELECT claimed(70, 20);
SELECT set_tenant_limits('c', weight => 1);
SELECT claimed(40);
SELECT count(*) FROM enqueue_jobs(array_fill('d'::text, ARRAY[3]), 'mail');
SELECT claimed(43);

-- A cap is exact, acts on the backlog at once, and holds nobody else up; the last one alone gets all that it may.
SELECT set_tenant_limits('a', paused => true), set_tenant_limits('b', paused => true);
SELECT count(*) AS locked FROM job_live WHERE tenant_id = 'c' AND status = 'locked';
SELECT set_tenant_limits('c', max_concurrency => 100);
SELECT claimed(1000);
SELECT claimed(1000);
SELECT count(*) AS locked, count(running_since) AS counted FROM job_live WHERE tenant_id = 'c' AND status = 'locked';
SELECT cap_pending_since FROM tenant_limits WHERE tenant_id = 'c';
-- Lowered: nothing is killed, nothing more comes until there is room. Raised: at once.
SELECT set_tenant_limits('c', max_concurrency => 5);
SELECT claimed(1000);
SELECT complete_all('c');
SELECT claimed(1000);
SELECT claimed(1000);
SELECT set_tenant_limits('c', max_concurrency => 7);
SELECT claimed(1000);
-- A claim that is rolled back has freed its places again.
SELECT complete_all('c');
BEGIN;
SELECT claimed(1000);
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT claimed(1000);
ROLLBACK TO s;
SELECT claimed(1000);
SELECT claimed(1000);
ROLLBACK;
SELECT claimed(1000);
-- By the executor (a trigger of somebody's) it is the same.
SELECT complete_all('c');
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER nothing BEFORE UPDATE ON job_live FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT claimed(1000);
SELECT claimed(1000);
DROP TRIGGER nothing ON job_live;
-- Without the cap there is none.
SELECT set_tenant_limits('c', max_concurrency => 0);
SELECT claimed(10);

-- A rate: the burst, then nothing (one in a thousand seconds); others go on.
SELECT set_tenant_limits('c', rate_per_second => 0.001, burst => 4);
SELECT set_tenant_limits('a', paused => false);
SELECT claimed(10);
SELECT claimed(10);
BEGIN;
SELECT set_tenant_limits('c', burst => 6);
SELECT claimed(10);
ROLLBACK; -- also what it took of the rate
SELECT claimed(10);
SELECT set_tenant_limits('c', rate_per_second => 0);
SELECT claimed(10);

-- One job for each concurrency key; the others are parked, and hold up nobody.
SELECT set_tenant_limits('a', paused => true), set_tenant_limits('c', paused => true);
SELECT count(*) FROM enqueue_jobs(array_fill('k'::text, ARRAY[1500]), 'deploy', concurrency_keys => array_fill('prod'::text, ARRAY[1500]));
SELECT enqueue_job('k', 'deploy', concurrency_key => 'test') - min(id) AS behind FROM job_live WHERE tenant_id = 'k';
SELECT enqueue_job('k', 'mail') - min(id) AS behind FROM job_live WHERE tenant_id = 'k';
SELECT job_type, concurrency_key FROM claim_queued_jobs('w', 50) ORDER BY id;
SELECT job_type, concurrency_key FROM claim_queued_jobs('w', 50) ORDER BY id;
SELECT count(position) AS in_lane, count(parked_position) AS parked FROM job_live WHERE tenant_id = 'k' AND status = 'queued';
-- Free again however it ends; each time the next one in order.
CREATE FUNCTION next_deploy() RETURNS TABLE (nth bigint, attempts integer) LANGUAGE sql AS $$
    SELECT id - (SELECT min(id) FROM job_queue WHERE tenant_id = 'k'), c.attempts FROM claim_queued_jobs('w', 50) AS c
     WHERE concurrency_key = 'prod'
$$;
SELECT count(*) FROM (SELECT complete_jobs(ARRAY[id], lock_token) FROM job_live WHERE held_key = 'prod') AS c;
SELECT * FROM next_deploy();
SELECT * FROM next_deploy();
SELECT fail_job(id, lock_token, 'no') FROM job_live WHERE held_key = 'prod';
SELECT * FROM next_deploy();
SELECT fail_job(id, lock_token, 'no', false) FROM job_live WHERE held_key = 'prod';
SELECT * FROM next_deploy();
SELECT release_jobs(ARRAY[id], lock_token) FROM job_live WHERE held_key = 'prod';
SELECT * FROM next_deploy();
SELECT release_jobs(ARRAY[id], lock_token, now() + interval '1 day') FROM job_live WHERE held_key = 'prod';
SELECT * FROM next_deploy();
SELECT cancel_job(id) FROM job_live WHERE held_key = 'prod';
SELECT * FROM next_deploy();
UPDATE job_leases SET locked_at = now() - interval '1 day', heartbeat_at = now() - interval '1 day';
SELECT reclaim_stuck_jobs() > 0 AS reclaimed;
SELECT count(*) AS deploys FROM next_deploy();
SELECT count(*) AS held FROM job_live WHERE held_key = 'prod';
-- The index is the proof.
INSERT INTO job_live (tenant_id, job_type, status, priority, payload, run_at, max_attempts, timeout, concurrency_key, held_key,
                      lock_token, created_at, updated_at, position)
SELECT tenant_id, job_type, 'locked', 0, '{}', now(), 5, '1 minute', 'prod', 'prod', 1, now(), now(), 1
  FROM job_live WHERE held_key = 'prod'; -- 23505
SELECT count(*) AS held FROM job_live WHERE held_key = 'prod';
-- A type that is paused is parked as well, whoever stands behind it is not.
SELECT set_tenant_limits('k', paused => true);
SELECT pause_job_type('slow'), pause_job_type('slow') AS again;
SELECT count(*) FROM enqueue_jobs(array_fill('t'::text, ARRAY[1200]), 'slow');
SELECT count(*) FROM enqueue_jobs(array_fill('t'::text, ARRAY[2]), 'mail');
SELECT claimed(10);
SELECT claimed(10);
SELECT resume_job_type('slow'), resume_job_type('slow') AS again;
SELECT claimed(10);
DROP FUNCTION claimed, complete_all, next_deploy, nothing;
