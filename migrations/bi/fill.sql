CREATE OR REPLACE VIEW bi.fill AS
SELECT
  a.name AS account,
  f.symbol,
  f.position_side,
  f.trade_id,
  f.order_id,
  f."time",
  f.side,
  f.price,
  f.quantity,
  f.realized_profit,
  f.commission,
  f.commission_asset,
  f.maker,
  f.source,
  f.told_at
FROM recorder.fill f
JOIN recorder.account a ON a.id = f.account_id;

COMMENT ON VIEW bi.fill IS 'One row per trade execution of an account.';
COMMENT ON COLUMN bi.fill.account IS 'Name of the account, as its operator chose it.';
COMMENT ON COLUMN bi.fill.symbol IS 'Contract, for example BTCUSDT.';
COMMENT ON COLUMN bi.fill.position_side IS 'BOTH in one-way mode, LONG or SHORT in hedge mode: the position that it changed.';
COMMENT ON COLUMN bi.fill.trade_id IS 'The exchange''s number of the execution, unique within the symbol until the exchange begins again: then with time and order_id.';
COMMENT ON COLUMN bi.fill.order_id IS 'The exchange''s number of the order.';
COMMENT ON COLUMN bi.fill."time" IS 'When it was executed, by the exchange''s clock.';
COMMENT ON COLUMN bi.fill.side IS 'BUY or SELL.';
COMMENT ON COLUMN bi.fill.price IS 'Price, in quote per base.';
COMMENT ON COLUMN bi.fill.quantity IS 'Quantity in base units, never negative.';
COMMENT ON COLUMN bi.fill.realized_profit IS 'Realised profit before fees, in the margin asset.';
COMMENT ON COLUMN bi.fill.commission IS 'Commission in commission_asset, signed as profit: negative when paid, positive for a rebate.';
COMMENT ON COLUMN bi.fill.commission_asset IS 'Asset in which the commission was paid, for example BNB; null: the exchange named none.';
COMMENT ON COLUMN bi.fill.maker IS 'Whether the order had been waiting in the book.';
COMMENT ON COLUMN bi.fill.source IS 'Who told it as it stands: stream, or rest, whose word stands over the stream''s.';
COMMENT ON COLUMN bi.fill.told_at IS 'When its source told it so last, by the exchange''s clock; what it told before with other content stands in bi.superseded. Null: an older version did not keep it.';
