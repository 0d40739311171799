-- A session remembers where its last claim left its rows, and completes them there. Whatever happened to them meanwhile:
-- the jobs that are completed are those that were named, as they are now.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
ALTER TABLE job_live SET (autovacuum_enabled = off);

-- What a claim gave, and which of it is what by now.
CREATE TEMP TABLE held (id bigint, lock_token bigint);
CREATE FUNCTION pg_temp.claim(jobs integer) RETURNS bigint LANGUAGE sql AS $$
    DELETE FROM held;
    WITH given AS (INSERT INTO held SELECT id, lock_token FROM claim_queued_jobs('w', $1, $1) RETURNING id)
    SELECT count(*) FROM given;
$$;
CREATE FUNCTION pg_temp.complete(half integer) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM (SELECT complete_jobs(array_agg(id), max(lock_token)) FROM held WHERE id % 2 = half) s;
$$;
CREATE FUNCTION pg_temp.look(OUT status job_status, OUT half bigint, OUT jobs bigint, OUT wrong_payload bigint) RETURNS SETOF record
LANGUAGE sql AS $$
    SELECT status, id % 2, count(*), count(*) FILTER (WHERE payload ->> 'n' IS DISTINCT FROM id::text)
      FROM job_queue WHERE id IN (SELECT id FROM held) GROUP BY 1, 2 ORDER BY 1, 2
$$;
CREATE FUNCTION pg_temp.enqueue(jobs integer) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM enqueue_jobs(array_fill('t'::text, ARRAY[jobs]), 'mail',
                                      ARRAY(SELECT jsonb_build_object('n', last + n)
                                              FROM (SELECT coalesce(max(id), 0) AS last FROM job_queue) l, generate_series(1, jobs) n))
$$;

-- Rewritten. The claim has written its rows into pages of their own; then they stand over twice as many pages, and where a
-- job was there is another one of the same claim. Then they fill few pages, and most of the old ones are gone.
ALTER TABLE job_live SET (fillfactor = 100);
SELECT pg_temp.enqueue(1000);
SELECT pg_temp.claim(1000);
ALTER TABLE job_live SET (fillfactor = 50);
VACUUM FULL job_live;
SELECT pg_temp.complete(1);
SELECT * FROM pg_temp.look();
ALTER TABLE job_live SET (fillfactor = 100);
VACUUM FULL job_live;
SELECT pg_temp.complete(0);
SELECT * FROM pg_temp.look();
ALTER TABLE job_live SET (fillfactor = 45);
SELECT pg_temp.enqueue(500);

-- Changed directly in the table: the newest version goes to history.
SELECT pg_temp.claim(20);
UPDATE job_live SET payload = payload || '{"new": true}' WHERE id IN (SELECT id FROM held) AND id % 2 = 0;
SELECT pg_temp.complete(0), pg_temp.complete(1);
SELECT id % 2 AS half, count(*) FROM job_history WHERE payload ? 'new' GROUP BY 1;
SELECT * FROM pg_temp.look();

-- Some of them given back and claimed again, by a lease that is not theirs.
SELECT pg_temp.claim(20);
SELECT release_jobs(array_agg(id), max(lock_token)) FROM held WHERE id % 2 = 0;
CREATE TEMP TABLE first AS TABLE held;
SELECT pg_temp.claim(10);
TRUNCATE held;
INSERT INTO held TABLE first;
SELECT pg_temp.complete(0), pg_temp.complete(1);
SELECT * FROM pg_temp.look();

-- A claim that is rolled back, and one that a savepoint takes back.
BEGIN;
SELECT pg_temp.claim(20);
ROLLBACK;
SELECT pg_temp.complete(0);
BEGIN;
SELECT pg_temp.claim(20);
TRUNCATE first;
INSERT INTO first TABLE held;
SAVEPOINT s;
SELECT pg_temp.claim(20);
ROLLBACK TO s;
SELECT pg_temp.complete(1);
COMMIT;
SELECT * FROM pg_temp.look();

-- A cap that comes meanwhile marks the running jobs.
SELECT pg_temp.claim(20);
SELECT set_tenant_limits('t', max_concurrency => 100);
SELECT pg_temp.complete(0), pg_temp.complete(1);
SELECT * FROM pg_temp.look();

-- Nothing is there any more.
SELECT set_tenant_limits('t', max_concurrency => 0);
SELECT pg_temp.claim(20);
TRUNCATE job_live;
SELECT pg_temp.complete(0);
