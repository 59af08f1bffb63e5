ALTER TABLE recorder.snapshot ADD COLUMN balance_outcome text;
COMMENT ON COLUMN recorder.snapshot.balance_outcome IS
  'What came of asking for the balances at this slot: ok with its rows in recorder.balance, or what failed; null: not asked.';

ALTER TABLE recorder.change ADD COLUMN event_time timestamptz;
COMMENT ON TABLE recorder.change IS
  'One row per state of a position, kept once per update_time: told by snapshots and events, and between those rebuilt from the fills (source ledger).';
COMMENT ON COLUMN recorder.change.entry_price IS
  'Null only where source is ledger, for an average of fills that the exchange did not tell: how it rounds is not known.';
COMMENT ON COLUMN recorder.change.event_time IS
  'When the exchange sent the event that told of it; of several events about one instant the last one stands.';
-- For an event that tells of a close which a snapshot has implied: those that were seen after it, of one position.
CREATE INDEX change_undated_idx ON recorder.change (account_id, symbol, position_side, observed_at) WHERE NOT dated_by_exchange;

CREATE TABLE recorder.balance (
  account_id              integer NOT NULL,
  "time"                  timestamptz NOT NULL,
  asset                   text NOT NULL,
  update_time             timestamptz NOT NULL,
  wallet_balance          numeric NOT NULL,
  cross_wallet_balance    numeric NOT NULL,
  cross_unrealized_profit numeric NOT NULL,
  available_balance       numeric,
  max_withdraw_amount     numeric,
  margin_available        boolean,
  CONSTRAINT balance_pkey PRIMARY KEY (account_id, "time", asset)
) PARTITION BY RANGE ("time");
COMMENT ON TABLE recorder.balance IS
  'One row per asset of an account at a slot, where any of its amounts is not 0; partitioned by month of its time, in UTC.';
CREATE TABLE recorder.balance_default PARTITION OF recorder.balance DEFAULT;
COMMENT ON TABLE recorder.balance_default IS
  'Catches balances for which no month was made; recorder.ensure_partitions moves them out again.';

CREATE TABLE recorder.balance_change (
  account_id           integer NOT NULL CONSTRAINT balance_change_account_id_fkey REFERENCES recorder.account (id),
  asset                text NOT NULL,
  "time"               timestamptz NOT NULL,
  event_time           timestamptz NOT NULL,
  wallet_balance       numeric NOT NULL,
  cross_wallet_balance numeric,
  balance_change       numeric,
  reason               text NOT NULL,
  CONSTRAINT balance_change_pkey PRIMARY KEY (account_id, asset, "time", event_time, wallet_balance)
);
COMMENT ON TABLE recorder.balance_change IS 'One row per balance that the event stream told of, as it was after the change.';

CREATE TABLE recorder.fill (
  account_id        integer NOT NULL CONSTRAINT fill_account_id_fkey REFERENCES recorder.account (id),
  symbol            text NOT NULL,
  trade_id          bigint NOT NULL,
  order_id          bigint NOT NULL,
  "time"            timestamptz NOT NULL,
  position_side     text NOT NULL,
  side              text NOT NULL,
  price             numeric NOT NULL,
  quantity          numeric NOT NULL,
  realized_profit   numeric NOT NULL,
  commission        numeric NOT NULL,
  commission_asset  text,
  maker             boolean NOT NULL,
  source            text NOT NULL,
  CONSTRAINT fill_pkey PRIMARY KEY (account_id, symbol, trade_id)
);
COMMENT ON TABLE recorder.fill IS 'One row per trade execution of an account. Commission is signed as profit: negative when paid.';
CREATE INDEX fill_time_idx ON recorder.fill (account_id, "time");

-- A tranId is unique within an income type only: the profit and the commission of one fill can share it.
CREATE TABLE recorder.income (
  account_id  integer NOT NULL CONSTRAINT income_account_id_fkey REFERENCES recorder.account (id),
  income_type text NOT NULL,
  tran_id     bigint NOT NULL,
  asset       text NOT NULL,
  symbol      text NOT NULL,
  "time"      timestamptz NOT NULL,
  income      numeric NOT NULL,
  trade_id    bigint,
  info        text,
  CONSTRAINT income_pkey PRIMARY KEY (account_id, income_type, tran_id, asset, symbol)
);
COMMENT ON TABLE recorder.income IS 'One row per line of the exchange''s own ledger: every change of a wallet, signed. Symbol is empty where there is none.';
CREATE INDEX income_time_idx ON recorder.income (account_id, "time");

CREATE TABLE recorder.ledger (
  account_id     integer NOT NULL CONSTRAINT ledger_account_id_fkey REFERENCES recorder.account (id),
  kind           text NOT NULL,
  symbol         text NOT NULL,
  complete_since timestamptz NOT NULL,
  complete_until timestamptz NOT NULL,
  rebuilt_until  timestamptz,
  CONSTRAINT ledger_pkey PRIMARY KEY (account_id, kind, symbol),
  CONSTRAINT ledger_runs_forward_check CHECK (complete_since <= complete_until)
);
COMMENT ON TABLE recorder.ledger IS
  'One row per ledger of an account (income, or the fills of a symbol): the interval of which every line is recorded.';
COMMENT ON COLUMN recorder.ledger.rebuilt_until IS
  'Of a symbol''s fills: up to then the changes were rebuilt from all that is recorded. What is told later of an earlier time sets it back; null: never rebuilt.';

CREATE TABLE recorder.unexplained (
  account_id    integer NOT NULL CONSTRAINT unexplained_account_id_fkey REFERENCES recorder.account (id),
  symbol        text NOT NULL,
  position_side text NOT NULL,
  started_at    timestamptz NOT NULL,
  ended_at      timestamptz NOT NULL,
  CONSTRAINT unexplained_pkey PRIMARY KEY (account_id, symbol, position_side, started_at, ended_at)
);
COMMENT ON TABLE recorder.unexplained IS
  'One row per stretch between two told states of a position whose fills, all of which are recorded, do not add up to the difference.';

CREATE TABLE recorder.event (
  account_id  integer NOT NULL CONSTRAINT event_account_id_fkey REFERENCES recorder.account (id),
  received_at timestamptz NOT NULL,
  kind        text NOT NULL,
  digest      text NOT NULL,
  event_time  timestamptz,
  body        text NOT NULL,
  CONSTRAINT event_pkey PRIMARY KEY (account_id, kind, digest)
);
COMMENT ON TABLE recorder.event IS
  'One row per message of the event stream that is no fill and no change: margin calls, settings, and kinds unknown to this version, as they were sent.';

-- What each stream's state became, and when: from one state to the next an account was listened to, or not.
CREATE TABLE recorder.stream (
  account_id integer NOT NULL CONSTRAINT stream_account_id_fkey REFERENCES recorder.account (id),
  since      timestamptz NOT NULL,
  state      text NOT NULL,
  CONSTRAINT stream_pkey PRIMARY KEY (account_id, since, state)
);
COMMENT ON TABLE recorder.stream IS
  'One row per account and change of its event stream: connected, why it is not, not_running (an earlier process ended then), '
  'stopped (told to), disabled (recorded without the stream).';

CREATE TABLE recorder.schedule (
  account_id integer NOT NULL CONSTRAINT schedule_account_id_fkey REFERENCES recorder.account (id),
  since      timestamptz NOT NULL,
  every      interval NOT NULL,
  CONSTRAINT schedule_pkey PRIMARY KEY (account_id, since),
  CONSTRAINT schedule_every_is_positive_check CHECK (every > interval '0')
);
COMMENT ON TABLE recorder.schedule IS
  'One row per account and change of its schedule: from since on every slot of this width, aligned to midnight UTC, is due.';
