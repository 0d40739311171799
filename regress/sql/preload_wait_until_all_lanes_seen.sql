-- A claim looks at a bounded number of lanes (20 a job, and 1,000 that it finds held back). A session whose claims found
-- nothing, but stopped for that, is told to go on until they have seen as many lanes as there are; then it waits, however
-- much is queued that nobody may take.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

SELECT count(*) FROM claim_queued_jobs('w', 1); -- from here on the lanes are known
SELECT count(*) FROM generate_series(1, 1050) AS i, set_tenant_limits('t' || i, paused => true);
SELECT count(*) FROM enqueue_jobs(ARRAY(SELECT 't' || i FROM generate_series(1, 1050) i), 'work');
DO $$
DECLARE
    woken boolean;
    told integer := 0;
BEGIN
    CALL wait_for_jobs('1 minute', woken => woken); -- of what has come so far
    LOOP
        PERFORM claim_queued_jobs('w', 1);
        CALL wait_for_jobs('100 milliseconds', woken => woken);
        EXIT WHEN NOT woken;
        told := told + 1;
    END LOOP;
    RAISE NOTICE 'told to go on % times', told;
END
$$;
