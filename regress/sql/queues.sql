-- Queues: a job has one, a claim takes jobs of one. They need no registration. Fairness is between the tenants of one queue;
-- a tenant's limits hold over all its queues together.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
CREATE FUNCTION pg_temp.finish() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(c) FROM (SELECT lock_token, array_agg(id) AS ids FROM job_live WHERE status = 'locked' GROUP BY lock_token) s,
                         complete_jobs(s.ids, s.lock_token) c
$$;
CREATE FUNCTION pg_temp.claim(max_jobs int, queue text) RETURNS TABLE (of text, tenants text) LANGUAGE sql AS $$
    SELECT q.queue, string_agg(q.tenant_id, ',' ORDER BY q.tenant_id) FROM claim_queued_jobs('w', max_jobs, 25, claim.queue) q GROUP BY 1 ORDER BY 1
$$;

-- Every way in has a queue, and a default.
SELECT count(enqueue_job('a', 'mail')), count(enqueue_job('a', 'mail', queue => 'mail')), count(enqueue_job('b', 'mail', queue => 'Mail'));
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'b', 'c'], 'mail', queue => 'mail');
INSERT INTO job_queue (tenant_id, job_type, queue) VALUES ('d', 'mail', 'mail') RETURNING queue, tenant_id, status;
INSERT INTO job_queue (tenant_id, job_type) VALUES ('d', 'mail') RETURNING queue;
SELECT queue, tenant_id, count(*) FROM job_queue GROUP BY 1, 2 ORDER BY 1, 2;

-- A claim takes jobs of its queue alone, and names are compared byte by byte.
SELECT * FROM pg_temp.claim(10, 'default');
SELECT * FROM pg_temp.claim(10, 'Mail');
SELECT * FROM pg_temp.claim(10, 'MAIL');
SELECT count(*) FROM claim_queued_jobs('w', 2, queue => 'mail');
SELECT count(*) FROM claim_queued_jobs('w', 10, queue => 'mail');
SELECT pg_temp.finish();
SELECT queue, status, count(*) FROM job_history GROUP BY 1, 2 ORDER BY 1;

-- Names at their limits, and beyond. Bytes count: each of these letters has two.
SELECT count(enqueue_job('a', 'mail', queue => repeat('q', 63))), count(enqueue_job('a', 'mail', queue => 'q')),
       count(enqueue_job('a', 'mail', queue => repeat('ä', 31) || 'x'));
SELECT length(of), tenants FROM pg_temp.claim(10, repeat('q', 63));
SELECT length(of), tenants FROM pg_temp.claim(10, repeat('ä', 31) || 'x');
SELECT enqueue_job('a', 'mail', queue => repeat('ä', 32));
SELECT enqueue_job('a', 'mail', queue => '');
SELECT enqueue_job('a', 'mail', queue => NULL);
SELECT enqueue_jobs(ARRAY['a'], 'mail', queue => repeat('q', 64));
INSERT INTO job_queue (tenant_id, job_type, queue) VALUES ('d', 'mail', '');
SELECT claim_queued_jobs('w', queue => '');
SELECT claim_queued_jobs('w', queue => NULL);
SELECT complete_and_claim_jobs(NULL, NULL, 'w', queue => repeat('q', 64));
SELECT run_job_queue_cron(NULL);
SELECT run_job_queue_parallel(1, '');
CALL run_job_queue_ticks(1, '1 second', '1 second', '');
CALL wait_for_jobs('1 ms', ARRAY[]::text[]);
CALL wait_for_jobs('1 ms', ARRAY['a', NULL]);
CALL wait_for_jobs('1 ms', ARRAY['']);
CALL wait_for_jobs('1 ms', array_fill('q'::text, ARRAY[65]));
\set VERBOSITY terse
INSERT INTO job_live (queue, tenant_id, job_type, priority, run_at, max_attempts, timeout, created_at, payload, status, updated_at, position)
    VALUES (repeat('q', 64), 'a', 'mail', 0, now(), 1, '1 s', now(), '{}', 'queued', now(), 1);
\set VERBOSITY default
SELECT * FROM pg_temp.claim(10, 'q');
SELECT pg_temp.finish();

-- Shares are those of the queue's own tenants: a tenant's flood in another queue counts for nothing here.
SELECT count(*) FROM enqueue_jobs(array_fill('flood'::text, ARRAY[500]), 'mail', queue => 'other');
SELECT count(*) FROM enqueue_jobs(array_fill('flood'::text, ARRAY[50]) || array_fill('small'::text, ARRAY[50]), 'mail', queue => 'fair');
SELECT tenant_id, count(*) FROM claim_queued_jobs('w', 20, 25, 'fair') GROUP BY 1 ORDER BY 1;
SELECT pg_temp.finish();

-- Priorities order a tenant's lane of one queue.
SELECT count(enqueue_job('p', 'mail', '{"n": 2}', 5, queue => 'fair')), count(enqueue_job('p', 'mail', '{"n": 1}', -5, queue => 'fair')),
       count(enqueue_job('p', 'mail', '{"n": 3}', -9, queue => 'other'));
SELECT count(*) FROM claim_queued_jobs('w', 100, 48, 'fair') WHERE tenant_id <> 'p';
SELECT payload FROM job_live WHERE tenant_id = 'p' AND status = 'locked' AND priority < 0;
SELECT pg_temp.finish();

-- What comes back comes back to its queue: released, failed, reclaimed, parked behind a key, promoted, redriven, of a stage.
CREATE TABLE held AS SELECT id, lock_token FROM claim_queued_jobs('w', 3, 3, 'other');
SELECT release_jobs(array_agg(id), min(lock_token)) FROM held;
SELECT count(*) FROM claim_queued_jobs('w', 600, 600, 'other') WHERE id IN (SELECT id FROM held);
SELECT pg_temp.finish();
SELECT count(enqueue_job('k', 'mail', concurrency_key => 'one', queue => 'left')), count(enqueue_job('k', 'mail', concurrency_key => 'one', queue => 'right'));
SELECT * FROM pg_temp.claim(10, 'left');
SELECT * FROM pg_temp.claim(10, 'right'); -- the key is one, over all queues: this parks the job
SELECT queue, parked_position IS NOT NULL AS parked FROM job_live WHERE tenant_id = 'k' ORDER BY 1;
SELECT pg_temp.finish(); -- and this brings it back, to its own queue
SELECT * FROM pg_temp.claim(10, 'left');
SELECT * FROM pg_temp.claim(10, 'right');
SELECT fail_job(id, lock_token, 'no', false) FROM job_live WHERE tenant_id = 'k' AND status = 'locked';
SELECT redrive_dead_jobs('k');
SELECT * FROM pg_temp.claim(10, 'right');
UPDATE job_leases SET locked_at = locked_at - interval '1 hour', heartbeat_at = heartbeat_at - interval '1 hour';
SELECT reclaim_stuck_jobs();
SELECT * FROM pg_temp.claim(10, 'left');
SELECT * FROM pg_temp.claim(10, 'right');
SELECT pg_temp.finish();
SELECT create_pipeline_run('run', 'two stages') AS run \gset
SELECT count(enqueue_job('run', 'mail', run_id => :run, stage => 2, queue => 'left')), count(enqueue_job('run', 'mail', run_id => :run, stage => 2, queue => 'right')),
       count(enqueue_job('run', 'mail', run_id => :run, stage => 1));
SELECT * FROM pg_temp.claim(10, 'left');
SELECT * FROM pg_temp.claim(10, 'default');
SELECT pg_temp.finish();
SELECT * FROM pg_temp.claim(10, 'left');
SELECT * FROM pg_temp.claim(10, 'right');
SELECT pg_temp.finish();

-- A cap counts the jobs of all queues, and why_not_running says so; a pause and a rate hold in each of them.
SELECT set_tenant_limits('capped', max_concurrency => 2);
SELECT count(*) FROM enqueue_jobs(array_fill('capped'::text, ARRAY[3]), 'mail', queue => 'left');
SELECT enqueue_job('capped', 'mail', queue => 'right') AS waiting \gset
SELECT * FROM pg_temp.claim(10, 'left');
SELECT * FROM pg_temp.claim(10, 'right');
SELECT why_not_running(:waiting) - 'job_id';
SELECT count(c) FROM (SELECT id, lock_token FROM job_live WHERE tenant_id = 'capped' AND status = 'locked' LIMIT 1) s, complete_jobs(ARRAY[s.id], s.lock_token) c;
SELECT * FROM pg_temp.claim(10, 'right'); -- a job that ended in one queue makes room in the other
SELECT pg_temp.finish();
SELECT set_tenant_limits('capped', max_concurrency => 0, paused => true);
SELECT enqueue_job('capped', 'mail', queue => 'right') AS waiting \gset
SELECT * FROM pg_temp.claim(10, 'left');
SELECT * FROM pg_temp.claim(10, 'right');
SELECT why_not_running(:waiting) ->> 'reason';
SELECT set_tenant_limits('capped', paused => false); -- it comes back in all its queues
SELECT * FROM pg_temp.claim(10, 'left');
SELECT * FROM pg_temp.claim(10, 'right');
SELECT pg_temp.finish();
SELECT set_tenant_limits('capped', rate_per_second => 0.001, burst => 1);
SELECT count(enqueue_job('capped', 'mail', queue => 'left')), enqueue_job('capped', 'mail', queue => 'right') AS waiting \gset
SELECT * FROM pg_temp.claim(10, 'left');
SELECT * FROM pg_temp.claim(10, 'right');
SELECT why_not_running(:waiting) ->> 'reason';
SELECT pg_temp.finish();
SELECT set_tenant_limits('capped', max_pending => 2);
SELECT enqueue_job('capped', 'mail', queue => 'third');
SELECT enqueue_job('capped', 'mail', queue => 'fourth');
SELECT set_tenant_limits('capped', max_pending => 0, rate_per_second => 0);
SELECT * FROM pg_temp.claim(10, 'right');
SELECT * FROM pg_temp.claim(10, 'third');
SELECT pg_temp.finish();

-- A role that is bound to a tenant works for it in every queue.
CREATE ROLE regress_queues_bound;
SELECT grant_queue_access('regress_queues_bound', 'worker', 'mine'), grant_queue_access('regress_queues_bound', 'producer', 'mine'),
       grant_queue_access('regress_queues_bound', 'monitor', 'mine');
SELECT count(enqueue_job('theirs', 'mail', queue => 'left'));
SET ROLE regress_queues_bound;
SELECT count(enqueue_job('mine', 'mail', queue => q)) FROM unnest(ARRAY['left', 'right', 'default']) q;
SELECT count(enqueue_job('theirs', 'mail', queue => 'left'));
SELECT queue, tenant_id FROM claim_queued_jobs('w', queue => 'left');
SELECT queue, tenant_id FROM claim_queued_jobs('w', queue => 'left');
SELECT queue, status FROM my_jobs ORDER BY 1;
SELECT get_queue_metrics() -> 'queue_stats' ->> 'queued' AS queued, get_queue_metrics() -> 'queue_stats' ->> 'locked' AS locked;
RESET ROLE;
SELECT pg_temp.finish();

-- Metrics by queue; a tenant's row sums its queues.
SELECT jsonb_path_query_array(get_queue_metrics() -> 'queues', '$[*] ? (@.depth > 0)');
SELECT tenant_id, depth FROM tenant_metrics WHERE tenant_id IN ('mine', 'theirs') ORDER BY 1;

-- Load-test jobs go into the default queue, and are cleared in every queue; other jobs stay.
SELECT seed_load_test_jobs(4, 2);
SELECT count(*) FROM enqueue_jobs(array_fill('tenant-1'::text, ARRAY[3]), 'load_test', queue => 'left');
SELECT clear_load_test_data();
SELECT queue, count(*) FROM job_live GROUP BY 1 ORDER BY 1;

-- Hundreds of queues: each is found, and all are emptied.
SELECT count(*) FROM (SELECT enqueue_jobs(ARRAY['a', 'b'], 'mail', queue => 'queue ' || q) FROM generate_series(1, 300) q) s;
SELECT count(*), count(DISTINCT q.queue), count(DISTINCT q.tenant_id) FROM generate_series(1, 300) n, claim_queued_jobs('w', 1, 1, 'queue ' || n) q;
SELECT count(*), count(DISTINCT q.queue), count(DISTINCT q.tenant_id) FROM generate_series(1, 300) n, claim_queued_jobs('w', 9, 9, 'queue ' || n) q;
SELECT pg_temp.finish();
SELECT count(*) FROM job_live WHERE queue LIKE 'queue %';

DROP TABLE held;
SELECT revoke_queue_access('regress_queues_bound', c, 'mine') FROM unnest(ARRAY['worker', 'producer', 'monitor']) c;
DROP ROLE regress_queues_bound;
