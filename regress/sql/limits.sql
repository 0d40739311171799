-- set_tenant_limits, pause_job_type, resume_job_type: every argument, what is left, removed and refused.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
\pset null '-'

CREATE FUNCTION pg_temp.shown(l tenant_limits) RETURNS text LANGUAGE sql AS
    $$ SELECT concat_ws(' ', l.tenant_id, l.weight, coalesce(l.max_concurrency::text, '-'), coalesce(l.rate_per_second::text, '-'),
                        coalesce(l.burst::text, '-'), coalesce(l.max_pending::text, '-'), l.paused,
                        coalesce(l.enqueue_rate_per_second::text, '-'), coalesce(l.enqueue_burst::text, '-'), coalesce(l.cap_pending_since::text, '-')) $$;
-- The row after one call: tenant, weight, max_concurrency, rate, burst, max_pending, paused, enqueue rate and burst, cap_pending_since.
CREATE FUNCTION pg_temp.set(arguments text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT set_tenant_limits(%s)', arguments);
    RETURN (SELECT pg_temp.shown(l) FROM tenant_limits l WHERE l.tenant_id = substring(arguments FROM '''(.)'));
END
$$;

-- A tenant without a row; nothing given; each value by itself; all of them at once, by place.
SELECT pg_temp.set($$ 'a' $$);
SELECT pg_temp.set($$ 'a', weight => 1000 $$);
SELECT pg_temp.set($$ 'a', max_concurrency => 3 $$);
SELECT pg_temp.set($$ 'a', rate_per_second => 2.5 $$);
SELECT pg_temp.set($$ 'a', max_pending => 9223372036854775807 $$);
SELECT pg_temp.set($$ 'a', paused => true $$);
SELECT pg_temp.set($$ 'a', enqueue_rate_per_second => 0.25 $$);
SELECT pg_temp.set($$ 'a' $$);
SELECT pg_temp.set($$ 'b', 2, 3, 4, 5, 6, true, 7, 8 $$);

-- A burst goes with its rate: it stays when the rate changes, a rate without one gets one, and it leaves with the rate.
SELECT pg_temp.set($$ 'a', burst => 9 $$);
SELECT pg_temp.set($$ 'a', rate_per_second => 1000000, enqueue_burst => 7 $$);
SELECT pg_temp.set($$ 'a', rate_per_second => 0 $$);
SELECT pg_temp.set($$ 'a', rate_per_second => 1000000, enqueue_rate_per_second => 0 $$);
SELECT pg_temp.set($$ 'c', rate_per_second => 1e-300, burst => 2147483647 $$);

-- A cap is cap_pending_since where there was none, not where it changes; removed, nothing is left of it.
SELECT pg_temp.set($$ 'b', max_concurrency => 4 $$);
UPDATE tenant_limits SET cap_pending_since = '4711' WHERE tenant_id = 'b';
SELECT pg_temp.set($$ 'b', max_concurrency => 5 $$);
SELECT pg_temp.set($$ 'b', weight => 7 $$);
SELECT pg_temp.set($$ 'b', max_concurrency => 0 $$);
SELECT pg_temp.set($$ 'b', max_concurrency => 1 $$);

-- Removing: 0 for limits, false for paused. What a rate kept goes with it, and what was counted for max_pending.
INSERT INTO tenant_rates SELECT 'b', s, now() FROM unnest(ARRAY['claim', 'enqueue']) s;
INSERT INTO tenant_rates SELECT 'c', s, now() FROM unnest(ARRAY['claim', 'enqueue']) s;
INSERT INTO tenant_pending VALUES ('b', 5), ('c', 5);
SELECT pg_temp.set($$ 'b', rate_per_second => 0 $$);
SELECT tenant_id, side FROM tenant_rates ORDER BY 1, 2;
SELECT pg_temp.set($$ 'b', 1, 0, 0, NULL, 0, false, 0 $$);
SELECT tenant_id, side FROM tenant_rates ORDER BY 1, 2;
SELECT tenant_id, change FROM tenant_pending;

-- Refused, and nothing is changed: neither the row of a tenant that has one, nor a row of one that has none.
CREATE TEMP TABLE before AS SELECT l::text FROM tenant_limits l;
CREATE FUNCTION pg_temp.refused(arguments text[]) RETURNS TABLE (call text, code text, message text, hint text) LANGUAGE plpgsql AS $$
BEGIN
    FOREACH call IN ARRAY arguments LOOP
        BEGIN
            EXECUTE format('SELECT %s', call);
            code := 'accepted';
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
\pset format unaligned
\pset fieldsep '  '
\pset footer off
SELECT * FROM pg_temp.refused(ARRAY[
    $$set_tenant_limits(NULL)$$, $$set_tenant_limits('')$$, $$set_tenant_limits(repeat('x', 256))$$,
    $$set_tenant_limits(convert_from('\xff', 'UTF8'))$$,
    $$set_tenant_limits('n', weight => 0)$$, $$set_tenant_limits('n', weight => -1)$$, $$set_tenant_limits('n', weight => 1001)$$,
    $$set_tenant_limits('n', max_concurrency => -1)$$, $$set_tenant_limits('n', max_concurrency => -2147483648)$$,
    $$set_tenant_limits('n', rate_per_second => -1)$$, $$set_tenant_limits('n', rate_per_second => 'NaN')$$,
    $$set_tenant_limits('n', rate_per_second => 'Infinity')$$, $$set_tenant_limits('n', rate_per_second => '-Infinity')$$,
    $$set_tenant_limits('n', rate_per_second => 1000000.1)$$, $$set_tenant_limits('n', rate_per_second => -1e-300)$$,
    $$set_tenant_limits('n', burst => 5)$$, $$set_tenant_limits('n', rate_per_second => 1, burst => 0)$$,
    $$set_tenant_limits('n', rate_per_second => 1, burst => -1)$$, $$set_tenant_limits('a', rate_per_second => 0, burst => 5)$$,
    $$set_tenant_limits('n', max_pending => -1)$$, $$set_tenant_limits('n', max_pending => -9223372036854775808)$$,
    $$set_tenant_limits('n', enqueue_rate_per_second => -1)$$, $$set_tenant_limits('n', enqueue_rate_per_second => 'NaN')$$,
    $$set_tenant_limits('n', enqueue_rate_per_second => 'Infinity')$$, $$set_tenant_limits('n', enqueue_rate_per_second => 1e7)$$,
    $$set_tenant_limits('n', enqueue_burst => 5)$$, $$set_tenant_limits('n', enqueue_rate_per_second => 1, enqueue_burst => 0)$$,
    $$set_tenant_limits('n', rate_per_second => 1, enqueue_burst => 5)$$,
    $$pause_job_type(NULL)$$, $$pause_job_type('')$$, $$pause_job_type(repeat('x', 256))$$,
    $$resume_job_type(NULL)$$, $$resume_job_type('')$$, $$resume_job_type(repeat('x', 256))$$]);
SELECT count(*) AS changed FROM (SELECT l::text FROM tenant_limits l EXCEPT TABLE before) s;
\pset format aligned
\pset footer on

-- Limits act on the next enqueue: set, raised, removed, removed by a rollback, and so in the transaction that sets them.
\set VERBOSITY terse
SELECT set_tenant_limits('t', max_pending => 1);
SELECT enqueue_job('t', 'mail') > 0 AS enqueued;
SELECT enqueue_job('t', 'mail');
SELECT set_tenant_limits('t', max_pending => 2);
SELECT enqueue_job('t', 'mail') > 0 AS enqueued;
SELECT enqueue_job('t', 'mail');
BEGIN;
SELECT set_tenant_limits('t', max_pending => 0);
SELECT enqueue_job('t', 'mail') > 0 AS enqueued;
ROLLBACK;
SELECT enqueue_job('t', 'mail');
BEGIN;
SAVEPOINT s;
SELECT set_tenant_limits('t', max_pending => 0);
SELECT enqueue_job('t', 'mail') > 0 AS enqueued;
ROLLBACK TO s;
SELECT enqueue_job('t', 'mail');
ROLLBACK;
SELECT set_tenant_limits('t', max_pending => 0);
SELECT enqueue_job('t', 'mail') > 0 AS enqueued;
-- Whoever changes the table by hand, too.
INSERT INTO tenant_limits (tenant_id, max_pending) VALUES ('u', 1);
SELECT enqueue_jobs(ARRAY['u', 'u'], 'mail');
UPDATE tenant_limits SET max_pending = 2 WHERE tenant_id = 'u';
SELECT count(*) FROM enqueue_jobs(ARRAY['u', 'u'], 'mail');
SELECT enqueue_job('u', 'mail');
TRUNCATE tenant_limits;
SELECT enqueue_job('u', 'mail') > 0 AS enqueued;
\set VERBOSITY default

-- Pausing and resuming a job type.
SELECT pause_job_type('mail') AS paused, pause_job_type('mail') AS again, resume_job_type('other') AS other;
TABLE paused_job_types;
SELECT resume_job_type('mail') AS resumed, resume_job_type('mail') AS again;
TABLE paused_job_types;
SELECT pause_job_type('mail') AS paused;
TABLE paused_job_types;
