-- The daily partitions of job_history: made ahead, days of UTC whatever the session thinks of dates, with their indexes;
-- and the default partition, for what has no day.
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

SELECT enqueue_job('a', 'mail', max_attempts => 1) AS before_any_partition;
SELECT cancel_job(1);
SELECT tableoid::regclass FROM job_history;

-- Today has a row in the default partition already: that day stays there. Three days ahead.
SELECT make_history_partitions();
SELECT * FROM days;
SELECT make_history_partitions();
SELECT make_history_partitions(5);
SELECT count(*) FROM days;
SELECT enqueue_job('a', 'mail');
SELECT cancel_job(2);
SELECT DISTINCT tableoid::regclass FROM job_history;

-- A tick makes them too, whatever else has that function's name.
DO $$
DECLARE
    day regclass;
BEGIN
    FOR day IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'job_history'::regclass AND inhrelid::regclass::text ~ '[0-9]{8}$' LOOP
        EXECUTE format('DROP TABLE %s', day);
    END LOOP;
END
$$;
SELECT count(*) FROM days;
CREATE FUNCTION make_history_partitions() RETURNS integer LANGUAGE sql AS 'SELECT 0';
SELECT run_job_queue_cron() -> 'claimed' AS claimed;
SELECT count(*) > 0 AS made FROM days;
DROP FUNCTION make_history_partitions();

-- Without such a row today has one, and what finishes goes there.
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
SELECT make_history_partitions(0);
SELECT * FROM days;
SELECT enqueue_job('a', 'mail') AS id;
SELECT cancel_job(1);
SELECT tableoid::regclass::text = 'job_history_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD') AS of_today FROM job_history;
SELECT count(*) AS like_the_default FROM pg_index i, pg_index d
 WHERE i.indrelid = (SELECT tableoid FROM job_history) AND d.indrelid = 'job_history_default'::regclass
   AND i.indkey::text = d.indkey::text AND (i.indpred IS NULL) = (d.indpred IS NULL);

-- Whatever the session's dates look like (IST is more than one zone's name).
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;
SET DateStyle = 'SQL, DMY';
SET TimeZone = 'Asia/Kolkata';
SELECT make_history_partitions(1);
SET DateStyle = 'German';
SET TimeZone = 'America/St_Johns';
SELECT make_history_partitions(2);
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
