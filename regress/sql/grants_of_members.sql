-- grant_queue_access and revoke_queue_access touch the extension's own functions only: not those of the same name that another
-- extension, or a user, has in the same schema.
CREATE ROLE regress_worker;
CREATE FUNCTION claim_queued_jobs(shop text, more boolean) RETURNS text LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION complete_jobs(shop text) RETURNS text LANGUAGE sql AS 'SELECT $1';
REVOKE ALL ON FUNCTION claim_queued_jobs(text, boolean), complete_jobs(text) FROM PUBLIC;
ALTER EXTENSION plpgsql ADD FUNCTION claim_queued_jobs(text, boolean); -- some other extension
GRANT EXECUTE ON FUNCTION complete_jobs(text) TO regress_worker;

CREATE VIEW rights AS
    SELECT p.oid::regprocedure AS function, has_function_privilege('regress_worker', p.oid, 'EXECUTE') AS may
      FROM pg_proc p WHERE proname IN ('claim_queued_jobs', 'complete_jobs') ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT grant_queue_access('regress_worker', 'worker');
SELECT * FROM rights;
GRANT EXECUTE ON FUNCTION claim_queued_jobs(text, boolean) TO regress_worker;
SELECT revoke_queue_access('regress_worker', 'worker');
SELECT * FROM rights;

DROP VIEW rights;
ALTER EXTENSION plpgsql DROP FUNCTION claim_queued_jobs(text, boolean);
DROP FUNCTION claim_queued_jobs(text, boolean), complete_jobs(text);
DROP OWNED BY regress_worker;
DROP ROLE regress_worker;
