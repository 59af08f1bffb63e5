-- A change that a snapshot dated and that repeats the state already in force says nothing new: it is left out.
-- Filters on account, symbol and position_side reach the table, because every window is partitioned by all three.
CREATE VIEW bi.position_history AS
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

COMMENT ON VIEW bi.position_history IS
  'One row per change of a position, in force from update_time to valid_to. Flat is a row with position_amt 0.';
COMMENT ON COLUMN bi.position_history.account IS 'Name of the account, as its operator chose it.';
COMMENT ON COLUMN bi.position_history.symbol IS 'Contract, for example BTCUSDT.';
COMMENT ON COLUMN bi.position_history.position_side IS 'BOTH in one-way mode, LONG or SHORT in hedge mode.';
COMMENT ON COLUMN bi.position_history.update_time IS 'When the state began: the exchange''s updateTime; where it gave none, the slot that first saw the state.';
COMMENT ON COLUMN bi.position_history.valid_to IS 'When the next change ended it; null: still in force.';
COMMENT ON COLUMN bi.position_history.position_amt IS 'Amount in base units, signed: negative is short, 0 is flat.';
COMMENT ON COLUMN bi.position_history.entry_price IS 'Average entry price, in quote per base; 0 when flat.';
COMMENT ON COLUMN bi.position_history.break_even_price IS 'Price at which closing pays all costs so far, in quote per base; 0 when flat.';
COMMENT ON COLUMN bi.position_history.margin_asset IS 'Asset of margin and profit, for example USDT.';
COMMENT ON COLUMN bi.position_history.accumulated_realized IS 'Realised profit of this symbol and side since the exchange began counting, before fees, in the margin asset; null when only a snapshot told of the change.';
COMMENT ON COLUMN bi.position_history.reason IS 'The exchange''s reason for the change, for example ORDER; null when only a snapshot told of it.';
COMMENT ON COLUMN bi.position_history.source IS 'Who told of it: snapshot, stream, import, or inferred (the position vanished from a complete answer).';
COMMENT ON COLUMN bi.position_history.observed_at IS 'Exchange time at which it was first seen.';
