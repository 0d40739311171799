-- A savepoint that rolls back brings back the lanes that were emptied in it, not those of the whole transaction: else a
-- worker that claims, and catches an error before it commits, never gets rid of a lane that has nothing any more, and its
-- claims look at these until they may look at no others.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
CREATE PROCEDURE work(rounds integer, fresh integer) LANGUAGE plpgsql AS $$
DECLARE
    token bigint;
    ids bigint[];
BEGIN
    FOR i IN 1 .. rounds LOOP
        PERFORM enqueue_job('tenant ' || fresh + i, 'mail') WHERE fresh > 0;
        SELECT array_agg(id), max(lock_token) INTO ids, token FROM claim_queued_jobs('w', 2);
        IF ids IS NOT NULL THEN
            PERFORM complete_jobs(ids, token);
        END IF;
        BEGIN
            RAISE EXCEPTION 'no';
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
        COMMIT;
    END LOOP;
END $$;
SELECT count(*) FROM enqueue_jobs((SELECT array_agg('tenant ' || n) FROM generate_series(1, 400) AS n), 'mail');
CALL work(200, 0);
CALL work(50, 400);
SELECT count(*) AS left_over FROM job_live;
-- What was taken in the savepoint is there again at once, also when savepoints in it were released.
SELECT count(*) FROM claim_queued_jobs('w', 500); -- lanes without a job leave
TRUNCATE job_live;
SELECT count(*) FROM enqueue_jobs((SELECT array_agg('tenant ' || n) FROM generate_series(1, 10) AS n), 'mail');
BEGIN;
SELECT count(*) FROM claim_queued_jobs('w', 2);
SAVEPOINT a;
SELECT count(*) FROM claim_queued_jobs('w', 3);
SAVEPOINT b;
SELECT count(*) FROM claim_queued_jobs('w', 50);
SELECT count(*) FROM claim_queued_jobs('w', 50);
RELEASE b;
ROLLBACK TO a;
SELECT count(*) FROM claim_queued_jobs('w', 50);
SELECT count(*) FROM claim_queued_jobs('w', 50);
ROLLBACK;
SELECT count(*) FROM claim_queued_jobs('w', 50);
DROP PROCEDURE work;
