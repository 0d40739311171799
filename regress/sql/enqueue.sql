-- Enqueue: one job, many jobs, INSERT INTO job_queue; idempotency keys; what the view refuses.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

-- Every argument by position, by name, and the defaults.
SELECT enqueue_job('acme', 'mail', '{"to": "x"}', -5, '2000-01-01 00:00+00', 'key-1', 'lock-1', 3, '10 seconds');
SELECT enqueue_job(timeout => '10 seconds', max_attempts => 3, idempotency_key => 'key-2', run_at => '2000-01-01 00:00+00',
                   priority => 32767, payload => '[1, null]', job_type => 'mail', tenant_id => 'acme');
SELECT enqueue_job('acme', 'mail');
SELECT id, tenant_id, job_type, status, priority, payload, attempts, max_attempts AS most, timeout, idempotency_key AS key
  FROM job_queue ORDER BY id;
SELECT id, run_at = '2000-01-01 00:00+00' AS as_given, run_at = created_at AS now, updated_at = created_at AS untouched,
       locked_by, locked_at, lock_token, last_error FROM job_queue ORDER BY id;

-- A time to come: scheduled, and out of the lane until then. NULL is now.
SELECT enqueue_job('acme', 'later', run_at => now() + interval '1 hour');
SELECT enqueue_job('acme', 'now', run_at => NULL);
SELECT id, status, position, due_at = run_at AS due FROM job_live WHERE job_type IN ('later', 'now') ORDER BY id;
SELECT id FROM claim_queued_jobs('w') ORDER BY id;

-- Limits of names: 255 bytes, not characters.
SELECT enqueue_job(repeat('t', 255), repeat('j', 255), idempotency_key => repeat('k', 255));
SELECT enqueue_job(repeat('é', 127) || 't', repeat('é', 127) || 'j', idempotency_key => repeat('é', 127) || 'k');
SELECT id, octet_length(tenant_id), octet_length(job_type), octet_length(idempotency_key) FROM job_queue WHERE id IN (6, 7) ORDER BY id;

-- Idempotent: for a tenant, whatever the rest of the call says, wherever its job is.
SELECT enqueue_job('acme', 'other', '{"n": 2}', idempotency_key => 'key-1') AS known;
SELECT enqueue_job('other tenant', 'mail', idempotency_key => 'key-1') AS own;
SELECT cancel_job(2);
SELECT enqueue_job('acme', 'mail', idempotency_key => 'key-2') AS of_a_cancelled_job;
SELECT complete_jobs(ARRAY[1], lock_token) FROM job_live WHERE id = 1;
SELECT enqueue_job('acme', 'mail', idempotency_key => 'key-1') AS of_a_completed_job;
SELECT count(*) FROM job_queue WHERE idempotency_key = 'key-1';
DO $$ BEGIN PERFORM enqueue_job('acme', 'mail', idempotency_key => 'undone'); RAISE 'undo'; EXCEPTION WHEN OTHERS THEN END $$;
SELECT count(*) FROM job_keys WHERE idempotency_key = 'undone';

-- In bulk: ids in the order of the tenants.
TRUNCATE job_live, job_history, job_keys, job_leases RESTART IDENTITY;
SELECT enqueue_jobs(ARRAY['b', 'a', 'b'], 'mail', ARRAY['1', '"2"', NULL]::jsonb[], 7, NULL, NULL, NULL, 2, '1 minute');
SELECT id, tenant_id, payload, priority, max_attempts, timeout, status FROM job_queue ORDER BY id;
SELECT count(*) FROM enqueue_jobs('{}', 'mail');
SELECT count(*) FROM enqueue_jobs('{}', 'mail', '{}', idempotency_keys => '{}');
SELECT enqueue_jobs(ARRAY['a'], 'later', run_at => now() + interval '1 hour');
SELECT status, position, due_at = run_at AS due FROM job_live WHERE job_type = 'later';
-- Keys: known ones, new ones, none, the same one twice in one array, of two tenants.
SELECT enqueue_job('a', 'mail', idempotency_key => 'known');
SELECT * FROM enqueue_jobs(ARRAY['a', 'a', 'a', 'a', 'b', 'a', 'a'], 'bulk', ARRAY['1', '2', '3', '4', '5', '6', '7']::jsonb[],
                           idempotency_keys => ARRAY['known', 'new', NULL, 'new', 'new', NULL, 'known'])
       WITH ORDINALITY AS e (id, n) ORDER BY n;
SELECT id, tenant_id, payload, idempotency_key FROM job_queue WHERE job_type = 'bulk' ORDER BY id;
SELECT * FROM job_keys ORDER BY job_id;
SELECT k.job_id = q.id AS right_job FROM job_keys k JOIN job_queue q USING (tenant_id, idempotency_key);
-- Many at once keep their order.
SELECT count(*), bool_and(later) AS ascending
  FROM (SELECT e.id > lag(e.id, 1, 0) OVER (ORDER BY n) AS later
          FROM enqueue_jobs(array_fill('many'::text, ARRAY[20000]), 'mail') WITH ORDINALITY AS e (id, n)) s;
SELECT count(*) FROM job_queue WHERE tenant_id = 'many';

-- INSERT INTO job_queue, with RETURNING; missing columns are filled.
TRUNCATE job_live, job_history, job_keys, job_leases RESTART IDENTITY;
INSERT INTO job_queue (tenant_id, job_type) VALUES ('a', 'mail'), ('b', 'mail')
    RETURNING id, tenant_id, job_type, status, priority, payload, attempts, max_attempts, timeout;
INSERT INTO job_queue (tenant_id, job_type, payload, priority, run_at, idempotency_key, max_attempts, timeout)
    SELECT 'a', 'mail', '{"n": 1}', -1, now() + interval '1 day', 'k', 2, '3 seconds' FROM generate_series(1, 2)
    RETURNING id, status, priority, payload, idempotency_key, max_attempts, timeout, run_at > now() AS later;
INSERT INTO job_queue (tenant_id, job_type, status) VALUES ('a', 'mail', 'queued') RETURNING id, status;
SELECT count(*) FROM job_queue;

-- What an INSERT cannot bring, and that the view is changed by functions only.
INSERT INTO job_queue (tenant_id, job_type, id) VALUES ('a', 'mail', 1000);
\set VERBOSITY sqlstate
INSERT INTO job_queue (tenant_id, job_type, status) VALUES ('a', 'mail', 'completed');
INSERT INTO job_queue (tenant_id, job_type, attempts) VALUES ('a', 'mail', 1);
INSERT INTO job_queue (tenant_id, job_type, locked_by) VALUES ('a', 'mail', 'w');
INSERT INTO job_queue (tenant_id, job_type, locked_at) VALUES ('a', 'mail', now());
INSERT INTO job_queue (tenant_id, job_type, lock_token) VALUES ('a', 'mail', 1);
INSERT INTO job_queue (tenant_id, job_type, last_error) VALUES ('a', 'mail', '');
INSERT INTO job_queue (tenant_id, job_type, created_at) VALUES ('a', 'mail', now());
INSERT INTO job_queue (tenant_id, job_type, updated_at) VALUES ('a', 'mail', now());
INSERT INTO job_queue (tenant_id) VALUES ('a');
INSERT INTO job_queue (job_type) VALUES ('mail');
INSERT INTO job_queue (tenant_id, job_type) VALUES ('', 'mail');
INSERT INTO job_queue DEFAULT VALUES;
\set VERBOSITY default
UPDATE job_queue SET status = 'dead' WHERE id = 1;
DELETE FROM job_queue WHERE id = 2;
SELECT count(*) FROM job_queue;

-- A payload over the limit, in all three ways; exactly at the limit it is accepted.
SET fairq.max_payload_size = 1024;
SELECT enqueue_job('a', 'big', to_jsonb(repeat('x', 1013)));
\set VERBOSITY sqlstate
SELECT enqueue_jobs(ARRAY['a', 'a'], 'big', ARRAY['{}', to_jsonb(repeat('x', 5000))]);
INSERT INTO job_queue (tenant_id, job_type, payload) VALUES ('a', 'big', to_jsonb(repeat('x', 5000)));
\set VERBOSITY default
SELECT enqueue_job('a', 'fits', to_jsonb(repeat('x', 1012)));
SELECT job_type, pg_column_size(payload) <= 1024 AS fits FROM job_queue WHERE job_type IN ('big', 'fits');
RESET fairq.max_payload_size;
SELECT enqueue_job('a', 'large', jsonb_build_object('body', repeat('0123456789', 100000))) > 0 AS accepted;
SELECT length(payload ->> 'body') FROM claim_queued_jobs('w', tenant_cap => 100) WHERE job_type = 'large';
SELECT count(*) FROM (SELECT complete_jobs(array_agg(id), lock_token) FROM job_live WHERE status = 'locked' GROUP BY lock_token) s;
SELECT length(payload ->> 'body') FROM job_history WHERE job_type = 'large';
