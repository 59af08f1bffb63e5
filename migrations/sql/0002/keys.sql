-- The exchange uses ids again, and tells the same line again with other content. Another time or another order is
-- another line; the same line told differently counts as it was told last, and the older one is kept here.
ALTER TABLE recorder.fill DROP CONSTRAINT fill_pkey;
ALTER TABLE recorder.fill ADD CONSTRAINT fill_pkey PRIMARY KEY (account_id, symbol, trade_id, "time", order_id);
ALTER TABLE recorder.income DROP CONSTRAINT income_pkey;
ALTER TABLE recorder.income ADD CONSTRAINT income_pkey PRIMARY KEY (account_id, income_type, tran_id, asset, symbol, "time");

CREATE TABLE recorder.superseded (
  account_id    integer NOT NULL CONSTRAINT superseded_account_id_fkey REFERENCES recorder.account (id),
  record        text NOT NULL,
  digest        text NOT NULL,
  "time"        timestamptz NOT NULL,
  body          jsonb NOT NULL,
  superseded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT superseded_pkey PRIMARY KEY (account_id, record, digest)
);
COMMENT ON TABLE recorder.superseded IS
  'One row per line of the exchange that it told again with other content: as it was told before. What counts is what was told last.';
COMMENT ON COLUMN recorder.superseded.record IS 'The table in which the line stands as it was told last: fill or income.';
COMMENT ON COLUMN recorder.superseded.digest IS 'SHA-256 of body.';
COMMENT ON COLUMN recorder.superseded.body IS 'The columns of the line as they were.';
