-- What repeats the state already in force says nothing new and is left out, such as the rows that the event of a trade
-- tells again though another side was traded. What the exchange dates anew, or tells of for the sake of its margin, is a
-- change nevertheless. Flat is one state whatever its prices: the stream sends other ones with it than a snapshot. It is
-- no change where nothing was ever held: such a row was there for its orders. A price that was left out is no other one.
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
  observed_at,
  contradicted_by
FROM (
  SELECT
    c.account,
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
    c.observed_at,
    c.account_id,
    c.contradicted_by,
    c.position_amt <> lag(c.position_amt, 1, 0::numeric) OVER earlier
      OR row_number() OVER earlier = 1 AND c.dated_by_exchange
      OR c.position_amt <> 0 AND (
        c.entry_price IS DISTINCT FROM lag(c.entry_price) OVER earlier
        OR c.break_even_price <> lag(c.break_even_price) OVER earlier
        OR c.margin_asset <> lag(c.margin_asset) OVER earlier
      ) AS differs
  FROM recorder.state c
  WINDOW earlier AS (PARTITION BY c.account, c.account_id, c.symbol, c.position_side ORDER BY c.update_time, c.dated_by_exchange)
) AS told
WHERE differs
  OR dated_by_exchange AND position_amt <> 0
    AND (source <> 'stream' OR reason IN ('FUNDING_FEE', 'MARGIN_TRANSFER', 'MARGIN_TYPE_CHANGE'))
WINDOW later AS (PARTITION BY account, account_id, symbol, position_side ORDER BY update_time, dated_by_exchange);

COMMENT ON VIEW bi.position_history IS
  'One row per change of a position, in force from update_time to valid_to. Flat is a row with position_amt 0.';
COMMENT ON COLUMN bi.position_history.account IS 'Name of the account, as its operator chose it.';
COMMENT ON COLUMN bi.position_history.symbol IS 'Contract, for example BTCUSDT.';
COMMENT ON COLUMN bi.position_history.position_side IS 'BOTH in one-way mode, LONG or SHORT in hedge mode.';
COMMENT ON COLUMN bi.position_history.update_time IS 'When the state began: the exchange''s updateTime, or the time of the fill; where it gave none, the slot that first saw the state.';
COMMENT ON COLUMN bi.position_history.valid_to IS 'When the next change ended it; null: still in force.';
COMMENT ON COLUMN bi.position_history.position_amt IS 'Amount in base units, signed: negative is short, 0 is flat.';
COMMENT ON COLUMN bi.position_history.entry_price IS 'Average entry price, in quote per base; 0 when flat. Null only where source is ledger: an average of fills that the exchange did not tell, and how it rounds is not known.';
COMMENT ON COLUMN bi.position_history.break_even_price IS 'Price at which closing pays all costs so far, in quote per base; 0 when flat; null where source is ledger.';
COMMENT ON COLUMN bi.position_history.margin_asset IS 'Asset of margin and profit, for example USDT.';
COMMENT ON COLUMN bi.position_history.accumulated_realized IS 'Realised profit of this symbol and side since the exchange began counting, before fees, in the margin asset; null when only a snapshot told of the change. Where source is ledger it is the sum of the fills since what the stream told before, or until what it told next; null where it told neither.';
COMMENT ON COLUMN bi.position_history.reason IS 'The exchange''s reason for the change, for example ORDER; null when the stream did not tell of it.';
COMMENT ON COLUMN bi.position_history.source IS 'Who told of it: snapshot, stream, import, inferred (the position vanished from a complete answer), or ledger (rebuilt from the fills between two states that were told).';
COMMENT ON COLUMN bi.position_history.observed_at IS 'Exchange time at which it was first seen; where source is ledger, at which the state was seen from which the fills lead back to it.';
COMMENT ON COLUMN bi.position_history.contradicted_by IS 'Of an inferred close: the snapshot in which the position was back with a state that is older than the close, so that it was never closed: bi.position_episode goes on over it. Null: nothing contradicts it.';
