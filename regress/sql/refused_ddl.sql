-- What would only be seen when a dump is restored is refused when it is done: a column on a table of fairq, an index on the parent
-- of job_history as a whole. And so is a new name of the schema, under which no function would find its tables.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE SCHEMA regress_queue;
CREATE EXTENSION fairq SCHEMA regress_queue;
RESET client_min_messages;
CREATE FUNCTION try(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE command;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;

ALTER TABLE regress_queue.job_live ADD COLUMN mine text;
ALTER TABLE regress_queue.job_history ADD CONSTRAINT once UNIQUE (id, finished_at);
CREATE INDEX mine ON regress_queue.job_history (job_type);
ALTER SCHEMA regress_queue RENAME TO other;
SET search_path = regress_queue;
SELECT public.try(command), command FROM unnest(ARRAY[
    'ALTER TABLE job_live ADD COLUMN IF NOT EXISTS mine text, ADD COLUMN more text',
    'ALTER TABLE ONLY tenant_limits ADD mine text',
    'ALTER TABLE IF EXISTS job_history ADD COLUMN mine text',
    'ALTER TABLE job_history ADD PRIMARY KEY (id, finished_at)',
    'CREATE INDEX ON ONLY job_history (job_type)',
    -- What may be done, on tables of fairq and on others.
    'CREATE INDEX mine ON job_live (job_type)',
    'CREATE INDEX mine_too ON job_history_default (job_type)',
    'ALTER TABLE job_live ADD CONSTRAINT mine CHECK (job_type <> ''x'')',
    'ALTER TABLE job_live SET (fillfactor = 50)',
    'ALTER TABLE job_nowhere ADD COLUMN mine text',
    'CREATE INDEX ON job_nowhere (job_type)',
    'CREATE TABLE job_notes (id bigint)',
    'ALTER TABLE job_notes ADD COLUMN mine text',
    'CREATE INDEX ON job_notes (mine)',
    'CREATE SCHEMA regress_neighbour',
    'ALTER SCHEMA regress_neighbour RENAME TO regress_neighbour_2',
    'ALTER SCHEMA nowhere RENAME TO regress_neighbour_2',
    'DROP SCHEMA regress_neighbour_2',
    'DROP TABLE job_notes']) AS command;
-- Nothing of that was half done.
SELECT count(*) FROM pg_attribute WHERE attname = 'mine';

-- A partition that is made later gets the indexes of the default partition, one's own included.
DO $$
DECLARE
    day regclass;
BEGIN
    FOR day IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'job_history'::regclass AND inhrelid::regclass::text ~ '[0-9]{8}$' LOOP
        EXECUTE format('DROP TABLE %s', day);
    END LOOP;
END
$$;
SELECT make_history_partitions(0);
SELECT count(*) AS indexes, count(*) FILTER (WHERE pg_get_indexdef(indexrelid) ~ 'btree \(job_type\)') AS mine
  FROM pg_index WHERE indrelid = (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'job_history'::regclass AND inhrelid::regclass::text ~ '[0-9]{8}$');

-- Who knows better can have it.
ALTER EVENT TRIGGER fairq_check_ddl DISABLE;
SELECT public.try('ALTER TABLE job_live ADD COLUMN mine text');
RESET search_path;
SET client_min_messages = warning;
DROP EXTENSION fairq CASCADE;
DROP SCHEMA regress_queue;
DROP FUNCTION try;
CREATE EXTENSION fairq;
SELECT evtname, evtenabled FROM pg_event_trigger;
