-- Enqueuing, claiming and completing write to job_live, job_history and job_leases below SQL, unless one of them carries what
-- that would bypass (a trigger, a rule, a CHECK, row security of somebody's own): then they go through the executor. The
-- result is the same.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
-- Some of that is refused, because a dump could not be restored; and all jobs go to one partition.
ALTER EVENT TRIGGER fairq_check_ddl DISABLE;
DO $$
DECLARE
    day regclass;
BEGIN
    FOR day IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'job_history'::regclass AND inhrelid::regclass::text ~ '[0-9]{8}$' LOOP
        EXECUTE format('DROP TABLE %s', day);
    END LOOP;
END
$$;

-- What this session has had a plan made for.
CREATE VIEW planned AS
    SELECT coalesce(bool_or(ident ~ 'INTO public.job_live .*VALUES \(\$1'), false) AS enqueue_job,
           coalesce(bool_or(ident ~ 'WHERE i.id = i.kept'), false) AS enqueue_jobs,
           coalesce(bool_or(ident ~ 'WITH gone AS .*, ended AS '), false) AS complete_jobs,
           coalesce(bool_or(ident ~ 'INTO public.job_leases'), false) AS begin_lease,
           coalesce(bool_or(ident ~ '^\s*DELETE FROM public.job_leases'), false) AS end_lease,
           coalesce(bool_or(ident ~ 'WITH due AS'), false) AS promote,
           coalesce(bool_or(ident ~ 'FROM public.pipeline_runs r WHERE advanced_at'), false) AS advance
      FROM pg_backend_memory_contexts WHERE name = 'CachedPlanSource';

-- Jobs of all sorts, through their whole life. Their rows in history are those that were locked; ids come in order; the
-- lease ends with its last job. The payloads are small, out of line, and missing; the last errors too.
CREATE FUNCTION round_trip(OUT jobs bigint, OUT in_order boolean, OUT same bigint, OUT leases bigint, OUT counted boolean)
LANGUAGE plpgsql AS $$
DECLARE
    big jsonb := to_jsonb((SELECT string_agg(md5(i::text), '') FROM generate_series(1, 700) i));
    done bigint[];
    completed_before bigint := get_queue_metrics() #> '{queue_stats,completed}';
BEGIN
    PERFORM enqueue_job('a', 'mail', '{"n": 1}', -5, NULL, 'k' || clock_timestamp(), 'c' || clock_timestamp(), 3, '7 s');
    PERFORM enqueue_job('a', 'mail', big);
    PERFORM enqueue_jobs(ARRAY['b', 'c', 'b'], 'load_test', ARRAY['{"n": 2}', NULL, big], 3,
                         idempotency_keys => ARRAY[NULL, 'l' || clock_timestamp(), NULL]);
    UPDATE job_live SET last_error = repeat(md5(id::text), 200) WHERE id % 2 = 0;
    CREATE TEMP TABLE held ON COMMIT DROP AS SELECT * FROM claim_queued_jobs('w', 10);
    done := ARRAY(SELECT complete_jobs(array_agg(id ORDER BY id DESC), max(lock_token)) FROM held);
    SELECT count(*), array_agg(id ORDER BY id) = done INTO jobs, in_order FROM held;
    SELECT count(*) INTO same
      FROM (SELECT (to_jsonb(h) - 'status' - 'updated_at') FROM held h
            INTERSECT SELECT (to_jsonb(q) - 'status' - 'updated_at') FROM job_queue q
             WHERE status = 'completed' AND updated_at <= clock_timestamp() AND updated_at > (SELECT max(updated_at) FROM held)) s;
    SELECT count(*) INTO leases FROM job_leases WHERE lock_token = (SELECT max(lock_token) FROM held);
    counted := (get_queue_metrics() #> '{queue_stats,completed}')::bigint = completed_before + jobs;
    DROP TABLE held;
END
$$;

-- Directly. A large payload does not stay in job_live's out-of-line storage.
\c -
SELECT get_queue_metrics() IS NOT NULL AS counted;
SELECT * FROM round_trip();
SELECT * FROM round_trip();
SELECT * FROM planned;
VACUUM FULL job_live;
SELECT count(*), bool_and(length(payload::text) = 22402) AS whole FROM job_history WHERE length(payload::text) > 20000;
SELECT count(*), bool_and(last_error = repeat(md5(id::text), 200)) AS whole FROM job_history WHERE last_error IS NOT NULL;

-- A claimed job as one value.
SELECT FROM enqueue_job('a', 'mail', '{"n": 3}', 2);
CREATE TABLE held AS SELECT claim_queued_jobs('w') AS job;
SELECT job = q AS same, (job).payload, (job).priority, (job).status FROM held, job_queue q WHERE q.id = (job).id;
SELECT complete_jobs(ARRAY[(job).id], (job).lock_token) = (job).id AS completed FROM held;
DROP TABLE held;

-- Column by column, as they stand in the tables.
SELECT enqueue_job('a', 'mail', '{"n": 1}', 7, NULL, 'key', 'concurrency', 3, '9 s') AS id \gset
SELECT tenant_id, job_type, status, priority, payload, attempts, max_attempts, timeout, idempotency_key, concurrency_key, run_id,
       stage, locked_by, locked_at, lock_token, last_error, run_at = created_at AND created_at = updated_at AS times,
       position = id AS position, due_at, held_key, parked_position, running_since, running_position
  FROM job_live WHERE id = :id \gx
SELECT create_pipeline_run('a', 'run') AS run \gset
SELECT enqueue_jobs(ARRAY['a'], 'mail', run_at => '2100-01-01 00:00+00', run_id => :run) AS later, enqueue_jobs(ARRAY['a'], 'mail', run_id => :run, stage => 2) AS blocked \gset
SELECT status, run_id = :run AS run, stage, position, due_at = '2100-01-01 00:00+00' AS due FROM job_live WHERE id IN (:later, :blocked) ORDER BY id;
SELECT count(*) FROM claim_queued_jobs('w');
SELECT complete_jobs(ARRAY[:id], lock_token) = :id AS completed FROM job_leases;
SELECT tenant_id, job_type, status, priority, payload, attempts, max_attempts, timeout, idempotency_key, concurrency_key, run_id,
       stage, locked_by, locked_at BETWEEN created_at AND finished_at AS locked_at, lock_token > 0 AS lock_token, last_error
  FROM job_history WHERE id = :id \gx
SELECT * FROM planned;
SELECT cancel_job(:later), cancel_job(:blocked);

-- More than one batch, by rows and by bytes.
SELECT count(*) FROM enqueue_jobs(array_fill('many'::text, ARRAY[1001]), 'mail',
                                  ARRAY(SELECT jsonb_build_object('n', i, 'x', repeat('x', i)) FROM generate_series(1, 1001) i));
CREATE TABLE held AS SELECT * FROM claim_queued_jobs('w', 2000, 2000);
SELECT count(*) FROM (SELECT complete_jobs(array_agg(id), max(lock_token)) FROM held) s;
SELECT count(*), count(DISTINCT payload -> 'n'), bool_and(length(payload ->> 'x') = (payload ->> 'n')::integer) AS whole
  FROM job_history WHERE tenant_id = 'many';
SET enable_seqscan = off; SET enable_bitmapscan = off;
SELECT count(h.id) AS by_index FROM held, LATERAL (SELECT id FROM job_history WHERE id = held.id) h;
RESET enable_seqscan; RESET enable_bitmapscan;
DROP TABLE held;

-- A read-only transaction, one with a snapshot for all of it, and one that goes back.
SELECT enqueue_job('a', 'mail') AS id \gset
SELECT lock_token AS token FROM claim_queued_jobs('w') \gset
\set VERBOSITY sqlstate
BEGIN READ ONLY;
SELECT complete_jobs(ARRAY[:id], :token);
ROLLBACK;
BEGIN READ ONLY;
SELECT complete_jobs(ARRAY[1], 1);
ROLLBACK;
BEGIN READ ONLY;
SELECT enqueue_job('a', 'mail');
ROLLBACK;
\set VERBOSITY default
BEGIN;
SELECT complete_jobs(ARRAY[:id], :token) = :id AS completed;
SELECT complete_jobs(ARRAY[:id], :token) = :id AS again;
SELECT enqueue_job('x', 'mail') > 0 AS enqueued;
SELECT tenant_id, status FROM job_queue WHERE tenant_id = 'x' OR id = :id ORDER BY 1;
ROLLBACK;
SELECT tenant_id, status FROM job_queue WHERE tenant_id = 'x' OR id = :id ORDER BY 1;
SELECT * FROM planned;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT complete_jobs(ARRAY[:id], :token) = :id AS completed;
SELECT enqueue_job('x', 'mail') > 0 AS enqueued;
COMMIT;
SELECT * FROM planned;
SELECT count(*) FROM (SELECT cancel_job(id) FROM job_live) s;

-- Triggers see what happens, on each of the tables, and on a partition alone.
CREATE TABLE seen (what text, job bigint);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.seen VALUES (lower(concat_ws(' ', TG_WHEN, TG_OP, TG_LEVEL, 'of', TG_TABLE_NAME)), coalesce(NEW.id, OLD.id));
    RETURN coalesce(NEW, OLD);
END
$$;
CREATE TRIGGER see_row BEFORE INSERT OR DELETE ON job_live FOR EACH ROW EXECUTE FUNCTION see();
CREATE TRIGGER see_statement AFTER INSERT OR DELETE ON job_live EXECUTE FUNCTION see();
\c -
SELECT * FROM round_trip();
SELECT * FROM planned;
SELECT what, count(*), count(job) AS rows FROM seen GROUP BY 1 ORDER BY 1;
DROP TRIGGER see_row ON job_live;
DROP TRIGGER see_statement ON job_live;
TRUNCATE seen;
CREATE TRIGGER see_statement AFTER INSERT ON job_history EXECUTE FUNCTION see();
\c -
SELECT * FROM round_trip();
SELECT * FROM planned;
SELECT what, count(*), count(job) AS rows FROM seen GROUP BY 1 ORDER BY 1;
DROP TRIGGER see_statement ON job_history;
TRUNCATE seen;
CREATE TRIGGER see_row AFTER INSERT ON job_history_default FOR EACH ROW EXECUTE FUNCTION see();
\c -
SELECT * FROM round_trip();
SELECT * FROM planned;
SELECT what, count(*), count(job) AS rows FROM seen GROUP BY 1 ORDER BY 1;
DROP FUNCTION see CASCADE;
TRUNCATE seen;

-- A trigger that keeps a job where it is.
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN CASE WHEN OLD.tenant_id <> 'a' THEN OLD END; END $$;
CREATE TRIGGER keep BEFORE DELETE ON job_live FOR EACH ROW EXECUTE FUNCTION keep();
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'b'], 'mail');
SELECT count(*) FROM (SELECT complete_jobs(array_agg(id), max(lock_token)) FROM claim_queued_jobs('w')) s;
SELECT tenant_id, status FROM job_live;
DROP FUNCTION keep CASCADE;
SELECT count(*) FROM (SELECT cancel_job(id) FROM job_live) s;

-- Rules.
CREATE RULE also AS ON DELETE TO job_live DO ALSO INSERT INTO seen VALUES ('rule', OLD.id);
\c -
\set VERBOSITY sqlstate
SELECT complete_jobs(array_agg(id), max(lock_token)) FROM (SELECT enqueue_job('a', 'mail')) s, claim_queued_jobs('w');
\set VERBOSITY default
DROP RULE also ON job_live;

-- A CHECK and a NOT NULL of somebody's own hold, on either table.
ALTER TABLE job_live ADD CONSTRAINT small CHECK (priority < 100);
ALTER TABLE job_history ADD CONSTRAINT some_types CHECK (job_type <> 'secret');
\c -
SELECT * FROM round_trip();
SELECT * FROM planned;
SELECT enqueue_job('a', 'secret') AS id \gset
SELECT lock_token AS token FROM claim_queued_jobs('w') \gset
\set VERBOSITY sqlstate
SELECT enqueue_job('a', 'mail', priority => 100);
SELECT enqueue_jobs(ARRAY['a'], 'mail', priority => 100);
SELECT complete_jobs(ARRAY[:id], :token);
\set VERBOSITY default
SELECT status FROM job_queue WHERE id = :id;
ALTER TABLE job_live DROP CONSTRAINT small;
ALTER TABLE job_history DROP CONSTRAINT some_types;
SELECT complete_jobs(ARRAY[:id], :token) = :id AS completed;
TRUNCATE job_history;
ALTER TABLE job_live ALTER COLUMN idempotency_key SET NOT NULL;
ALTER TABLE job_history ALTER COLUMN last_error SET NOT NULL;
\c -
SELECT enqueue_job('a', 'mail', idempotency_key => 'given') AS id \gset
SELECT lock_token AS token FROM claim_queued_jobs('w') \gset
\set VERBOSITY sqlstate
SELECT enqueue_job('a', 'mail');
SELECT enqueue_jobs(ARRAY['a'], 'mail');
SELECT complete_jobs(ARRAY[:id], :token);
\set VERBOSITY default
ALTER TABLE job_live ALTER COLUMN idempotency_key DROP NOT NULL;
ALTER TABLE job_history ALTER COLUMN last_error DROP NOT NULL;
SELECT complete_jobs(ARRAY[:id], :token) = :id AS completed;

-- Row security.
ALTER TABLE job_live ENABLE ROW LEVEL SECURITY;
ALTER TABLE job_history ENABLE ROW LEVEL SECURITY;
\c -
SELECT * FROM round_trip();
SELECT * FROM planned;
ALTER TABLE job_live DISABLE ROW LEVEL SECURITY;
ALTER TABLE job_history DISABLE ROW LEVEL SECURITY;

-- An index of somebody's own gets its entries, and a unique one its say; the session goes on.
\c -
CREATE INDEX by_worker ON job_history (locked_by, (payload ->> 'n'));
CREATE UNIQUE INDEX one_of_a_type ON job_history_default (job_type) WHERE tenant_id = 'unique';
SELECT count(*) FROM enqueue_jobs(ARRAY['unique', 'unique', 'other'], 'mail', ARRAY['{"n": "one"}', '{"n": "two"}', '{}']::jsonb[]);
CREATE TABLE held AS SELECT * FROM claim_queued_jobs('by index');
DO $$
DECLARE
    job bigint;
BEGIN
    FOR job IN SELECT id FROM held ORDER BY id LOOP
        BEGIN
            PERFORM complete_jobs(ARRAY[job], (SELECT max(lock_token) FROM held));
        EXCEPTION WHEN unique_violation THEN
        END;
    END LOOP;
END
$$;
SELECT tenant_id, payload, status FROM job_queue WHERE locked_by = 'by index' ORDER BY id;
SET enable_seqscan = off; SET enable_bitmapscan = off;
SELECT count(*) FROM job_history WHERE locked_by = 'by index' AND payload ->> 'n' = 'one';
RESET enable_seqscan; RESET enable_bitmapscan;
DROP INDEX by_worker;
DROP INDEX one_of_a_type;
SELECT count(*) FROM (SELECT complete_jobs(array_agg(id), max(lock_token)) FROM held) s;
DROP TABLE held;

-- Partitions: today's, that of the next day as soon as the day turns, another one in its place, the default one again. The
-- session keeps nothing about them that is not true any more.
\c -
CREATE FUNCTION complete_one() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    job bigint := enqueue_job('p', 'mail', to_jsonb('text'::text));
BEGIN
    PERFORM complete_jobs(ARRAY[job], (SELECT lock_token FROM claim_queued_jobs('w')));
    RETURN (SELECT regexp_replace(tableoid::regclass::text, '[0-9]{8}', 'TODAY') FROM job_history WHERE id = job);
END
$$;
CREATE PROCEDURE add_days(command text, midnight timestamptz) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(command || ' FOR VALUES FROM (%L) TO (%L)', 'evening', midnight - interval '1 day', midnight);
    EXECUTE format(command || ' FOR VALUES FROM (%L) TO (%L)', 'night', midnight, midnight + interval '1 day');
END
$$;
TRUNCATE job_history;
SELECT complete_one();
TRUNCATE job_history;
CALL add_days('CREATE TABLE %s PARTITION OF job_history', now() + interval '1 hour');
SELECT complete_one();
ALTER TABLE job_history DETACH PARTITION evening;
ALTER TABLE job_history DETACH PARTITION night;
SELECT complete_one();
TRUNCATE job_history, evening, night;
CALL add_days('ALTER TABLE job_history ATTACH PARTITION %s', clock_timestamp());
SELECT complete_one();
DROP TABLE evening, night;
SELECT complete_one();
SELECT * FROM planned;

-- Partitions of other kinds: with columns in another order, and in parts itself.
TRUNCATE job_history;
CREATE TABLE turned (LIKE job_history INCLUDING CONSTRAINTS);
ALTER TABLE turned DROP COLUMN attempts, ADD COLUMN attempts integer NOT NULL;
ALTER TABLE job_history ATTACH PARTITION turned FOR VALUES FROM ('2000-01-01') TO (MAXVALUE);
SELECT complete_one();
SELECT attempts, payload, status FROM turned;
DROP TABLE turned;
CREATE TABLE turned (LIKE job_history INCLUDING CONSTRAINTS);
ALTER TABLE turned RENAME COLUMN locked_by TO moved;
ALTER TABLE turned RENAME COLUMN last_error TO locked_by;
ALTER TABLE turned RENAME COLUMN moved TO last_error;
ALTER TABLE job_history ATTACH PARTITION turned FOR VALUES FROM ('2000-01-01') TO (MAXVALUE);
SELECT complete_one();
SELECT locked_by, last_error FROM turned;
DROP TABLE turned;
CREATE TABLE parts PARTITION OF job_history FOR VALUES FROM ('2000-01-01') TO (MAXVALUE) PARTITION BY LIST (status);
CREATE TABLE part PARTITION OF parts FOR VALUES IN ('completed');
SELECT complete_one();
SELECT * FROM planned;
DROP TABLE parts;

-- None at all: the call makes one.
ALTER TABLE job_history DETACH PARTITION job_history_default;
SELECT complete_one();
ALTER TABLE job_history ATTACH PARTITION job_history_default DEFAULT;
SELECT complete_one();
DO $$
DECLARE
    day regclass;
BEGIN
    FOR day IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'job_history'::regclass AND inhrelid::regclass::text ~ '[0-9]{8}$' LOOP
        EXECUTE format('DROP TABLE %s', day);
    END LOOP;
END
$$;

-- A row of history is its own: what job_live has behind those columns is not in it, for a column that comes later.
TRUNCATE job_history;
\c -
SELECT * FROM round_trip();
SELECT complete_jobs FROM planned;
ALTER TABLE job_history ADD COLUMN later bigint, ADD COLUMN latest timestamptz;
SELECT count(*) AS jobs, count(later) + count(latest) AS filled FROM job_history;

-- Further columns get their defaults.
TRUNCATE job_history;
ALTER TABLE job_live ADD COLUMN mine text DEFAULT 'new';
ALTER TABLE job_history ADD COLUMN mine text DEFAULT 'old';
\c -
SELECT * FROM round_trip();
SELECT * FROM planned;
SELECT DISTINCT mine FROM job_history;

-- The same with job_leases: what hangs on it sees each lease come and go; directly again, when nothing does.
ALTER TABLE job_live DROP COLUMN mine;
TRUNCATE seen;
CREATE FUNCTION see_lease() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.seen VALUES (lower(concat_ws(' ', TG_WHEN, TG_OP, TG_LEVEL, 'of', TG_TABLE_NAME)),
                                    coalesce(NEW.lock_token, OLD.lock_token));
    RETURN coalesce(NEW, OLD);
END
$$;
CREATE PROCEDURE with_leases(change text, back text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'ALTER TABLE job_leases ' || change;
    RAISE NOTICE '%: %', change, (SELECT r FROM round_trip() r);
    RAISE NOTICE '%', (SELECT (begin_lease, end_lease) FROM planned);
    EXECUTE 'ALTER TABLE job_leases ' || back;
END
$$;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
\c -
SELECT get_queue_metrics() IS NOT NULL AS counted;
SELECT * FROM round_trip();
SELECT * FROM planned;
CREATE TRIGGER see_row BEFORE INSERT OR DELETE ON job_leases FOR EACH ROW EXECUTE FUNCTION see_lease();
CREATE TRIGGER see_statement AFTER INSERT OR DELETE ON job_leases EXECUTE FUNCTION see_lease();
SELECT * FROM round_trip();
SELECT * FROM planned;
SELECT what, count(*), count(DISTINCT job) AS leases FROM seen GROUP BY 1 ORDER BY 1;
DROP FUNCTION see_lease CASCADE;
\c -
SELECT * FROM round_trip();
SELECT * FROM planned;
CALL with_leases('ADD CONSTRAINT short CHECK (length(worker_id) < 5)', 'DROP CONSTRAINT short');
\c -
CALL with_leases('ENABLE ROW LEVEL SECURITY', 'DISABLE ROW LEVEL SECURITY');
\c -
CALL with_leases('ALTER COLUMN worker_id TYPE varchar(5)', 'ALTER COLUMN worker_id TYPE text');
ALTER TABLE job_leases ADD CONSTRAINT short CHECK (length(worker_id) < 5);
CREATE UNIQUE INDEX one_each ON job_leases (worker_id);
SELECT FROM enqueue_jobs(ARRAY['a', 'a'], 'mail');
\set VERBOSITY terse
SELECT count(*) FROM claim_queued_jobs('worker');
ALTER TABLE job_leases DROP CONSTRAINT short;
SELECT count(*) FROM claim_queued_jobs('worker', 1);
SELECT count(*) FROM claim_queued_jobs('worker', 1);
\set VERBOSITY default
DROP INDEX one_each;
SELECT count(*) FROM claim_queued_jobs('worker', 1);

-- A part of a lease does not end it; all of what is left at once does not either, that is the sweep's. Claimed and completed
-- by one statement, it ends like others.
SELECT worker_id, cardinality(job_ids) FROM job_leases;
TRUNCATE job_live, job_leases;
SELECT FROM enqueue_jobs(array_fill('a'::text, ARRAY[3]), 'mail');
SELECT array_agg(id) AS ids, max(lock_token) AS token FROM claim_queued_jobs('w') \gset
SELECT count(*) FROM complete_jobs((:'ids'::bigint[])[1:1], :token);
SELECT count(*) FROM complete_jobs((:'ids'::bigint[])[2:], :token);
SELECT count(*) FROM job_leases;
TRUNCATE job_leases;
SELECT FROM enqueue_jobs(array_fill('a'::text, ARRAY[3]), 'mail');
SELECT count(done) FROM (SELECT array_agg(id) AS ids, max(lock_token) AS token FROM claim_queued_jobs('w')) c, complete_jobs(ids, token) done;
SELECT count(*) FROM job_leases;

-- What claims take by rate is charged in place, but for a tenant's first claim. A rollback gives it back.
TRUNCATE job_live, job_leases;
CREATE VIEW charged AS
    SELECT (SELECT string_agg(tenant_id || ' ' || round(extract(epoch FROM due_at - clock_timestamp()) / 1000), ', ' ORDER BY tenant_id)
              FROM tenant_rates) AS jobs,
           (SELECT concat_ws(' ', n_tup_ins, n_tup_upd, n_tup_hot_upd) FROM pg_stat_xact_user_tables WHERE relname = 'tenant_rates') AS rows;
SELECT set_tenant_limits('r', rate_per_second => 0.001, burst => 9), set_tenant_limits('s', rate_per_second => 0.001, burst => 9);
SELECT FROM enqueue_jobs(ARRAY(SELECT (ARRAY['r', 's'])[1 + i % 2] FROM generate_series(1, 40) i), 'mail');
BEGIN;
SELECT count(*) FROM claim_queued_jobs('w', 4);
SELECT * FROM charged;
COMMIT;
\c -
BEGIN;
SELECT count(*) FROM claim_queued_jobs('w', 2);
SELECT count(*) FROM claim_queued_jobs('w', 2);
SELECT * FROM charged;
SAVEPOINT s;
SELECT count(*) FROM claim_queued_jobs('w', 100);
SELECT * FROM charged;
ROLLBACK TO s;
SELECT count(*) FROM claim_queued_jobs('w', 4);
SELECT * FROM charged;
ROLLBACK;
SELECT count(*) FROM claim_queued_jobs('w', 2);
SELECT jobs FROM charged;
-- Of two tenants one has no row.
DELETE FROM tenant_rates WHERE tenant_id = 's';
SELECT count(*) FROM claim_queued_jobs('w', 2);
SELECT jobs FROM charged;
-- With an index of somebody's own: it has its entries.
\c -
CREATE INDEX by_due ON tenant_rates (due_at);
BEGIN;
SELECT count(*) FROM claim_queued_jobs('w', 2);
SELECT * FROM charged;
COMMIT;
SET enable_seqscan = off;
SELECT tenant_id FROM tenant_rates WHERE due_at > '2000-01-01' ORDER BY due_at;
RESET enable_seqscan;
DROP INDEX by_due;
-- With a trigger, and with a CHECK, which holds.
CREATE FUNCTION see_rate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE INFO '% %', NEW.tenant_id, TG_OP; RETURN NEW; END $$;
CREATE TRIGGER see_rate BEFORE UPDATE ON tenant_rates FOR EACH ROW EXECUTE FUNCTION see_rate();
SELECT count(*) FROM claim_queued_jobs('w', 2);
DROP FUNCTION see_rate CASCADE;
SELECT jobs FROM charged;
\c -
ALTER TABLE tenant_rates ADD CONSTRAINT never CHECK (due_at < '2000-01-01') NOT VALID;
\set VERBOSITY sqlstate
SELECT count(*) FROM claim_queued_jobs('w', 2);
\set VERBOSITY default
ALTER TABLE tenant_rates DROP CONSTRAINT never;
SELECT count(*) FROM claim_queued_jobs('w', 2);
SELECT jobs FROM charged;
TRUNCATE job_live, job_leases, tenant_limits, tenant_rates;

-- Due jobs are promoted as soon as they are due, by a statement only then; and so with steps of a run.
\c -
SELECT enqueue_job('a', 'mail', run_at => clock_timestamp() + interval '1 hour') AS id \gset
SELECT count(*) FROM claim_queued_jobs('w');
SELECT promote, advance FROM planned;
UPDATE job_live SET due_at = clock_timestamp();
SELECT count(*) FROM claim_queued_jobs('w');
SELECT promote, advance FROM planned;
SELECT create_pipeline_run('a', 'run') AS run \gset
UPDATE pipeline_runs SET advanced_at = clock_timestamp();
SELECT count(*) FROM claim_queued_jobs('w');
SELECT status, advanced_at FROM pipeline_runs;
SELECT promote, advance FROM planned;

DROP PROCEDURE with_leases;
DROP PROCEDURE add_days;
DROP FUNCTION complete_one, round_trip;
DROP VIEW planned, charged;
DROP TABLE seen;
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
