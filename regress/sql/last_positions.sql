-- Jobs at the end of a lane (the lowest priority, positions of more than 48 bits) are claimed like all others, up to the last
-- number that the sequence gives.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

-- One job after the other, each behind those that have gone: a claim must not believe that nothing comes there any more.
CREATE FUNCTION one_by_one(jobs integer, job_priority integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    job bigint;
    found bigint;
    missed integer := 0;
BEGIN
    FOR n IN 1 .. jobs LOOP
        PERFORM FROM claim_queued_jobs('w'); -- nothing is there: that is remembered
        job := enqueue_job('a', 'mail', priority => job_priority);
        SELECT id INTO found FROM claim_queued_jobs('w');
        missed := missed + (found IS DISTINCT FROM job)::integer;
        PERFORM complete_jobs(ARRAY[job], lock_token) FROM job_live WHERE id = job AND lock_token IS NOT NULL;
        DELETE FROM job_live WHERE id = job;
    END LOOP;
    RETURN format('%s missed, last job %s', missed, job);
END
$$;
-- In transactions of their own, so that the ring hears of each.
CREATE PROCEDURE in_transactions(jobs integer, job_priority integer, INOUT missed integer DEFAULT 0) LANGUAGE plpgsql AS $$
DECLARE
    job bigint;
    found bigint;
BEGIN
    FOR n IN 1 .. jobs LOOP
        PERFORM FROM claim_queued_jobs('w');
        COMMIT;
        job := enqueue_job('a', 'mail', priority => job_priority);
        COMMIT;
        found := NULL;
        SELECT id INTO found FROM claim_queued_jobs('w');
        COMMIT;
        missed := missed + (found IS DISTINCT FROM job)::integer;
        PERFORM complete_jobs(ARRAY[job], lock_token) FROM job_live WHERE id = job AND lock_token IS NOT NULL;
        COMMIT;
    END LOOP;
END
$$;
SELECT setval('job_live_id_seq', (2::numeric ^ 48)::bigint - 6);
CALL in_transactions(10, 32767);
CALL in_transactions(10, 32767);
CALL in_transactions(10, -32768);
CALL in_transactions(10, 0);
SELECT one_by_one(3, 32767);

-- Many in one lane, with a priority below and above; in order, as many as a claim wants.
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[50]), 'mail', priority => 32767);
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[50]), 'mail', priority => 32766);
SELECT count(*), min(priority), bool_and(priority = 32766) FROM claim_queued_jobs('w', 50, 50);
SELECT count(*), bool_and(priority = 32767) FROM claim_queued_jobs('w', 30, 50);
SELECT count(*), bool_and(priority = 32767) FROM claim_queued_jobs('w', 50, 50);
SELECT sum(r) FROM (SELECT release_jobs(array_agg(id), lock_token) AS r FROM job_live WHERE lock_token IS NOT NULL GROUP BY lock_token) c;
SELECT count(*) FROM claim_queued_jobs('w', 1000, 1000);
TRUNCATE job_live, job_leases;

-- To the end of bigint, where PostgreSQL gives no further number.
SELECT setval('job_live_id_seq', 9223372036854775807 - 6);
CALL in_transactions(3, 32767);
SELECT one_by_one(2, 32767);
SELECT enqueue_job('a', 'mail', priority => 32767);
\set VERBOSITY terse
SELECT enqueue_job('a', 'mail', priority => 32767);
\set VERBOSITY default
SELECT id FROM claim_queued_jobs('w');
SELECT setval('job_live_id_seq', 1, false);
TRUNCATE job_live, job_leases;
DROP FUNCTION one_by_one;
DROP PROCEDURE in_transactions;
