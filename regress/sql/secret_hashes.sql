-- Locks of tenants and keys are hashes by a secret of the database: nobody computes whose lock is which, nor a key with
-- another's lock, and no role gets at the secret.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE ROLE regress_reader;
CREATE ROLE regress_all_data IN ROLE pg_read_all_data;
CREATE ROLE regress_worker;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO regress_reader;
CREATE EXTENSION fairq;
RESET client_min_messages;
SELECT grant_queue_access('regress_worker', 'worker', 'a'), grant_queue_access('regress_worker', 'operator', 'a');

-- What everybody knows how to compute: PostgreSQL's hash of the names, seeded by the number of the table.
CREATE FUNCTION public_hashes() RETURNS SETOF bigint LANGUAGE sql AS $$
    SELECT hash FROM (SELECT 'job_live'::regclass::oid::bigint AS queue) q, unnest(ARRAY['a', 'b']) tenant, unnest(ARRAY[0, queue, queue << 32]) seed,
           LATERAL (SELECT hashtextextended(tenant COLLATE "C", seed)) of_tenant (hash_of_tenant),
           unnest(ARRAY[hash_of_tenant, hashtextextended('key' COLLATE "C", hash_of_tenant)]) hash
$$;
CREATE VIEW locks AS
    SELECT (classid::bigint << 32) | objid::bigint AS hash FROM pg_locks WHERE locktype = 'advisory' AND objsubid > 2 AND pid = pg_backend_pid();
SELECT set_tenant_limits('a', max_concurrency => 5);
SELECT count(*) FROM enqueue_jobs(ARRAY['a', 'b'], 'mail', concurrency_keys => ARRAY[NULL, 'key']);
BEGIN;
SELECT count(*) FROM claim_queued_jobs('w');
SELECT count(*) AS taken, count(*) FILTER (WHERE hash IN (SELECT public_hashes())) AS computed FROM locks;
ROLLBACK;

-- Nobody reads it.
SELECT length(secret) FROM queue_secret;
CREATE FUNCTION try(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE command INTO result;
    RETURN coalesce(result, 'nothing');
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;
SET ROLE regress_reader;
SELECT try('SELECT count(*) FROM job_live') AS jobs, try('SELECT secret FROM queue_secret') AS secret, try('SELECT count(*) FROM queue_secret') AS rows;
SET ROLE regress_all_data;
SELECT try('SELECT count(*) FROM job_live') AS jobs, try('SELECT secret FROM queue_secret') AS secret, try('SELECT count(*) FROM queue_secret') AS rows;
SET ROLE regress_worker;
SELECT try('SELECT count(*) FROM job_live') AS jobs, try('SELECT secret FROM queue_secret') AS secret;
RESET ROLE;
ANALYZE queue_secret;
SET ROLE regress_all_data;
SELECT count(*) FROM pg_stats WHERE tablename = 'queue_secret';
RESET ROLE;
-- It is no configuration: a dump does not have it, a restore makes one.
SELECT 'queue_secret'::regclass = ANY (extconfig) AS dumped FROM pg_extension WHERE extname = 'fairq';

-- Each installation has its own.
CREATE TABLE first_secret AS TABLE queue_secret;
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
SELECT count(*) AS secrets, count(*) FILTER (WHERE secret IN (SELECT secret FROM first_secret)) AS the_same FROM queue_secret;
-- Without it nothing is locked, so nothing that needs a lock is claimed.
SELECT count(*) FROM enqueue_jobs(ARRAY['a'], 'mail', concurrency_keys => ARRAY['key']);
BEGIN;
TRUNCATE queue_secret;
SELECT count(*) FROM claim_queued_jobs('w');
ROLLBACK;
SELECT count(*) FROM claim_queued_jobs('w');
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
DROP VIEW locks;
DROP TABLE first_secret;
DROP FUNCTION try, public_hashes;
ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM regress_reader;
DROP OWNED BY regress_reader, regress_all_data, regress_worker;
DROP ROLE regress_reader, regress_all_data, regress_worker;
