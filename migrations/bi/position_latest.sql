CREATE OR REPLACE VIEW bi.position_latest AS
SELECT
  a.name AS account,
  p.symbol,
  p.position_side,
  p.position_amt,
  p.entry_price,
  p.break_even_price,
  p.mark_price,
  p.unrealized_profit,
  p.notional,
  p.liquidation_price,
  p.margin_asset,
  p.update_time,
  p."time",
  now() - p."time" AS age
FROM recorder.account a
CROSS JOIN LATERAL (
  SELECT s."time"
  FROM recorder.snapshot s
  WHERE s.account_id = a.id AND s.outcome = 'ok'
  ORDER BY s."time" DESC
  LIMIT 1
) AS newest
JOIN recorder.sample p ON p.account_id = a.id AND p."time" = newest."time"
WHERE p.position_amt <> 0;

COMMENT ON VIEW bi.position_latest IS
  'One row per position that was open at its account''s newest ok snapshot. Look at age: it grows while nothing is recorded.';
COMMENT ON COLUMN bi.position_latest.account IS 'Name of the account, as its operator chose it.';
COMMENT ON COLUMN bi.position_latest.symbol IS 'Contract, for example BTCUSDT.';
COMMENT ON COLUMN bi.position_latest.position_side IS 'BOTH in one-way mode, LONG or SHORT in hedge mode.';
COMMENT ON COLUMN bi.position_latest.position_amt IS 'Amount in base units, signed: negative is short.';
COMMENT ON COLUMN bi.position_latest.entry_price IS 'Average entry price, in quote per base.';
COMMENT ON COLUMN bi.position_latest.break_even_price IS 'Price at which closing pays all costs so far, in quote per base.';
COMMENT ON COLUMN bi.position_latest.mark_price IS 'Mark price of this row, in quote per base.';
COMMENT ON COLUMN bi.position_latest.unrealized_profit IS 'Unrealised profit at the mark price, in the margin asset, before fees and funding.';
COMMENT ON COLUMN bi.position_latest.notional IS 'Value at the mark price, in the margin asset, signed: negative is short.';
COMMENT ON COLUMN bi.position_latest.liquidation_price IS 'Price of liquidation, in quote per base; 0 means none.';
COMMENT ON COLUMN bi.position_latest.margin_asset IS 'Asset of margin and profit, for example USDT.';
COMMENT ON COLUMN bi.position_latest.update_time IS 'The exchange''s updateTime: the last change of the position. 1970-01-01 is the exchange''s 0: never changed.';
COMMENT ON COLUMN bi.position_latest."time" IS 'The slot of the newest ok snapshot.';
COMMENT ON COLUMN bi.position_latest.age IS 'Time since that slot.';
