-- A change that a snapshot dated and that repeats the state already in force says nothing new: it is left out. Flat is
-- one state whatever its prices: the stream sends other ones with it than a snapshot.
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
    row_number() OVER earlier = 1
      OR c.position_amt IS DISTINCT FROM lag(c.position_amt) OVER earlier
      OR c.position_amt <> 0 AND (
        c.entry_price IS DISTINCT FROM lag(c.entry_price) OVER earlier
        OR c.break_even_price IS DISTINCT FROM lag(c.break_even_price) OVER earlier
        OR c.margin_asset IS DISTINCT FROM lag(c.margin_asset) OVER earlier
      ) AS differs
  FROM recorder.change c
  JOIN recorder.account a ON a.id = c.account_id
  WINDOW earlier AS (PARTITION BY a.name, c.symbol, c.position_side ORDER BY c.update_time, c.dated_by_exchange)
) AS told
WHERE dated_by_exchange OR differs
WINDOW later AS (PARTITION BY account, symbol, position_side ORDER BY update_time, dated_by_exchange);
