-- Gaps of one account and source never overlap, whoever tells of them and in whatever order.
ALTER TABLE recorder.gap ADD COLUMN told_until timestamptz;
COMMENT ON COLUMN recorder.gap.told_until IS
  'Where another gap of the account, source and symbol covers some of it: when it ended as it was told, infinity while that was not; null: as ended_at says. What overlaps stands in one of the gaps alone.';
-- Two recorders with copies of one spool must not pass for a database that went back in time.
ALTER TABLE recorder.commit_mark ADD COLUMN run bigint NOT NULL DEFAULT 0;
ALTER TABLE recorder.commit_mark ADD COLUMN process text NOT NULL DEFAULT '';
ALTER TABLE recorder.commit_mark ADD COLUMN host text;
ALTER TABLE recorder.commit_mark ADD COLUMN pid integer;
COMMENT ON COLUMN recorder.commit_mark.run IS 'How many processes wrote here with the spool so far.';
COMMENT ON COLUMN recorder.commit_mark.process IS 'The one that does now, by a name that it made up when it began.';
COMMENT ON COLUMN recorder.commit_mark.host IS 'Name of its machine, for people.';
COMMENT ON COLUMN recorder.commit_mark.pid IS 'Its number there.';
-- Those that two recorders, or two processes in a row, told of before.
WITH told AS (
  SELECT *, coalesce(ended_at, 'infinity') AS until FROM recorder.gap
), held AS (
  SELECT *, coalesce(max(until) OVER (
    PARTITION BY account_id, source, symbol ORDER BY started_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
  ) >= until, false) AS is_within
  FROM told
), apart AS (
  SELECT *, CASE WHEN is_within THEN started_at ELSE least(until, lead(started_at) OVER (
    PARTITION BY account_id, source, symbol, is_within ORDER BY started_at
  )) END AS ends
  FROM held
)
UPDATE recorder.gap g SET ended_at = nullif(a.ends, 'infinity'), told_until = a.until
FROM apart a
WHERE g.account_id = a.account_id AND g.source = a.source AND g.symbol = a.symbol AND g.started_at = a.started_at
  AND a.ends < a.until;
