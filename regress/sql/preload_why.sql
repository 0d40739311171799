-- What why_not_running knows from shared memory: whether anybody claims, and whose turn it is.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
\pset format unaligned
\pset tuples_only on

-- Nobody has claimed since this queue is there: for a while (twice the lease's) that means nothing.
SELECT enqueue_jobs('{a,a}', 'mail');
SELECT id, w - ARRAY['job_id', 'change'] FROM job_live j, why_not_running(j.id) w ORDER BY id;
UPDATE job_live SET updated_at = now() - interval '61 seconds';
SELECT pg_postmaster_start_time() < now() - interval '200 milliseconds' AS up_for_long;
SET fairq.lease_timeout = '100ms';
SELECT id, w - ARRAY['job_id'] FROM job_live j, why_not_running(j.id) w ORDER BY id;
RESET fairq.lease_timeout;

-- Somebody claims, and gets nothing: that counts. What holds the job back counts more.
SELECT set_tenant_limits('a', paused => true);
SELECT count(*) FROM claim_queued_jobs('w');
SELECT set_tenant_limits('a', paused => false);
SELECT w ->> 'reason', now() - (w ->> 'last_claim')::timestamptz < interval '30 seconds' FROM why_not_running(1) w;
SET fairq.lease_timeout = '1s';
SELECT pg_sleep(2.1);
SELECT w ->> 'reason', now() - (w ->> 'last_claim')::timestamptz < interval '30 seconds' FROM why_not_running(1) w;
SELECT set_tenant_limits('a', paused => true);
SELECT why_not_running(1) ->> 'reason';
SELECT set_tenant_limits('a', paused => false);
-- A job that has just come waits no longer than since then.
SELECT why_not_running(enqueue_job('a', 'mail')) ->> 'reason', why_not_running(1) ->> 'reason';
RESET fairq.lease_timeout;

-- Whose turn it is: each claim of one job goes to the tenant that has none ahead. (A new queue: a tenant whose last job was
-- cancelled stays in the ring until a claim has looked.)
SET client_min_messages = warning;
DROP EXTENSION fairq;
CREATE EXTENSION fairq;
RESET client_min_messages;
SET fairq.lease_timeout = '1h'; -- on a slow machine the claims below take longer than the default
SELECT count(*) FROM claim_queued_jobs('w');
SELECT set_tenant_limits('heavy', weight => 4);
SELECT count(*) FROM enqueue_jobs(ARRAY(SELECT t FROM unnest('{heavy,b,c}'::text[]) t, generate_series(1, 50)), 'mail');
CREATE FUNCTION next_ones() RETURNS TABLE (tenant text, ahead text, job bigint) LANGUAGE sql AS $$
    SELECT j.tenant_id, w ->> 'tenants_ahead', j.id
      FROM job_live j, why_not_running(j.id) w WHERE status = 'queued' AND w ->> 'position' = '0' $$;
DO $$
DECLARE
    foreseen record;
    taken bigint;
    right_ones integer := 0;
BEGIN
    PERFORM FROM claim_queued_jobs('w', 3); -- it has seen all three
    COMMIT;
    FOR i IN 1 .. 40 LOOP
        SELECT * INTO STRICT foreseen FROM next_ones() WHERE ahead = '0';
        IF (SELECT count(DISTINCT ahead) < count(*) FROM next_ones()) THEN
            RAISE 'two tenants at one place: %', (SELECT jsonb_agg(to_jsonb(n)) FROM next_ones() n);
        END IF;
        SELECT id INTO STRICT taken FROM claim_queued_jobs('w', 1);
        COMMIT;
        IF taken <> foreseen.job THEN
            RAISE '% foreseen, % taken', foreseen, taken;
        END IF;
        right_ones := right_ones + 1;
    END LOOP;
    RAISE NOTICE '% claims went where they were said to go', right_ones;
END
$$;
-- A tenant that the ring does not know yet has no place in it.
BEGIN;
SELECT why_not_running(enqueue_job('unseen', 'mail')) -> 'tenants_ahead';
ROLLBACK;
