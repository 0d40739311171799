-- A library meets the script of its own version, or no function works: each error names both.
CREATE EXTENSION IF NOT EXISTS fairq;
SELECT extversion AS version FROM pg_extension WHERE extname = 'fairq' \gset
\set SHOW_CONTEXT never
UPDATE pg_extension SET extversion = '0.0.9' WHERE extname = 'fairq'; -- as if a new library had been installed alone
\c
SELECT enqueue_job('a', 'mail');
SELECT * FROM claim_queued_jobs('w');
CALL wait_for_jobs('1 second');
SELECT run_job_queue_cron();
UPDATE pg_extension SET extversion = :'version' WHERE extname = 'fairq';
SELECT enqueue_job('a', 'mail') > 0 AS enqueued;

-- Functions that change while a session works, as an update changes them, are noticed.
UPDATE pg_extension SET extversion = '99.0.0' WHERE extname = 'fairq';
SELECT enqueue_job('a', 'mail') > 0 AS not_noticed_yet;
COMMENT ON FUNCTION enqueue_job IS 'touched';
ALTER FUNCTION enqueue_job COST 2;
SELECT enqueue_job('a', 'mail');
UPDATE pg_extension SET extversion = :'version' WHERE extname = 'fairq';
SELECT enqueue_job('a', 'mail') > 0 AS enqueued;
