-- Tenants next to each other: one that is full, one that is empty, one whose jobs are not due, one out of its rate, one
-- alone, one whose flood comes as many types and keys. None costs another its turn.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

-- Tenants and how many jobs each got.
CREATE FUNCTION claimed(most integer, cap integer DEFAULT 1000000) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(tenant_id || ' ' || jobs, ', ' ORDER BY tenant_id)
      FROM (SELECT tenant_id, count(*) AS jobs FROM claim_queued_jobs('w', most, cap) GROUP BY 1) AS c
$$;
-- The same, one job a call: who goes first among equals is nobody's business.
CREATE FUNCTION singly(calls integer) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(tenant_id || ' ' || jobs, ', ' ORDER BY tenant_id)
      FROM (SELECT tenant_id, count(*) AS jobs FROM generate_series(1, calls) AS n, claim_queued_jobs('w', n - n + 1) GROUP BY 1) AS c
$$;
CREATE FUNCTION complete_all() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM (SELECT complete_jobs(array_agg(id), lock_token) FROM job_live WHERE status = 'locked' GROUP BY lock_token) AS c
$$;
CREATE FUNCTION enqueued(tenant text, jobs integer, type text DEFAULT 'mail', due timestamptz DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM enqueue_jobs(array_fill(tenant, ARRAY[jobs]), type, run_at => due)
$$;

-- A tenant at its cap, with a backlog, next to one that is empty: nothing comes, at each claim; and what is enqueued for
-- either of the two others is claimed by the very next one, of whatever size.
SELECT set_tenant_limits('full', max_concurrency => 2);
SELECT enqueued('full', 500);
SELECT claimed(1), claimed(10), claimed(1), claimed(50);
SELECT enqueued('empty', 1);
SELECT claimed(1), claimed(1), claimed(1);
SELECT enqueued('after', 1), enqueued('zero', 1);
SELECT singly(2), claimed(1);
-- Room for one: it is taken once, next to others that want all there is.
SELECT enqueued('empty', 100);
SELECT count(*) FROM (SELECT complete_jobs(ARRAY[id], lock_token) FROM (SELECT id, lock_token FROM job_live WHERE tenant_id = 'full' AND status = 'locked' ORDER BY id LIMIT 1) AS j) AS c;
SELECT claimed(10), claimed(10);
SELECT complete_all();

-- Alone, it gets all that it asks for, at any size and though others have a larger weight: the claim is full.
SELECT claimed(80), claimed(1), claimed(1), claimed(1);
SELECT set_tenant_limits('full', paused => true), set_tenant_limits('absent', weight => 1000);
SELECT enqueued('alone', 3000);
SELECT claimed(1), claimed(7), claimed(1000), claimed(1);
-- But never more than tenant_cap.
SELECT claimed(1000, 25), claimed(1000, 1);
SELECT claimed(10000);

-- Only future jobs: never claimed, no turn taken, by however many tenants; due, they are claimed at once.
SELECT sum(enqueued('future ' || n, 20, 'mail', now() + interval '1 day')) FROM generate_series(1, 200) AS n;
SELECT claimed(1), claimed(100);
SELECT enqueued('present', 3);
SELECT singly(3), claimed(1);
UPDATE job_live SET due_at = now() - interval '1 second', run_at = now() - interval '1 second' WHERE tenant_id = 'future 200';
SELECT claimed(5), claimed(5), claimed(50);
SELECT count(DISTINCT tenant_id) AS tenants, count(*) AS jobs FROM job_live WHERE status = 'scheduled';

-- Out of its rate, at the head of all tenants by its name, its age and its weight: the others get every job of each claim.
SELECT set_tenant_limits('! first', weight => 1000, rate_per_second => 0.0001, burst => 3);
SELECT enqueued('! first', 300), enqueued('second', 30), enqueued('third', 30);
SELECT claimed(11);
SELECT singly(8), claimed(8);
SELECT claimed(100), claimed(100);

-- A flood as 300 job types and 100 keys, as priorities and as one call: its tenant is one tenant, and others with a single
-- plain type get as much.
SELECT count(*) FROM (SELECT enqueue_jobs(array_fill('flood'::text, ARRAY[10]), 'type ' || n, priority => -n,
                                          concurrency_keys => array_fill('key ' || n % 100, ARRAY[10])) FROM generate_series(1, 300) AS n) AS e;
SELECT enqueued('meek', 30), enqueued('mild', 30);
SELECT claimed(30);
SELECT singly(3), singly(3), singly(24);
-- Its keys hold nevertheless: one job of each, then no more of it until one is done. And what a claim has to park for it,
-- though it be all that one claim may, keeps nothing from the others.
SELECT claimed(1000), claimed(1000);
SELECT count(*) AS locked, count(DISTINCT held_key) AS keys FROM job_live WHERE tenant_id = 'flood' AND status = 'locked';
DROP FUNCTION claimed, singly, complete_all, enqueued;
