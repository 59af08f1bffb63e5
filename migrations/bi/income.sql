CREATE OR REPLACE VIEW bi.income AS
SELECT
  a.name AS account,
  i."time",
  i.income_type,
  nullif(i.symbol, '') AS symbol,
  i.asset,
  i.income,
  recorder.income_part(i.income_type) AS part,
  i.tran_id,
  i.trade_id,
  i.info,
  i.told_at
FROM recorder.income i
JOIN recorder.account a ON a.id = i.account_id;

COMMENT ON VIEW bi.income IS
  'One row per line of the exchange''s own ledger: every change of a wallet. The ledger of record for profit, fees, funding and transfers.';
COMMENT ON COLUMN bi.income.account IS 'Name of the account, as its operator chose it.';
COMMENT ON COLUMN bi.income."time" IS 'When the exchange booked it.';
COMMENT ON COLUMN bi.income.income_type IS 'The exchange''s type, for example REALIZED_PNL, COMMISSION, FUNDING_FEE or TRANSFER.';
COMMENT ON COLUMN bi.income.symbol IS 'Contract, for example BTCUSDT; null: the line concerns none.';
COMMENT ON COLUMN bi.income.asset IS 'Asset of the amount.';
COMMENT ON COLUMN bi.income.income IS 'Amount in that asset, signed: negative left the wallet.';
COMMENT ON COLUMN bi.income.part IS 'What the line counts as: realized, commission, funding, or transfer, which is no profit. Types unknown to this version are realized.';
COMMENT ON COLUMN bi.income.tran_id IS 'The exchange''s number of the transaction, unique within an income type only, until the exchange begins again: then with time.';
COMMENT ON COLUMN bi.income.trade_id IS 'The fill that caused it, as in bi.fill of the same symbol, within a minute of time; null: none did.';
COMMENT ON COLUMN bi.income.info IS 'The exchange''s remark, as it was sent.';
COMMENT ON COLUMN bi.income.told_at IS 'When the exchange told it so last, by its clock; what it told before with other content stands in bi.superseded. Null: an older version did not keep it.';
