-- A claim reads lanes from the index's own pages. Whatever the index looks like, it has to find each job once,
-- in the order of priority, then of arrival: beside tenants whose names begin alike, behind dead entries, with
-- many entries of one job, across pages that were split or emptied.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
ALTER TABLE job_live SET (autovacuum_enabled = off, fillfactor = 100);
CREATE TEMP TABLE claimed (n serial, id bigint, tenant_id text, priority smallint, token bigint);

-- Claims until there is nothing more, in calls of that many. Is the order right, and is it all?
CREATE FUNCTION drain(at_once int) RETURNS TABLE (jobs bigint, in_order boolean, missing bigint) LANGUAGE plpgsql AS $$
DECLARE
    expected text[] := (SELECT array_agg(tenant_id || ' ' || priority || ' ' || id ORDER BY tenant_id COLLATE "C", priority, position)
                          FROM job_live WHERE status = 'queued');
    got text[];
BEGIN
    TRUNCATE claimed;
    LOOP
        INSERT INTO claimed (id, tenant_id, priority, token)
            SELECT q.id, q.tenant_id, q.priority, q.lock_token FROM claim_queued_jobs('w', at_once) q;
        EXIT WHEN NOT FOUND;
    END LOOP;
    SELECT array_agg(c.tenant_id || ' ' || c.priority || ' ' || c.id ORDER BY c.tenant_id COLLATE "C", c.n) INTO got FROM claimed c;
    RETURN QUERY SELECT cardinality(got)::bigint, got = expected, count(*) FROM job_live WHERE status = 'queued';
END $$;
-- Completes what was claimed, by a part of each lease at a time, with ids that are not there, or of others, among them.
CREATE FUNCTION finish() RETURNS TABLE (completed bigint, again bigint, in_history bigint) LANGUAGE plpgsql AS $$
BEGIN
    SELECT count(*) INTO completed FROM (SELECT token, n % 3 AS part, array_agg(id ORDER BY -id) || array_agg(id + 1) AS ids
                                           FROM claimed GROUP BY 1, 2) AS c, complete_jobs(c.ids, c.token);
    SELECT count(*) INTO again FROM (SELECT token, array_agg(id) AS ids FROM claimed GROUP BY 1) AS c, complete_jobs(c.ids, c.token);
    SELECT count(DISTINCT h.id) INTO in_history FROM job_history h JOIN claimed USING (id);
    RETURN NEXT;
END $$;
CREATE FUNCTION refill() RETURNS bigint LANGUAGE sql AS $$
    DELETE FROM job_live;
    SELECT count(enqueue_job(t.name, 'x', priority := p.n - 2))
      FROM generate_series(1, 200) AS i, (VALUES ('a'), ('a ' ), ('aa'), (repeat('a', 255)), ('b')) AS t (name), generate_series(1, 3) AS p (n);
$$;

SELECT refill();
SELECT * FROM drain(50);
SELECT refill();
SELECT * FROM drain(1000);
SELECT refill();
SELECT * FROM drain(7);
SELECT * FROM finish();

-- Many entries of one job: its versions do not fit its page, and vacuum has not come. They become lists.
SELECT refill();
DO $$ BEGIN
    FOR i IN 1 .. 20 LOOP
        UPDATE job_live SET payload = jsonb_build_object('n', i, 'p', repeat('p', 200)) WHERE id % 7 = 0;
    END LOOP;
END $$;
SELECT * FROM drain(50);
SELECT * FROM finish();

-- Dead entries before, between and behind the living ones; pages that are empty, then gone.
SELECT refill();
DELETE FROM job_live WHERE id % 10 <> 0 OR priority = -1;
SELECT * FROM drain(50);
SELECT refill();
DELETE FROM job_live WHERE priority < 1;
VACUUM job_live;
SELECT * FROM drain(50);

-- What was claimed comes back, with new entries beside its old ones.
SELECT refill();
SELECT * FROM drain(500);
SELECT sum(released) FROM (SELECT release_jobs(array_agg(id), token) AS released FROM claimed GROUP BY token) AS r;
SELECT * FROM drain(50);

-- A row that has to be made smaller has its tenant's name compressed, and so has each later entry of it. The names of
-- other lanes stand on the same pages.
SELECT count(*) FROM (
    SELECT array_agg(repeat(chr(97 + n % 26), 200 + n % 7)) AS tenants, array_agg(jsonb_build_object('p', (
        SELECT string_agg(md5(n || '.' || i), '') FROM generate_series(1, 50 + n % 12) AS i))) AS payloads
    FROM generate_series(1, 500) AS n) AS new, enqueue_jobs(new.tenants, 'mail', new.payloads);
REINDEX INDEX job_live_lane;
SELECT pg_column_compression(tenant_id) IS NOT NULL AS compressed, count(*) > 100 AS many FROM job_live GROUP BY 1 ORDER BY 1;
SELECT * FROM drain(50);
SELECT * FROM finish();

-- An index of that name that is another: nobody reads its entries for lanes.
BEGIN;
DROP INDEX job_live_lane;
CREATE INDEX job_live_lane ON job_live (queue, tenant_id, position, priority) WHERE position IS NOT NULL;
SAVEPOINT replaced;
SELECT FROM claim_queued_jobs('w', 1);
ROLLBACK TO replaced;
DROP INDEX job_live_lane;
CREATE INDEX job_live_lane ON job_live (queue, tenant_id, priority, position DESC) WHERE position IS NOT NULL;
SAVEPOINT replaced;
SELECT FROM claim_queued_jobs('w', 1);
ROLLBACK;
DROP FUNCTION drain, refill, finish;
