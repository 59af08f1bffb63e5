-- The exchange uses ids again, and tells the same line again with other content. Another time or another order is
-- another line; the same line told differently counts as it was told last, and the older one is kept here.
ALTER TABLE recorder.fill DROP CONSTRAINT fill_pkey;
ALTER TABLE recorder.fill ADD CONSTRAINT fill_pkey PRIMARY KEY (account_id, symbol, trade_id, "time", order_id);
ALTER TABLE recorder.fill ADD COLUMN told_at timestamptz;
COMMENT ON COLUMN recorder.fill.told_at IS
  'When its source told it so last, exchange time: what a source told later stands; null: by an older version.';
ALTER TABLE recorder.income DROP CONSTRAINT income_pkey;
ALTER TABLE recorder.income ADD CONSTRAINT income_pkey PRIMARY KEY (account_id, income_type, tran_id, asset, symbol, "time");
ALTER TABLE recorder.income ADD COLUMN told_at timestamptz;
COMMENT ON COLUMN recorder.income.told_at IS
  'When the exchange told it so last, exchange time: what it told later stands; null: by an older version.';
ALTER TABLE recorder.balance_change DROP CONSTRAINT balance_change_pkey;
ALTER TABLE recorder.balance_change ADD CONSTRAINT balance_change_pkey
  PRIMARY KEY (account_id, asset, "time", event_time, wallet_balance, reason);
ALTER TABLE recorder.balance_change ADD COLUMN told_at timestamptz;
COMMENT ON COLUMN recorder.balance_change.told_at IS
  'When the message came in last, exchange time: what came in later stands; null: by an older version.';

CREATE TABLE recorder.superseded (
  account_id    integer NOT NULL CONSTRAINT superseded_account_id_fkey REFERENCES recorder.account (id),
  record        text NOT NULL,
  digest        text NOT NULL,
  "time"        timestamptz NOT NULL,
  source        text,
  told_at       timestamptz,
  body          jsonb NOT NULL,
  superseded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT superseded_pkey PRIMARY KEY (account_id, record, digest)
);
COMMENT ON TABLE recorder.superseded IS
  'One row per content with which the exchange told a line and that does not count any more, or never did: what counts was told later, or by REST instead of the stream.';
COMMENT ON COLUMN recorder.superseded.record IS
  'The table in which the line stands as it counts: fill, income or balance_change.';
COMMENT ON COLUMN recorder.superseded.digest IS 'SHA-256 of body, of numbers without the zeros at their end.';
COMMENT ON COLUMN recorder.superseded."time" IS 'When the line happened, by the exchange.';
COMMENT ON COLUMN recorder.superseded.source IS
  'Of a fill: who told it so, stream or rest, or rest where both did; null: there is one source alone.';
COMMENT ON COLUMN recorder.superseded.told_at IS 'When its source told it so last, exchange time; null: by an older version.';
COMMENT ON COLUMN recorder.superseded.body IS 'The key and the content of the line as they were told.';
COMMENT ON COLUMN recorder.superseded.superseded_at IS 'When the row was written, by the clock of the database.';
