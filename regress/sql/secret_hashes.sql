-- Locks of tenants and keys are hashes by a secret of the database: nobody computes whose lock is which, nor a key with
-- another's lock. The secret is in no table: no role reads it, no dump and no publication has it.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

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

-- Another database has another one, though it has the same tables.
SELECT count(*) AS secrets FROM pg_class WHERE relname ~ 'secret';
SELECT current_database() AS here, current_database() || '_copy' AS copy \gset
CREATE TABLE first_hashes AS SELECT -1::bigint AS hash;
TRUNCATE first_hashes;
BEGIN;
SELECT count(*) FROM claim_queued_jobs('w');
INSERT INTO first_hashes SELECT hash FROM locks;
COMMIT;
SELECT release_jobs(array_agg(id), lock_token) FROM job_live WHERE lock_token IS NOT NULL GROUP BY lock_token;
BEGIN;
SELECT count(*) FROM claim_queued_jobs('w');
SELECT count(*) AS locks, count(*) FILTER (WHERE hash IN (SELECT hash FROM first_hashes)) AS the_same_as_before FROM locks;
COMMIT;
SELECT release_jobs(array_agg(id), lock_token) FROM job_live WHERE lock_token IS NOT NULL GROUP BY lock_token;
\c template1
CREATE DATABASE :"copy" TEMPLATE :"here";
\c :copy
BEGIN;
SELECT count(*) FROM claim_queued_jobs('w');
SELECT count(*) AS locks, count(*) FILTER (WHERE hash IN (SELECT hash FROM first_hashes)) AS the_same_as_there FROM locks;
COMMIT;
\c :here
DROP DATABASE :"copy";
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
DROP VIEW locks;
DROP TABLE first_hashes;
DROP FUNCTION public_hashes;
CREATE EXTENSION fairq;
