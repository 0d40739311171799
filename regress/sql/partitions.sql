-- The daily partitions of job_history: made by CREATE EXTENSION and then ahead of time, days of UTC whatever the session thinks
-- of dates, with their indexes; and the default partition, for what has no day, which does not keep it.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

-- Name, and bounds as points in time; days from today.
CREATE TEMP VIEW days AS
    SELECT substr(relname, 13)::date - (now() AT TIME ZONE 'UTC')::date AS day, first = name_day AS begins, next = name_day + interval '1 day' AS ends
      FROM (SELECT relname, substr(relname, 13)::date::timestamp AT TIME ZONE 'UTC' AS name_day, b[1]::timestamptz AS first, b[2]::timestamptz AS next
              FROM pg_class, regexp_match(pg_get_expr(relpartbound, oid), 'FROM \(''(.*)''\) TO \(''(.*)''\)') AS b
             WHERE relispartition AND relkind = 'r' AND relname ~ '^job_history_[0-9]{8}$') s
     ORDER BY 1;

CREATE PROCEDURE drop_days() LANGUAGE plpgsql AS $$
DECLARE
    day regclass;
BEGIN
    FOR day IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'job_history'::regclass AND inhrelid::regclass::text ~ '[0-9]{8}$' LOOP
        EXECUTE format('DROP TABLE %s', day);
    END LOOP;
END
$$;

-- A new installation has today and three days more. None is a member of the extension: pg_dump would fail. What finishes goes
-- to its day.
SELECT * FROM days;
SELECT count(*) AS members FROM pg_depend
 WHERE deptype = 'e' AND classid = 'pg_class'::regclass AND objid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'job_history'::regclass);
SELECT make_history_partitions();
SELECT enqueue_job('a', 'mail');
SELECT cancel_job(1);
SELECT tableoid::regclass::text = 'job_history_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD') AS of_today FROM job_history;
SELECT count(*) AS like_the_default FROM pg_index i, pg_index d
 WHERE i.indrelid = (SELECT tableoid FROM job_history) AND d.indrelid = 'job_history_default'::regclass
   AND i.indkey::text = d.indkey::text AND (i.indpred IS NULL) = (d.indpred IS NULL);

-- While there is no partition, the default one takes the jobs; then each goes to its day.
CALL drop_days();
SELECT enqueue_job('a', 'mail', max_attempts => 1) AS before_any_partition;
SELECT cancel_job(2);
SELECT count(*) FROM enqueue_jobs(array_fill('a'::text, ARRAY[3]), 'mail');
SELECT count(*) FROM (SELECT complete_jobs(array_agg(id), lock_token) FROM claim_queued_jobs('w') GROUP BY lock_token) c;
SELECT DISTINCT tableoid::regclass FROM job_history;
UPDATE job_history SET finished_at = '2020-02-29 23:59:59.999999+00' WHERE id = 3;
UPDATE job_history SET finished_at = '2020-03-01 00:00+00' WHERE id = 4;
SELECT make_history_partitions();
SELECT count(*) FROM days;
SELECT id, replace(tableoid::regclass::text, to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD'), 'TODAY') AS partition FROM job_history ORDER BY id;
SELECT pg_relation_size('job_history_default') AS bytes;
SELECT make_history_partitions();
SELECT make_history_partitions(5);

-- A partition of one's own in place of a day stays, and what comes there.
CALL drop_days();
CREATE TABLE mine PARTITION OF job_history FOR VALUES FROM (now()) TO (now() + interval '1 day');
SELECT make_history_partitions();
SELECT min(day), count(*) FROM days;
DROP TABLE mine;

-- A large default partition: no call scans it under an exclusive lock, or moves rows while it holds one. A call says of days on
-- which nothing finishes now that they do not belong there, the next one makes their partitions: first the days to come, then
-- one past day after the other.
CALL drop_days();
TRUNCATE job_history;
INSERT INTO job_history
SELECT n, 'default', 'a', 'mail', 0, now(), 5, '1 minute', NULL, NULL, NULL, NULL, now(), to_jsonb(repeat('x', 900)), 'completed', 1, NULL, NULL, NULL, NULL,
       now() - n % 3 * interval '1 day'
  FROM generate_series(1, 24000) AS n;
SELECT pg_relation_size('job_history_default') > 16 * 1024 * 1024 AS large;
CREATE TEMP TABLE steps (step integer, made integer, days text, rest bigint);
CREATE PROCEDURE step() LANGUAGE plpgsql AS $$
DECLARE
    n integer := make_history_partitions();
BEGIN
    INSERT INTO steps SELECT 1 + count(*), n, (SELECT string_agg(day::text, ' ') FROM days), (SELECT count(*) FROM job_history_default)
      FROM steps;
    COMMIT;
END
$$;
CALL step(); CALL step(); CALL step(); CALL step(); CALL step(); CALL step(); CALL step();
SELECT step, made, days, rest FROM steps;
SELECT count(*), count(DISTINCT id) FROM job_history;
-- Jobs finish meanwhile, between the two steps too.
ALTER TABLE job_history_default ADD CONSTRAINT thinning_out CHECK (finished_at < '2020-01-01 00:00+00' OR finished_at >= '2020-01-02 00:00+00') NOT VALID;
COMMENT ON CONSTRAINT thinning_out ON job_history_default IS '2020-01-01 to 2020-01-01';
SELECT cancel_job(enqueue_job('a', 'mail'));
SELECT make_history_partitions();
SELECT min(day) < -365 AS that_day FROM days;
SELECT conname FROM pg_constraint WHERE conrelid = 'job_history_default'::regclass AND conname <> 'job_history_status';
SELECT count(*) AS as_ever FROM pg_class c JOIN pg_inherits ON inhrelid = c.oid
 WHERE inhparent = 'job_history'::regclass AND relreplident = 'f' AND (SELECT count(*) FROM pg_constraint WHERE conrelid = c.oid) = 1;
-- When its last rows have gone, it is small again.
DELETE FROM job_history_default;
SELECT make_history_partitions() > 0 AS today_and_tomorrow, pg_relation_size('job_history_default') AS bytes;
DROP PROCEDURE step;

-- A tick makes them too, whatever else has that function's name.
SELECT format('ALTER DATABASE %I SET fairq.history_days_ahead = 2', current_database()) \gexec
CALL drop_days();
CREATE FUNCTION make_history_partitions() RETURNS integer LANGUAGE sql AS 'SELECT 0';
SELECT run_job_queue_cron() -> 'claimed' AS claimed;
SELECT min(day), max(day) FROM days;
DROP FUNCTION make_history_partitions();

-- So do claims, without ticks: in a process of its own, because the claim's transaction may last.
\c -
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
CREATE TEMP VIEW days AS
    SELECT substr(relname, 13)::date - (now() AT TIME ZONE 'UTC')::date AS day FROM pg_class WHERE relispartition AND relkind = 'r' AND relname ~ '^job_history_[0-9]{8}$';
CALL drop_days();
SELECT cancel_job(enqueue_job('a', 'mail'));
CREATE PROCEDURE claim_until_there_are_days() LANGUAGE plpgsql AS $$
BEGIN
    FOR attempt IN 1 .. 1200 LOOP
        PERFORM FROM claim_queued_jobs('w');
        COMMIT;
        EXIT WHEN (SELECT count(*) FROM days) > 0;
        PERFORM pg_sleep(0.05);
        COMMIT;
    END LOOP;
END
$$;
CALL claim_until_there_are_days();
SELECT min(day), max(day) FROM days;
SELECT count(*) FROM job_history_default;
SELECT format('ALTER DATABASE %I RESET fairq.history_days_ahead', current_database()) \gexec
DROP PROCEDURE claim_until_there_are_days;
\c -
CREATE TEMP VIEW days AS
    SELECT substr(relname, 13)::date - (now() AT TIME ZONE 'UTC')::date AS day, first = name_day AS begins, next = name_day + interval '1 day' AS ends
      FROM (SELECT relname, substr(relname, 13)::date::timestamp AT TIME ZONE 'UTC' AS name_day, b[1]::timestamptz AS first, b[2]::timestamptz AS next
              FROM pg_class, regexp_match(pg_get_expr(relpartbound, oid), 'FROM \(''(.*)''\) TO \(''(.*)''\)') AS b
             WHERE relispartition AND relkind = 'r' AND relname ~ '^job_history_[0-9]{8}$') s
     ORDER BY 1;

-- Whatever the session's dates look like (IST is more than one zone's name).
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
SET DateStyle = 'SQL, DMY';
SET TimeZone = 'Asia/Kolkata';
CREATE EXTENSION fairq;
RESET client_min_messages;
SELECT make_history_partitions(4);
SET DateStyle = 'German';
SET TimeZone = 'America/St_Johns';
SELECT make_history_partitions(5);
RESET DateStyle;
RESET TimeZone;
SELECT * FROM days;

-- Redriven from there and completed there.
SELECT enqueue_job('a', 'mail', max_attempts => 1) AS id;
SELECT fail_job(1, lock_token, 'no') FROM claim_queued_jobs('w');
SELECT redrive_dead_jobs();
SELECT complete_jobs(ARRAY[1], lock_token) FROM claim_queued_jobs('w');
SELECT id, status FROM job_queue;
DROP VIEW days;
DROP PROCEDURE drop_days;
