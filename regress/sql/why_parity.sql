-- What why_not_running says, and what a claim does next, over many states that chance makes: they may never disagree.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
SET fairq.lease_timeout = '1h';

CREATE TEMP TABLE verdict (id bigint, tenant text, reason text, place bigint, ahead int, key text);
CREATE TEMP TABLE seen (reason text PRIMARY KEY, times int);
CREATE FUNCTION pick(variadic choices text[]) RETURNS text LANGUAGE sql AS
    $$ SELECT choices[1 + floor(random() * cardinality(choices))::int] $$;

-- Tenant capped has a cap, slow has a rate, keyed has concurrency keys, and everybody is paused now and then.
CREATE PROCEDURE change() LANGUAGE plpgsql AS $$
DECLARE
    what text := pick('enqueue', 'enqueue', 'later', 'run', 'claim', 'claim', 'complete', 'fail', 'release', 'due', 'pause', 'resume',
                      'pause type', 'resume type', 'cap', 'no cap', 'rate');
    chosen bigint[] := ARRAY(SELECT id FROM job_live WHERE status = 'locked' AND random() < 0.4);
BEGIN
    CASE what
    WHEN 'enqueue' THEN
        PERFORM enqueue_jobs(array_fill(t, ARRAY[3]), pick('x', 'y'), priority => pick('-1', '0', '1')::int,
                             concurrency_keys => CASE WHEN t = 'keyed' THEN ARRAY[pick('1', '2'), pick('1', '2', NULL), NULL] END)
           FROM pick('free', 'other', 'capped', 'slow', 'keyed') t;
    WHEN 'later' THEN PERFORM enqueue_job(pick('free', 'keyed'), pick('x', 'y'), run_at => now() + interval '1 hour');
    WHEN 'run' THEN
        PERFORM enqueue_job('free', 'x', run_id => r, stage => 2), enqueue_job('free', 'y', run_id => r, stage => 1)
           FROM create_pipeline_run('free', 'run') r;
    WHEN 'claim' THEN PERFORM FROM claim_queued_jobs('w', pick('1', '3', '10')::int, pick('1', '2', '50')::int);
    WHEN 'complete' THEN PERFORM complete_jobs(ARRAY[id], lock_token) FROM job_live WHERE id = ANY (chosen);
    WHEN 'fail' THEN
        PERFORM fail_job(id, lock_token, 'on purpose') FROM job_live WHERE id = ANY (chosen);
        UPDATE job_live SET due_at = now() + interval '1 hour' WHERE due_at IS NOT NULL; -- whatever the jitter said
    WHEN 'release' THEN PERFORM release_jobs(ARRAY[id], lock_token) FROM job_live WHERE id = ANY (chosen);
    WHEN 'due' THEN UPDATE job_live SET due_at = now() WHERE due_at IS NOT NULL AND random() < 0.3;
    WHEN 'pause' THEN PERFORM set_tenant_limits(pick('free', 'other', 'capped', 'slow', 'keyed'), paused => true);
    WHEN 'resume' THEN PERFORM set_tenant_limits(t, paused => false) FROM unnest(ARRAY['free', 'other', 'capped', 'slow', 'keyed']) t;
    WHEN 'pause type' THEN PERFORM pause_job_type('y');
    WHEN 'resume type' THEN PERFORM resume_job_type('y');
    WHEN 'cap' THEN PERFORM set_tenant_limits('capped', max_concurrency => pick('1', '2', '4')::int);
    WHEN 'no cap' THEN PERFORM set_tenant_limits('capped', max_concurrency => 0);
    WHEN 'rate' THEN PERFORM set_tenant_limits('slow', rate_per_second => pick('0', '0.0001')::float);
    END CASE;
END
$$;

-- What a claim takes; it is rolled back.
CREATE FUNCTION taken(most int, tenant_cap int) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[];
BEGIN
    BEGIN
        ids := ARRAY(SELECT id FROM claim_queued_jobs('checker', most, tenant_cap));
        RAISE EXCEPTION USING ERRCODE = 'T0000';
    EXCEPTION WHEN SQLSTATE 'T0000' THEN
    END;
    RETURN ids;
END
$$;

CREATE PROCEDURE judge() LANGUAGE sql AS $$
    TRUNCATE verdict;
    INSERT INTO verdict
    SELECT j.id, j.tenant_id, w ->> 'reason', (w ->> 'position')::bigint, (w ->> 'tenants_ahead')::int, j.concurrency_key
      FROM job_live j, why_not_running(j.id) w;
    INSERT INTO seen SELECT reason, count(*) FROM verdict GROUP BY reason
        ON CONFLICT (reason) DO UPDATE SET times = seen.times + excluded.times;
$$;

-- Jobs that housekeeping puts back first may go before those that waited.
-- One sentence for each thing that a claim of so many, no more than tenant_cap of a tenant, did not do as was said.
CREATE FUNCTION disagreements(ids bigint[], most int, tenant_cap int) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format('job %s of %s was taken, and it was %s', v.id, tenant, reason)
      FROM verdict v WHERE id = ANY (ids) AND reason NOT IN ('waiting', 'housekeeping')
    UNION ALL
    SELECT format('job %s was %s, and job %s was running with its key', v.id, v.reason, r.id)
      FROM verdict v JOIN verdict r ON r.tenant = v.tenant AND r.key = v.key AND r.reason = 'running'
     WHERE v.reason IN ('waiting', 'housekeeping')
    UNION ALL
    SELECT format('job %s of %s was next, and %s was taken', v.id, tenant, ids)
      FROM verdict v
     WHERE most = 1 AND reason = 'waiting' AND place = 0 AND ahead = 0 AND ids <> ARRAY[v.id]
       AND NOT EXISTS (SELECT FROM verdict WHERE reason = 'housekeeping')
    UNION ALL
    SELECT format('job %s of %s was at place %s, and with %s of each tenant %s were taken', v.id, tenant, place, tenant_cap, ids)
      FROM verdict v
     WHERE most > 1 AND reason = 'waiting' AND tenant IN ('free', 'other') AND (place < tenant_cap) <> (id = ANY (ids))
       AND NOT EXISTS (SELECT FROM verdict h WHERE h.tenant = v.tenant AND h.reason = 'housekeeping')
    UNION ALL
    SELECT format('nothing of %s was taken, and %s were waiting', tenant, array_agg(id))
      FROM verdict v WHERE most > 1 AND reason IN ('waiting', 'housekeeping') GROUP BY tenant
    HAVING NOT array_agg(id) && ids AND bool_or(reason = 'waiting')
    UNION ALL
    SELECT format('jobs of capped: %s waiting, %s taken, limits %s', count(*), count(*) FILTER (WHERE v.id = ANY (ids)), max(l::text))
      FROM verdict v JOIN tenant_limits l ON l.tenant_id = 'capped' AND l.max_concurrency IS NOT NULL
     WHERE most > 1 AND v.tenant = 'capped' AND v.reason = 'waiting'
       AND NOT EXISTS (SELECT FROM verdict WHERE tenant = 'capped' AND reason = 'housekeeping')
    HAVING count(*) FILTER (WHERE v.id = ANY (ids)) <>
           least(count(*), tenant_cap, max(max_concurrency) - (SELECT count(*) FROM verdict WHERE tenant = 'capped' AND reason = 'running'))
$$;

SELECT setseed(0.42);
DO $$
DECLARE
    said text;
    tenant_cap int;
BEGIN
    FOR i IN 1 .. 150 LOOP
        CALL change();
        COMMIT;
        CALL judge();
        FOR said IN SELECT disagreements(taken(1, 1), 1, 1) LOOP
            RAISE WARNING 'state %: %', i, said;
        END LOOP;
        tenant_cap := pick('1', '2', '10000')::int;
        FOR said IN SELECT disagreements(taken(10000, tenant_cap), 10000, tenant_cap) LOOP
            RAISE WARNING 'state %: %', i, said;
        END LOOP;
        COMMIT;
    END LOOP;
END
$$;
SELECT count(*) >= 8 AS most_reasons_seen FROM seen;
