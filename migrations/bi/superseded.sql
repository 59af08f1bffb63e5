CREATE OR REPLACE VIEW bi.superseded AS
SELECT
  a.name AS account,
  s.record,
  s."time",
  nullif(s.body ->> 'symbol', '') AS symbol,
  s.source,
  s.told_at,
  s.superseded_at,
  s.body
FROM recorder.superseded s
JOIN recorder.account a ON a.id = s.account_id;

COMMENT ON VIEW bi.superseded IS
  'One row per content with which the exchange told a line, and that does not count: it told the line later with another one, or by REST instead of the stream. Never sum.';
COMMENT ON COLUMN bi.superseded.account IS 'Name of the account, as its operator chose it.';
COMMENT ON COLUMN bi.superseded.record IS 'Which record the line is of: fill or income, where it stands as it counts in bi.fill or bi.income; or balance_change.';
COMMENT ON COLUMN bi.superseded."time" IS 'When the line happened, by the exchange''s clock.';
COMMENT ON COLUMN bi.superseded.symbol IS 'Contract, for example BTCUSDT; null: the line concerns none.';
COMMENT ON COLUMN bi.superseded.source IS 'Of a fill: who told it so, stream or rest, or rest where both did; null: there is one source alone.';
COMMENT ON COLUMN bi.superseded.told_at IS 'When its source told it so last, by the exchange''s clock; null: an older version did not keep it.';
COMMENT ON COLUMN bi.superseded.superseded_at IS 'When the recorder found out, by the clock of the database.';
COMMENT ON COLUMN bi.superseded.body IS 'The line as it was told: its ids, and the columns of that record with the values that do not count.';
