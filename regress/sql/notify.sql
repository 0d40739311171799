-- NOTIFY payloads: cut at whole characters, never too long, and known to be cut.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS fairq CASCADE;
CREATE EXTENSION fairq;
RESET client_min_messages;

-- One, two, three and four bytes a character, at every limit around them.
-- (Unaligned: psql 14 draws columns of such characters wider.)
\a
SELECT most, truncate_notify_payload('aé€😀z', most) AS cut, octet_length(truncate_notify_payload('aé€😀z', most)) AS bytes
  FROM generate_series(1, 12) most;
\a
SELECT truncate_notify_payload('') = '' AS empty, truncate_notify_payload('é', 1) = '' AS nothing_fits;
SELECT octet_length(truncate_notify_payload(repeat('x', 7998))) AS under, octet_length(truncate_notify_payload(repeat('x', 7999))) AS exact,
       octet_length(truncate_notify_payload(repeat('x', 8000))) AS over, octet_length(truncate_notify_payload(repeat('x', 1000000))) AS far_over;
SELECT octet_length(truncate_notify_payload(repeat('é', 4000))) AS two, octet_length(truncate_notify_payload(repeat('€', 3000))) AS three,
       octet_length(truncate_notify_payload(repeat('😀', 2000))) AS four;
-- Always the longest beginning: one character more would not fit.
SELECT bool_and(octet_length(cut) <= most AND starts_with(whole, cut) AND (cut = whole OR octet_length(left(whole, length(cut) + 1)) > most)) AS longest
  FROM (SELECT whole, most, truncate_notify_payload(whole, most) AS cut
          FROM generate_series(1, 200) most, unnest(ARRAY[repeat('aé€😀', 20), repeat('😀', 60), repeat('é', 7), 'short']) whole) s;

-- In another encoding: a byte a character, and double bytes.
SELECT format('CREATE DATABASE regress_fairq_%s TEMPLATE template0 ENCODING %L LC_COLLATE ''C'' LC_CTYPE ''C''', lower(e), e)
  FROM unnest(ARRAY['LATIN1', 'EUC_JP', 'SQL_ASCII']) e \gexec
SELECT current_database() AS here \gset
\c regress_fairq_latin1
CREATE EXTENSION fairq;
SELECT octet_length(truncate_notify_payload(repeat(chr(233), 10), 7));
\c regress_fairq_euc_jp
CREATE EXTENSION fairq;
SELECT octet_length(truncate_notify_payload(repeat(convert_from('\xa4a2', 'EUC_JP'), 10), 7));
\c regress_fairq_sql_ascii
CREATE EXTENSION fairq;
SELECT octet_length(truncate_notify_payload(repeat(convert_from('\xff', 'SQL_ASCII'), 10), 7));
SELECT enqueue_job(convert_from('\xff', 'SQL_ASCII'), 'mail');
\c :here
DROP DATABASE regress_fairq_latin1;
DROP DATABASE regress_fairq_euc_jp;
DROP DATABASE regress_fairq_sql_ascii;

-- Sent: whole, or cut and told so.
SELECT notify_truncated('regress', 'hello') AS cut;
SELECT notify_truncated('regress', repeat('x', 7999)) AS cut;
SELECT notify_truncated('regress', repeat('x', 8000)) AS cut;
SELECT notify_truncated('regress', repeat('é', 4000)) AS cut;
SELECT notify_truncated('regress', '') AS cut;
SELECT notify_truncated(repeat('c', 63), 'the longest channel') AS cut;
-- It is of the transaction: not sent when that is undone.
BEGIN;
SELECT notify_truncated('regress', repeat('x', 100000)) AS cut;
ROLLBACK;

-- Bad channels, in PostgreSQL's own words.
SELECT notify_truncated('', 'x');
SELECT notify_truncated(repeat('c', 64), 'x');
SELECT notify_truncated(NULL, 'x');
-- And what a bare NOTIFY does with the same payload.
\set VERBOSITY sqlstate
SELECT pg_notify('regress', repeat('x', 8000));
