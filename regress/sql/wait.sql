-- CALL wait_for_jobs: what it refuses, and whom. (What wakes it: specs/preload_wait.spec.)
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

-- A session that never looked need not wait before it does.
CALL wait_for_jobs('30 seconds');
CALL wait_for_jobs(NULL);
CALL wait_for_jobs('0 seconds');
CALL wait_for_jobs('-1 second');
CALL wait_for_jobs('1 day 1 microsecond');
CALL wait_for_jobs('1 month');

-- Where it cannot commit.
BEGIN;
CALL wait_for_jobs();
ROLLBACK;
CREATE FUNCTION wait_in_function() RETURNS void LANGUAGE plpgsql AS $$
DECLARE woken boolean;
BEGIN
    CALL wait_for_jobs('1 second', woken => woken);
END
$$;
SELECT wait_in_function();
DO $$
DECLARE
    woken boolean;
BEGIN
    PERFORM enqueue_job('a', 'mail');
    CALL wait_for_jobs('30 seconds', woken => woken);
    RAISE NOTICE 'woken: %', woken;
END
$$;
SELECT count(*) FROM claim_queued_jobs('w');

-- Whatever the session's defaults, and whatever stands in its way: the waiter's housekeeping commits.
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.seen(text, text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'this operator is not for you, %', current_user;
END
$$;
CREATE OPERATOR hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.seen);
CREATE FUNCTION hostile.seen(timestamptz, timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'this operator is not for you, %', current_user;
END
$$;
CREATE OPERATOR hostile.<= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = hostile.seen);
CREATE OPERATOR hostile.> (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = hostile.seen);
SELECT FROM enqueue_job('b', 'mail', run_at => now() + interval '100 ms');
\c
SET search_path = hostile, pg_catalog;
SET default_transaction_isolation = serializable;
SET default_transaction_read_only = on;
CALL public.wait_for_jobs('100 ms');
CALL public.wait_for_jobs('30 seconds');
RESET ALL;
SELECT tenant_id FROM claim_queued_jobs('w');

-- Roles: EXECUTE, and the capability "worker".
CREATE ROLE regress_waiter;
CREATE ROLE regress_producer;
SET ROLE regress_waiter;
CALL wait_for_jobs();
RESET ROLE;
SELECT grant_queue_access('regress_waiter', 'worker', 'a');
SELECT grant_queue_access('regress_producer', 'producer');
GRANT EXECUTE ON PROCEDURE wait_for_jobs TO regress_producer;
SET ROLE regress_producer;
CALL wait_for_jobs();
RESET ROLE;
SELECT FROM enqueue_job('a', 'mail');
SET ROLE regress_waiter;
CALL wait_for_jobs();
SELECT current_user;
SELECT tenant_id FROM claim_queued_jobs('w');
RESET ROLE;
DROP OWNED BY regress_waiter, regress_producer;
DELETE FROM queue_access;
DROP ROLE regress_waiter, regress_producer;
DROP SCHEMA hostile CASCADE;
