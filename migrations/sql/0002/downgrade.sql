DROP FUNCTION bi.pnl_series(text, text, timestamptz, timestamptz, interval);
DROP VIEW bi.position_episode, bi.pnl_daily, bi.account_equity, bi.pnl_curve, bi.income, bi.fill;
DROP INDEX recorder.change_undated_idx;
DELETE FROM recorder.change WHERE source = 'ledger';

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
    c.account_id,
    c.symbol,
    c.position_side,
    c.update_time,
    c.dated_by_exchange,
    c.position_amt,
    c.entry_price,
    c.break_even_price,
    c.margin_asset,
    c.accumulated_realized,
    c.reason,
    c.source,
    c.snapshot_time,
    c.observed_at,
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
COMMENT ON COLUMN bi.position_history.update_time IS 'When the state began: the exchange''s updateTime; where it gave none, the slot that first saw the state.';
COMMENT ON COLUMN bi.position_history.entry_price IS 'Average entry price, in quote per base; 0 when flat.';
COMMENT ON COLUMN bi.position_history.break_even_price IS 'Price at which closing pays all costs so far, in quote per base; 0 when flat.';
COMMENT ON COLUMN bi.position_history.accumulated_realized IS 'Realised profit of this symbol and side since the exchange began counting, before fees, in the margin asset; null when only a snapshot told of the change.';
COMMENT ON COLUMN bi.position_history.reason IS 'The exchange''s reason for the change, for example ORDER; null when only a snapshot told of it.';
COMMENT ON COLUMN bi.position_history.source IS 'Who told of it: snapshot, stream, import, or inferred (the position vanished from a complete answer).';
COMMENT ON COLUMN bi.position_history.observed_at IS 'Exchange time at which it was first seen.';
DROP VIEW recorder.state;
ALTER TABLE recorder.change DROP COLUMN event_time;
COMMENT ON TABLE recorder.change IS 'One row per state of a position, kept once per update_time; derived from the ok snapshots alone.';
COMMENT ON COLUMN recorder.change.entry_price IS NULL;

DROP VIEW bi.gap;
CREATE VIEW bi.gap AS
SELECT
  a.name AS account,
  g.source,
  g.started_at,
  g.ended_at,
  g.reason,
  g.repaired_by
FROM recorder.gap g
JOIN recorder.account a ON a.id = g.account_id;

COMMENT ON VIEW bi.gap IS
  'One row per interval in which an account was not watched: nothing is known of it, which is not the same as nothing having happened.';
COMMENT ON COLUMN bi.gap.account IS 'Name of the account, as its operator chose it.';
COMMENT ON COLUMN bi.gap.source IS 'What was interrupted: snapshot or stream.';
COMMENT ON COLUMN bi.gap.started_at IS 'The last instant that is covered.';
COMMENT ON COLUMN bi.gap.ended_at IS 'The first instant that is covered again; null: the gap is still open.';
COMMENT ON COLUMN bi.gap.reason IS
  'Why nobody watched: not_running (the service was down), buffer_full (the database was away for longer than the memory lasts); '
  'of the stream also connection_lost, listen_key_expired, listen_key_changed, silent (it told nothing of what a snapshot showed).';
COMMENT ON COLUMN bi.gap.repaired_by IS
  'What filled the interval afterwards: ledgers (fills and income are complete; prices and margins are not known); null: nothing did.';

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
DROP TABLE recorder.schedule, recorder.stream, recorder.event, recorder.unexplained, recorder.ledger, recorder.income, recorder.fill,
  recorder.balance_change, recorder.balance;
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
