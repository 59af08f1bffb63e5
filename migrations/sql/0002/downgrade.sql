DROP FUNCTION bi.pnl_series(text, text, timestamptz, timestamptz, interval);
DROP VIEW bi.position_episode, bi.pnl_daily, bi.account_equity, bi.pnl_curve, bi.income, bi.fill;
ALTER TABLE recorder.change DROP COLUMN event_time; -- before the view that takes every column

-- A change that a snapshot dated and that repeats the state already in force says nothing new: it is left out.
-- Filters on account, symbol and position_side reach the table, because every window is partitioned by all three.
CREATE OR REPLACE VIEW bi.position_history AS
SELECT
  account,
  symbol,
  position_side,
  update_time,
  lead(update_time) OVER later AS valid_to,
  position_amt,
  entry_price,
  break_even_price,
  margin_asset,
  accumulated_realized,
  reason,
  source,
  observed_at
FROM (
  SELECT
    a.name AS account,
    c.*,
    row_number() OVER earlier = 1
      OR c.position_amt IS DISTINCT FROM lag(c.position_amt) OVER earlier
      OR c.entry_price IS DISTINCT FROM lag(c.entry_price) OVER earlier
      OR c.break_even_price IS DISTINCT FROM lag(c.break_even_price) OVER earlier
      OR c.margin_asset IS DISTINCT FROM lag(c.margin_asset) OVER earlier AS differs
  FROM recorder.change c
  JOIN recorder.account a ON a.id = c.account_id
  WINDOW earlier AS (PARTITION BY a.name, c.symbol, c.position_side ORDER BY c.update_time, c.dated_by_exchange)
) AS told
WHERE dated_by_exchange OR differs
WINDOW later AS (PARTITION BY account, symbol, position_side ORDER BY update_time, dated_by_exchange);

CREATE OR REPLACE VIEW bi.freshness AS
SELECT
  a.name AS account,
  newest."time" AS last_ok_snapshot,
  now() - newest."time" AS age,
  last.outcome AS last_outcome,
  NULL::text AS stream_state,
  (SELECT count(*) FROM recorder.gap g WHERE g.account_id = a.id AND g.ended_at IS NULL) AS open_gaps
FROM recorder.account a
LEFT JOIN LATERAL (
  SELECT s."time"
  FROM recorder.snapshot s
  WHERE s.account_id = a.id AND s.outcome = 'ok'
  ORDER BY s."time" DESC
  LIMIT 1
) AS newest ON true
LEFT JOIN LATERAL (
  SELECT s.outcome
  FROM recorder.snapshot s
  WHERE s.account_id = a.id
  ORDER BY s."time" DESC
  LIMIT 1
) AS last ON true;
COMMENT ON COLUMN bi.freshness.stream_state IS 'State of the user data stream; null: it is not recorded.';

DROP VIEW recorder.earning;
DROP FUNCTION recorder.income_part(text);
DROP TABLE recorder.schedule, recorder.stream, recorder.event, recorder.ledger, recorder.income, recorder.fill, recorder.balance_change, recorder.balance;
ALTER TABLE recorder.snapshot DROP COLUMN balance_outcome;

DROP FUNCTION recorder.ensure_partitions(timestamptz, timestamptz);
CREATE FUNCTION recorder.ensure_sample_partitions(since timestamptz, until timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  month  timestamptz := date_trunc('month', since, 'UTC');
  ending timestamptz;
  name   text;
  made   integer := 0;
BEGIN
  IF until > since + interval '100 years' THEN
    RAISE EXCEPTION 'refused: % to % are more partitions than anyone needs', since, until;
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('recorder.sample'), 0);
  WHILE month <= until LOOP
    ending := (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
    name := 'sample_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
    IF to_regclass('recorder.' || name) IS NULL THEN
      -- Writers wait, or were first: none may be on its way into the default partition when its bounds change.
      LOCK TABLE recorder.sample IN SHARE ROW EXCLUSIVE MODE;
      EXECUTE format('CREATE TABLE recorder.%I (LIKE recorder.sample INCLUDING DEFAULTS)', name);
      EXECUTE format(
        'WITH moved AS (DELETE FROM recorder.sample_default WHERE "time" >= %L AND "time" < %L RETURNING *) '
        'INSERT INTO recorder.%I SELECT * FROM moved', month, ending, name);
      EXECUTE format(
        'ALTER TABLE recorder.sample ATTACH PARTITION recorder.%I FOR VALUES FROM (%L) TO (%L)', name, month, ending);
      made := made + 1;
    END IF;
    month := ending;
  END LOOP;
  RETURN made;
END
$$;
REVOKE ALL ON FUNCTION recorder.ensure_sample_partitions(timestamptz, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION recorder.ensure_sample_partitions(timestamptz, timestamptz) IS
  'Makes the monthly partitions of recorder.sample that hold times from since to until, moves rows out of the default one, and returns how many it made.';
