CREATE OR REPLACE VIEW bi.position_sample AS
SELECT
  a.name AS account,
  p.symbol,
  p.position_side,
  p."time",
  coalesce(s.true_at, s.taken_at) AS taken_at,
  p.update_time,
  p.position_amt,
  p.entry_price,
  p.break_even_price,
  p.mark_price,
  p.unrealized_profit,
  p.liquidation_price,
  p.isolated_margin,
  p.notional,
  p.margin_asset,
  p.isolated_wallet,
  p.initial_margin,
  p.maint_margin,
  p.position_initial_margin,
  p.open_order_initial_margin,
  p.adl,
  p.bid_notional,
  p.ask_notional,
  p.extra
FROM recorder.sample p
JOIN recorder.account a ON a.id = p.account_id
LEFT JOIN recorder.snapshot s ON s.account_id = p.account_id AND s."time" = p."time";

COMMENT ON VIEW bi.position_sample IS
  'One row per position row of an ok snapshot: the points of a PnL curve. A position that is missing at a slot whose '
  'snapshot is ok was flat; a slot without an ok snapshot is in bi.snapshot with its reason, or in bi.gap.';
COMMENT ON COLUMN bi.position_sample.account IS 'Name of the account, as its operator chose it.';
COMMENT ON COLUMN bi.position_sample.symbol IS 'Contract, for example BTCUSDT.';
COMMENT ON COLUMN bi.position_sample.position_side IS 'BOTH in one-way mode, LONG or SHORT in hedge mode.';
COMMENT ON COLUMN bi.position_sample."time" IS 'The slot: the due time of the schedule; for snapshots outside it the instant of asking.';
COMMENT ON COLUMN bi.position_sample.taken_at IS 'Exchange time at which the row was true: the middle of sending and receiving, corrected by the clock offset.';
COMMENT ON COLUMN bi.position_sample.update_time IS 'The exchange''s updateTime: the last change of the position, not of its mark price. 1970-01-01 is the exchange''s 0: never changed.';
COMMENT ON COLUMN bi.position_sample.position_amt IS 'Amount in base units, signed: negative is short.';
COMMENT ON COLUMN bi.position_sample.entry_price IS 'Average entry price, in quote per base.';
COMMENT ON COLUMN bi.position_sample.break_even_price IS 'Price at which closing pays all costs so far, in quote per base.';
COMMENT ON COLUMN bi.position_sample.mark_price IS 'Mark price of this row, in quote per base.';
COMMENT ON COLUMN bi.position_sample.unrealized_profit IS 'Unrealised profit at the mark price, in the margin asset, before fees and funding.';
COMMENT ON COLUMN bi.position_sample.liquidation_price IS 'Price of liquidation, in quote per base; 0 means none.';
COMMENT ON COLUMN bi.position_sample.isolated_margin IS 'Isolated wallet plus unrealised profit of an isolated position, in the margin asset; 0 in cross margin.';
COMMENT ON COLUMN bi.position_sample.notional IS 'Value at the mark price, in the margin asset, signed: negative is short.';
COMMENT ON COLUMN bi.position_sample.margin_asset IS 'Asset of margin and profit, for example USDT.';
COMMENT ON COLUMN bi.position_sample.isolated_wallet IS 'Margin put aside for an isolated position, without unrealised profit, in the margin asset; 0 in cross margin.';
COMMENT ON COLUMN bi.position_sample.initial_margin IS 'Initial margin of position and open orders, in the margin asset.';
COMMENT ON COLUMN bi.position_sample.maint_margin IS 'Maintenance margin, in the margin asset.';
COMMENT ON COLUMN bi.position_sample.position_initial_margin IS 'Part of the initial margin for the position, in the margin asset.';
COMMENT ON COLUMN bi.position_sample.open_order_initial_margin IS 'Part of the initial margin for open orders, in the margin asset.';
COMMENT ON COLUMN bi.position_sample.adl IS 'Place in the auto-deleverage queue, 0 (safe) to 4 (next).';
COMMENT ON COLUMN bi.position_sample.bid_notional IS 'Notional of open buy orders, in the quote asset.';
COMMENT ON COLUMN bi.position_sample.ask_notional IS 'Notional of open sell orders, in the quote asset.';
COMMENT ON COLUMN bi.position_sample.extra IS 'Fields of the row that this version does not know, as they were sent; null when there were none.';
