-- Pipeline runs: stages in order, in bounded steps; what fails a run; what is refused.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
-- What the kept counts say less what the tables say: whatever a TRUNCATE made of it stays the same.
CREATE TEMP VIEW drift AS
    SELECT jsonb_object_agg(u.status, (get_queue_metrics() -> 'queue_stats' ->> u.status::text)::bigint
                                      - (SELECT count(*) FROM job_queue q WHERE q.status = u.status)) AS drift
      FROM unnest(enum_range(NULL::job_status)) AS u (status);
SELECT drift FROM drift \gset

CREATE TEMP VIEW jobs AS SELECT id, stage, status, last_error FROM job_queue ORDER BY id;
CREATE TEMP VIEW runs AS
    SELECT id, status, stage, last_error, started_at >= created_at AS started, finished_at >= coalesce(started_at, created_at) AS finished,
           advanced_at IS NOT NULL AS to_do
      FROM pipeline_runs ORDER BY id;
-- Claims and completes whatever can be claimed, and says of which stages.
CREATE FUNCTION pg_temp.work(most integer DEFAULT 10000) RETURNS TABLE (stage integer, jobs bigint) LANGUAGE plpgsql AS $$
DECLARE
    held job_queue[] := ARRAY(SELECT j FROM claim_queued_jobs('w', most, most) j);
BEGIN
    PERFORM complete_jobs(ARRAY(SELECT h.id FROM unnest(held) h), held[1].lock_token) WHERE cardinality(held) > 0;
    RETURN QUERY SELECT h.stage, count(*) FROM unnest(held) h GROUP BY 1 ORDER BY 1;
END
$$;

-- Three stages, the latest first; each begins with the last completion of the one before.
SELECT create_pipeline_run('acme', 'nightly') AS run \gset
SELECT * FROM runs;
SELECT name, tenant_id, created_at BETWEEN now() - interval '1 minute' AND now() AS now FROM pipeline_runs;
SELECT enqueue_job('acme', 'report', run_id => :run, stage => 3);
SELECT enqueue_jobs(ARRAY['acme', 'acme'], 'transform', run_id => :run, stage => 2);
SELECT enqueue_jobs(ARRAY['acme', 'acme'], 'extract', run_id => :run); -- stage 1
SELECT * FROM jobs;
SELECT id, position, due_at FROM job_live WHERE status = 'blocked' AND (position IS NOT NULL OR due_at IS NOT NULL);
SELECT * FROM runs;
SELECT max(lock_token) AS token FROM claim_queued_jobs('w', 1) \gset
SELECT * FROM runs;
SELECT started_at AS first_claim FROM pipeline_runs \gset
SELECT complete_jobs(ARRAY[4], :token);
SELECT * FROM jobs;
SELECT id AS claimed FROM claim_queued_jobs('w');
-- A failure with a retry ends nothing: the stage waits for its job.
SELECT fail_job(5, lock_token, 'no') FROM job_live WHERE id = 5;
UPDATE job_live SET due_at = now() + interval '1 hour' WHERE id = 5;
SELECT id, stage, status FROM jobs WHERE status IN ('scheduled', 'blocked');
SELECT * FROM pg_temp.work();
UPDATE job_live SET due_at = now() WHERE id = 5;
SELECT * FROM pg_temp.work();
SELECT * FROM jobs;
SELECT * FROM runs;
SELECT * FROM pg_temp.work();
SELECT * FROM pg_temp.work();
SELECT * FROM pg_temp.work();
SELECT * FROM runs;
SELECT started_at = :'first_claim' AS started_once FROM pipeline_runs;
SELECT id, stage, status, attempts FROM job_queue ORDER BY id;

-- What a stage that has passed is told, and a run that is not there, or not this tenant's.
SELECT create_pipeline_run('acme', 'refused') AS run \gset
SELECT enqueue_job('acme', 'j', run_id => :run, stage => 2), enqueue_job('acme', 'j', run_id => :run, idempotency_key => 'k1');
SELECT * FROM pg_temp.work();
SELECT enqueue_job('acme', 'j', run_id => :run);
SELECT enqueue_job('acme', 'j', run_id => 1, stage => 4);
SELECT enqueue_job('acme', 'j', run_id => 4711);
SELECT enqueue_job('other', 'j', run_id => :run, stage => 2);
SELECT enqueue_jobs(ARRAY['acme', 'other'], 'j', run_id => :run, stage => 2);
INSERT INTO job_queue (tenant_id, job_type, run_id, stage) VALUES ('acme', 'j', :run, 1);
INSERT INTO job_queue (tenant_id, job_type, run_id, stage) VALUES ('acme', 'j', :run, 3) RETURNING id, status;
SELECT enqueue_job('acme', 'j', stage => 1);
\set VERBOSITY sqlstate
SELECT enqueue_job('acme', 'j', run_id => 0);
SELECT enqueue_job('acme', 'j', run_id => -1);
SELECT enqueue_job('acme', 'j', run_id => :run, stage => 0);
SELECT enqueue_job('acme', 'j', run_id => :run, stage => -1);
SELECT enqueue_job('acme', 'j', run_id => :run, stage => 10001);
SELECT create_pipeline_run(NULL, 'n');
SELECT create_pipeline_run('', 'n');
SELECT create_pipeline_run(repeat('x', 256), 'n');
SELECT create_pipeline_run('t', NULL);
SELECT create_pipeline_run('t', '');
SELECT create_pipeline_run('t', repeat('x', 256));
\set VERBOSITY default
-- A producer that tries again gets the ids of what it enqueued, whatever has become of the run.
SELECT enqueue_job('acme', 'j', run_id => :run, idempotency_key => 'k1') AS known;
SELECT enqueue_jobs(ARRAY['acme', 'acme'], 'j', run_id => :run, idempotency_keys => ARRAY['k1', 'k1']) AS known;
SELECT enqueue_jobs(ARRAY['acme', 'acme'], 'j', run_id => :run, idempotency_keys => ARRAY['k1', 'k2']) AS one_is_new;
SELECT count(*) FROM job_keys WHERE idempotency_key = 'k2';
SELECT * FROM jobs WHERE id > 5;
SELECT * FROM pg_temp.work();
SELECT * FROM pg_temp.work();
SELECT * FROM runs WHERE id = :run;

-- Stage numbers without jobs are skipped, up to the highest stage there is; priority and time go with a job into the lane.
SELECT drift = :'drift' AS counts_are_right FROM drift;
TRUNCATE job_live, job_history, job_leases, job_keys, pipeline_runs RESTART IDENTITY;
SELECT drift FROM drift \gset
SELECT create_pipeline_run('acme', 'gaps') AS run \gset
SELECT enqueue_job('acme', 'j', run_id => :run, stage => 10000);
SELECT enqueue_jobs(array_fill('acme'::text, ARRAY[2]), 'j', run_id => :run, stage => 7);
SELECT enqueue_job('acme', 'j', priority => -1, run_id => :run, stage => 7),
       enqueue_job('acme', 'j', run_id => :run, stage => 7, run_at => now() + interval '1 hour'),
       enqueue_job('acme', 'j', run_id => :run, stage => 1);
SELECT * FROM jobs;
SELECT * FROM pg_temp.work(1);
SELECT * FROM runs;
SELECT id, status, priority, position - min(position) OVER () AS place, due_at = run_at AS due FROM job_live ORDER BY id;
SELECT enqueue_job('acme', 'j', run_id => :run, stage => 7); -- the current one
SELECT array_agg(id) AS in_order FROM claim_queued_jobs('w');
SELECT count(complete_jobs) FROM (SELECT complete_jobs(array_agg(id), lock_token) FROM job_live WHERE status = 'locked' GROUP BY lock_token) s;
SELECT * FROM jobs WHERE status <> 'completed';
UPDATE job_live SET due_at = now() WHERE status = 'scheduled';
SELECT * FROM pg_temp.work();
SELECT * FROM pg_temp.work();
SELECT * FROM runs;
-- Two runs in one call, and a job of none.
SELECT create_pipeline_run('acme', 'one') AS run1, create_pipeline_run('acme', 'two') AS run2 \gset
SELECT enqueue_job('acme', 'j', run_id => :run2, stage => 2), enqueue_job('acme', 'j', run_id => :run2),
       enqueue_job('acme', 'j', run_id => :run1), enqueue_job('acme', 'j');
SELECT * FROM pg_temp.work();
SELECT * FROM runs WHERE id IN (:run1, :run2);

-- Bounded steps: 2,500 jobs of a stage, 1,000 with the completion, the rest with claims, by priority and id.
SELECT drift = :'drift' AS counts_are_right FROM drift;
TRUNCATE job_live, job_history, job_leases, job_keys, pipeline_runs RESTART IDENTITY;
SELECT drift FROM drift \gset
SELECT create_pipeline_run('acme', 'wide') AS run \gset
SELECT count(*) FROM enqueue_jobs(array_fill('acme'::text, ARRAY[1500]), 'j', priority => 5, run_id => :run, stage => 2);
SELECT count(*) FROM enqueue_jobs(array_fill('acme'::text, ARRAY[1000]), 'j', priority => 1, run_id => :run, stage => 2);
SELECT enqueue_job('acme', 'j', run_id => :run, stage => 3), enqueue_job('acme', 'j', run_id => :run);
CREATE TEMP VIEW progress AS SELECT stage, status, priority, count(*), min(id), max(id) FROM job_live GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT * FROM pg_temp.work(1);
SELECT * FROM progress;
SELECT count(*) AS out_of_order
  FROM (SELECT id, lag(id) OVER (ORDER BY position) AS before FROM job_live WHERE status = 'queued') s WHERE before > id;
SELECT * FROM runs;
-- A claim that gets fewer than it asked for goes on, also when what there is completes meanwhile.
SELECT * FROM pg_temp.work();
SELECT * FROM progress;
SELECT * FROM runs;
SELECT * FROM pg_temp.work();
SELECT * FROM progress;
SELECT * FROM runs;
SELECT * FROM pg_temp.work();
SELECT * FROM pg_temp.work();
SELECT * FROM runs;

-- Two at a time take turns.
TRUNCATE job_live, job_history, job_leases, job_keys, pipeline_runs RESTART IDENTITY;
SELECT drift FROM drift \gset
SELECT create_pipeline_run('acme', 'wide ' || n) FROM generate_series(1, 2) n;
SELECT count(enqueue_jobs(array_fill('acme'::text, ARRAY[2500]), 'j', run_id => n, stage => 2)) FROM generate_series(1, 2) n;
SELECT enqueue_job('acme', 'j', run_id => n) FROM generate_series(1, 2) n;
SELECT * FROM pg_temp.work(2);
CREATE TEMP VIEW left_by_run AS SELECT run_id, count(*) FROM job_live WHERE status = 'blocked' GROUP BY 1 ORDER BY 1;
SELECT * FROM left_by_run;
SELECT count(*) FROM claim_queued_jobs('w', 10000, 10000);
SELECT * FROM left_by_run;
SELECT count(*) FROM claim_queued_jobs('w', 10000, 10000);
SELECT * FROM left_by_run;

-- Dead: the run fails, its blocked jobs are cancelled in steps, the others of the stage go on.
SELECT drift = :'drift' AS counts_are_right FROM drift;
TRUNCATE job_live, job_history, job_leases, job_keys, pipeline_runs RESTART IDENTITY;
SELECT drift FROM drift \gset
SELECT create_pipeline_run('acme', 'dead') AS run \gset
SELECT count(*) FROM enqueue_jobs(array_fill('acme'::text, ARRAY[1700]), 'j', run_id => :run, stage => 3);
SELECT count(*) FROM enqueue_jobs(array_fill('acme'::text, ARRAY[500]), 'j', run_id => :run, stage => 2);
SELECT enqueue_jobs(array_fill('acme'::text, ARRAY[3]), 'j', run_id => :run, max_attempts => 2);
SELECT max(lock_token) AS token FROM claim_queued_jobs('w', 2) \gset
SELECT fail_job(2201, :token, 'once');
UPDATE job_live SET due_at = now() + interval '1 day' WHERE id = 2201; -- its back-off is drawn at random
SELECT * FROM runs;
SELECT fail_job(2202, :token, 'no', retry => false);
SELECT * FROM runs;
SELECT stage, status, last_error, count(*) FROM job_queue GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT enqueue_job('acme', 'j', run_id => :run, stage => 3);
SELECT * FROM pg_temp.work();
SELECT stage, status, count(*) FROM job_queue GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM pg_temp.work();
SELECT stage, status, count(*) FROM job_queue GROUP BY 1, 2 ORDER BY 1, 2;
-- A redriven job runs again, also to its next death; the run stays failed.
SELECT redrive_dead_jobs();
SELECT * FROM pg_temp.work();
UPDATE job_live SET due_at = now() WHERE status = 'scheduled';
SELECT fail_job(id, lock_token, 'twice') FROM claim_queued_jobs('w');
SELECT stage, status, count(*) FROM job_queue GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM runs;

-- While a wide stage is being promoted its blocked jobs belong to it: it does not pass, and they are cancelled with the rest.
SELECT create_pipeline_run('acme', 'failed while promoting') AS run \gset
SELECT count(*) FROM enqueue_jobs(array_fill('acme'::text, ARRAY[1500]), 'j', run_id => :run, stage => 2);
SELECT enqueue_job('acme', 'j', run_id => :run, stage => 3) > 0 AS later, enqueue_job('acme', 'j', run_id => :run) > 0 AS first;
SELECT * FROM pg_temp.work(1);
SELECT cancel_job(min(id)) FROM job_live WHERE run_id = :run AND status = 'queued';
SELECT stage, status, count(*) FROM job_queue WHERE run_id = :run GROUP BY 1, 2 ORDER BY 1, 2;
SELECT jobs > 0 AS some FROM pg_temp.work();
SELECT id = :run AS this, status, stage, finished, to_do FROM runs WHERE id = :run;

-- Cancelled: a queued one, a scheduled one, a running one, a blocked one; of a run that is not yet running.
SELECT drift = :'drift' AS counts_are_right FROM drift;
TRUNCATE job_live, job_history, job_leases, job_keys, pipeline_runs RESTART IDENTITY;
SELECT drift FROM drift \gset
SELECT create_pipeline_run('acme', 'run ' || n) FROM generate_series(1, 4) n;
SELECT enqueue_job('acme', 'j', run_id => n, run_at => CASE n WHEN 2 THEN now() + interval '1 hour' END) FROM generate_series(1, 4) n;
SELECT enqueue_jobs(ARRAY['acme', 'acme'], 'j', run_id => 4, stage => 2);
SELECT enqueue_job('acme', 'j', run_id => n, stage => 2) FROM generate_series(1, 3) n;
SELECT cancel_job(1) AS queued, cancel_job(2) AS scheduled;
SELECT id AS locked FROM claim_queued_jobs('w', 1);
SELECT cancel_job(3) AS locked, cancel_job(5) AS blocked;
SELECT cancel_job(6) AS gone_with_the_run;
SELECT id, run_id, stage, status, last_error FROM job_queue ORDER BY run_id, id;
SELECT * FROM runs;
SELECT * FROM pg_temp.work();
SELECT * FROM runs;

-- Out of attempts with its worker: reclaimed to dead.
SELECT create_pipeline_run('acme', 'reclaimed') AS run \gset
SELECT enqueue_job('acme', 'j', run_id => :run, stage => 2) > 0 AS later, enqueue_job('acme', 'j', run_id => :run) > 0 AS again,
       (SELECT count(*) FROM enqueue_jobs(ARRAY['acme', 'acme'], 'j', run_id => :run, max_attempts => 1)) AS once;
SELECT count(*) FROM claim_queued_jobs('w');
UPDATE job_leases SET locked_at = now() - interval '1 hour', heartbeat_at = now() - interval '1 hour';
SELECT reclaim_stuck_jobs();
SELECT id, stage, status, last_error FROM job_queue WHERE run_id = :run ORDER BY id;
SELECT id = :run AS this, status, stage, last_error, started, finished, to_do FROM runs WHERE id = :run;

-- By a tick: a stage and the next.
SELECT pg_temp.work();
SELECT create_pipeline_run('acme', 'ticks') AS run \gset
SELECT count(enqueue_job('acme', 'load_test', '{"work_ms": 0}', run_id => :run, stage => s)) FROM generate_series(3, 1, -1) s, generate_series(1, 3);
SELECT run_job_queue_parallel(2) -> 'completed' AS completed FROM generate_series(1, 4);
SELECT id = :run AS this, status, stage, last_error, started, finished, to_do FROM runs WHERE id = :run;
SELECT stage, status, count(*) FROM job_queue WHERE run_id = :run GROUP BY 1, 2 ORDER BY 1, 2;

-- A job says nothing of runs that it is not in, and what went past the functions does no harm.
SELECT create_pipeline_run('acme', 'deleted') AS run \gset
SELECT enqueue_job('acme', 'j', run_id => :run) > 0 AS enqueued, enqueue_job('acme', 'j', run_id => :run, max_attempts => 1) > 0 AS enqueued;
DELETE FROM pipeline_runs WHERE id = :run;
SELECT * FROM pg_temp.work(1);
SELECT count(*) FROM claim_queued_jobs('w');
UPDATE job_leases SET locked_at = now() - interval '1 hour', heartbeat_at = now() - interval '1 hour';
SELECT reclaim_stuck_jobs();

SELECT drift = :'drift' AS counts_are_right FROM drift;

SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
