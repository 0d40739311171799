-- complete_and_claim_jobs: what complete_jobs and then claim_queued_jobs do, in one call.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

CREATE TEMP VIEW jobs AS SELECT id, tenant_id AS tenant, status, locked_by AS worker FROM job_queue ORDER BY id;
-- Tokens are random: one that a test can print.
CREATE PROCEDURE pg_temp.set_token(token bigint) LANGUAGE sql AS $$
    UPDATE job_live SET lock_token = token WHERE lock_token IS NOT NULL;
    UPDATE job_leases SET lock_token = token;
$$;

-- A worker's life: nothing to complete at first, then batch after batch, then nothing left to claim.
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'a', 'a', 'b', 'b'], 'mail');
SELECT count(*), max(lock_token) AS token, array_agg(id) AS ids FROM complete_and_claim_jobs(NULL, NULL, 'w', 2) \gset
SELECT count(*) FROM jobs WHERE status = 'locked' AND worker = 'w';
SELECT count(*), count(DISTINCT tenant_id) AS tenants, max(lock_token) <> :token AS other_token, bool_and(attempts = 1 AND status = 'locked') AS locked,
       max(lock_token) AS token, array_agg(id) AS ids
  FROM complete_and_claim_jobs(:'ids', :token, max_jobs => 2, worker_id => 'w') \gset two_
SELECT :two_count AS jobs, :two_tenants AS tenants, :'two_other_token' AS other_token, :'two_locked' AS locked;
SELECT status, count(*) FROM jobs GROUP BY 1 ORDER BY 1;
SELECT count(*), min(lock_token) = :two_token AS of_the_second FROM job_leases;
SELECT count(*), max(lock_token) AS token, array_agg(id) AS ids FROM complete_and_claim_jobs(:'two_ids', :two_token, 'w') \gset three_
SELECT :three_count AS jobs;
SELECT count(*) AS nothing_left FROM complete_and_claim_jobs(:'three_ids', :three_token, 'w');
SELECT status, count(*) FROM jobs GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM job_leases;
SELECT get_queue_metrics() -> 'queue_stats' AS counted;
-- Nothing done, with and without a token.
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'a', 'a'], 'mail');
SELECT count(*) FROM complete_and_claim_jobs('{}', NULL, 'w', 1);
SELECT count(*) FROM complete_and_claim_jobs('{}', 42, 'w', 1);
SELECT count(*) FROM complete_and_claim_jobs(NULL, 42, 'w', 1, 1);

-- Those that are not accepted are told, each once; the others are completed, and the claim goes on.
TRUNCATE job_live, job_history, job_leases RESTART IDENTITY;
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[6]), 'mail');
SELECT count(*) FROM claim_queued_jobs('w', 4);
CALL pg_temp.set_token(42);
SELECT cancel_job(2);
SELECT id FROM complete_and_claim_jobs(ARRAY[4711, 3, 2, 1, 2, 6, 1], 42, 'w', 1);
SELECT * FROM jobs;
\set VERBOSITY sqlstate
SELECT count(*) FROM complete_and_claim_jobs(ARRAY[4], 41, 'w', 1);
\set VERBOSITY default
SELECT * FROM jobs WHERE id > 3;
-- An error takes all of it back.
\set VERBOSITY sqlstate
SELECT complete_and_claim_jobs(ARRAY[4], 42, 'w', 0);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT complete_and_claim_jobs(ARRAY[4], 42, 'w');
ROLLBACK;
\set VERBOSITY default
SELECT * FROM jobs WHERE id = 4;

-- What the completed jobs held is free for the claim of the same call: the tenant's cap ...
TRUNCATE job_live, job_history, job_leases RESTART IDENTITY;
SELECT set_tenant_limits('capped', max_concurrency => 1, max_pending => 100);
SELECT count(*) FROM enqueue_jobs(array_fill('capped'::text, ARRAY[4]), 'mail');
SELECT id FROM claim_queued_jobs('w');
CALL pg_temp.set_token(42);
SELECT id FROM claim_queued_jobs('other');
SELECT id FROM complete_and_claim_jobs(ARRAY[1], 42, 'w');
CALL pg_temp.set_token(43);
-- (not by a job that somebody else holds)
SELECT id FROM complete_and_claim_jobs(ARRAY[2], 42, 'w');
SELECT id FROM complete_and_claim_jobs(ARRAY[2], 43, 'w');
SELECT sum(change) AS waiting FROM tenant_pending WHERE tenant_id = 'capped';
-- ... also several times in one transaction, and not beyond it ...
BEGIN;
CALL pg_temp.set_token(44);
SELECT id FROM complete_and_claim_jobs(ARRAY[3], 44, 'w');
CALL pg_temp.set_token(45);
SELECT id FROM complete_and_claim_jobs(ARRAY[4], 45, 'w');
ROLLBACK;
SELECT * FROM jobs WHERE status <> 'completed';
-- ... its concurrency key ...
TRUNCATE job_live, job_history, job_leases RESTART IDENTITY;
SELECT count(*) FROM enqueue_jobs(array_fill('keyed'::text, ARRAY[3]), 'deploy', concurrency_keys => array_fill('production'::text, ARRAY[3]));
SELECT id FROM claim_queued_jobs('w');
SELECT count(*) AS parked FROM job_live WHERE parked_position IS NOT NULL;
CALL pg_temp.set_token(42);
SELECT id FROM complete_and_claim_jobs(ARRAY[1], 42, 'w');
CALL pg_temp.set_token(43);
SELECT id FROM complete_and_claim_jobs(ARRAY[2], 43, 'w', 1);
SELECT * FROM jobs;
-- ... and the next stage of its run.
TRUNCATE job_live, job_history, job_leases RESTART IDENTITY;
SELECT create_pipeline_run('staged', 'nightly') AS run \gset
SELECT count(enqueue_job('staged', 'step', run_id => :run, stage => n)) FROM generate_series(1, 3) AS n;
SELECT stage FROM claim_queued_jobs('w');
CALL pg_temp.set_token(42);
SELECT stage FROM complete_and_claim_jobs(ARRAY[1], 42, 'w');
CALL pg_temp.set_token(43);
SELECT stage FROM complete_and_claim_jobs(ARRAY[2], 43, 'w');
CALL pg_temp.set_token(44);
SELECT stage FROM complete_and_claim_jobs(ARRAY[3], 44, 'w');
SELECT status, stage FROM pipeline_runs;
