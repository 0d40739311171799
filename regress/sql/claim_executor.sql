-- When job_live carries what a direct update would bypass (a trigger, a CHECK, an index, row security of somebody's own),
-- a claim goes through the executor, with the same result.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

-- Six jobs, of which two tenants cannot have even parts: one claim for five of them, one for the rest; then all completed.
CREATE PROCEDURE pg_temp.six_jobs() LANGUAGE sql AS $$
    SELECT enqueue_jobs(ARRAY['a', 'a', 'a', 'a', 'a', 'b'], 'mail')
$$;
CREATE FUNCTION pg_temp.round_trip() RETURNS TABLE (claimed bigint, ids bigint, tokens bigint, as_in_table bigint, in_lease integer, rest bigint)
LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE rows ON COMMIT DROP AS SELECT * FROM claim_queued_jobs('w', 5);
    SELECT count(*), count(DISTINCT id), count(DISTINCT lock_token) INTO claimed, ids, tokens FROM rows;
    SELECT count(*) INTO as_in_table FROM (TABLE rows INTERSECT SELECT * FROM job_queue WHERE status = 'locked') s;
    SELECT cardinality(job_ids) INTO in_lease FROM job_leases;
    SELECT count(*) INTO rest FROM claim_queued_jobs('w', 5);
    PERFORM complete_jobs(job_ids, lock_token) FROM job_leases;
    RETURN NEXT;
END
$$;

-- Directly.
SELECT get_queue_metrics() IS NOT NULL AS counted;
CALL pg_temp.six_jobs();
SELECT * FROM pg_temp.round_trip();

-- A trigger sees the update, old row and new. It runs with the pinned search_path of the claim.
CREATE TABLE seen (what text, old_status job_status, new_status job_status, worker text, attempts integer);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.seen VALUES (lower(TG_WHEN), OLD.status, NEW.status, NEW.locked_by, NEW.attempts);
    RETURN NEW;
END
$$;
CREATE TRIGGER see_before BEFORE UPDATE ON job_live FOR EACH ROW EXECUTE FUNCTION see();
CREATE TRIGGER see_after AFTER UPDATE ON job_live FOR EACH ROW EXECUTE FUNCTION see();
CALL pg_temp.six_jobs();
SELECT * FROM pg_temp.round_trip();
SELECT seen.*, count(*) FROM seen GROUP BY 1, 2, 3, 4, 5 ORDER BY 1 DESC;
DROP FUNCTION see CASCADE;

-- A trigger that changes the row: the claim returns what is in the table.
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.last_error := 'changed'; RETURN NEW; END $$;
CREATE TRIGGER change BEFORE UPDATE ON job_live FOR EACH ROW EXECUTE FUNCTION change();
SELECT enqueue_job('a', 'mail') AS id \gset
SELECT last_error FROM claim_queued_jobs('w');
SELECT complete_jobs(job_ids, lock_token) = :id AS completed FROM job_leases;
SELECT last_error FROM job_queue WHERE id = :id;
DROP FUNCTION change CASCADE;

-- A trigger that returns NULL keeps the job unclaimed: not returned, not in the lease, not counted.
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE WHEN NEW.tenant_id = 'b' THEN NULL ELSE NEW END;
END
$$;
CREATE TRIGGER keep BEFORE UPDATE ON job_live FOR EACH ROW EXECUTE FUNCTION keep();
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'b', 'c'], 'mail');
SELECT tenant_id, status FROM claim_queued_jobs('w') ORDER BY tenant_id;
SELECT tenant_id, status, attempts FROM job_live ORDER BY id;
SELECT cardinality(job_ids) FROM job_leases;
SELECT count(*) FROM claim_queued_jobs('w');
SELECT count(*) FROM job_leases;
DROP FUNCTION keep CASCADE;
SELECT tenant_id FROM claim_queued_jobs('w');
SELECT count(*) FROM (SELECT complete_jobs(job_ids, lock_token) FROM job_leases) s;

-- One that raises: the claim gets no job, nothing changes, and the error is noted.
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today' USING ERRCODE = 'ZZ001'; END $$;
SELECT enqueue_job('a', 'mail') > 0 AS enqueued;
CREATE TRIGGER refuse BEFORE UPDATE ON job_live FOR EACH ROW EXECUTE FUNCTION refuse();
\set VERBOSITY sqlstate
SELECT * FROM claim_queued_jobs('w');
\set VERBOSITY default
SELECT step, sqlstate, error FROM housekeeping_failures;
TRUNCATE housekeeping_failures;
DROP FUNCTION refuse CASCADE;
SELECT tenant_id, status, attempts FROM job_live WHERE tenant_id = 'a' ORDER BY id;

SELECT count(*) FROM (SELECT cancel_job(id) FROM job_live) s;
-- A CHECK of somebody's own holds.
ALTER TABLE job_live ADD CONSTRAINT not_by_me CHECK (locked_by <> 'me');
CALL pg_temp.six_jobs();
SELECT * FROM pg_temp.round_trip();
SELECT enqueue_job('a', 'mail') AS id \gset
\set VERBOSITY sqlstate
SELECT * FROM claim_queued_jobs('me');
\set VERBOSITY default
SELECT step, sqlstate FROM housekeeping_failures;
TRUNCATE housekeeping_failures;
SELECT status, count(*) FROM job_live GROUP BY status;
ALTER TABLE job_live DROP CONSTRAINT not_by_me;
SELECT cancel_job(:id);

-- An index of somebody's own has its entries: a query by it finds the claimed jobs.
CREATE INDEX by_worker ON job_live (locked_by);
CALL pg_temp.six_jobs();
SELECT * FROM pg_temp.round_trip();
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'b'], 'mail');
SELECT count(*) FROM claim_queued_jobs('by index');
SET enable_seqscan = off; SET enable_bitmapscan = off;
SELECT count(*) FROM job_live WHERE locked_by = 'by index';
RESET enable_seqscan; RESET enable_bitmapscan;
SELECT count(*) FROM (SELECT complete_jobs(job_ids, lock_token) FROM job_leases) s;
DROP INDEX by_worker;

-- A foreign key to it.
CREATE TABLE notes (job_id bigint REFERENCES job_live ON DELETE CASCADE);
CALL pg_temp.six_jobs();
SELECT * FROM pg_temp.round_trip();
SELECT enqueue_job('fk', 'mail') AS id \gset
INSERT INTO notes VALUES (:id);
SELECT count(*) FROM claim_queued_jobs('w');
SELECT complete_jobs(ARRAY[:id], lock_token) = :id AS completed FROM job_live WHERE id = :id;
SELECT count(*) FROM notes;
DROP TABLE notes;

-- Row security, and a generated column.
ALTER TABLE job_live ENABLE ROW LEVEL SECURITY;
CALL pg_temp.six_jobs();
SELECT * FROM pg_temp.round_trip();
ALTER TABLE job_live DISABLE ROW LEVEL SECURITY;
CALL pg_temp.six_jobs();
SELECT * FROM pg_temp.round_trip(); -- directly again
ALTER EVENT TRIGGER fairq_check_ddl DISABLE;
ALTER TABLE job_live ADD COLUMN note text GENERATED ALWAYS AS ('by ' || locked_by) STORED;
CALL pg_temp.six_jobs();
SELECT * FROM pg_temp.round_trip();
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'b'], 'mail');
SELECT count(*) FROM claim_queued_jobs('me');
SELECT note, count(*) FROM job_live GROUP BY note;

-- The counts saw what the table saw.
SELECT q.status, q.n = (m.stats ->> q.status::text)::bigint AS counted
  FROM (SELECT status, count(*) AS n FROM job_queue GROUP BY status) q, (SELECT get_queue_metrics() -> 'queue_stats' AS stats) m ORDER BY 1;
DROP TABLE seen;
