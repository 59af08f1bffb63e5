CREATE SCHEMA bi;
COMMENT ON SCHEMA bi IS
  'Position history of Binance USDⓈ-M futures accounts, for people and tools: views and functions only. '
  'Times are UTC instants, numbers are exact as the exchange sent them.';
COMMENT ON SCHEMA recorder IS 'Tables of the position recorder. They may change between versions: read schema bi instead.';

CREATE TABLE recorder.account (
  id          integer GENERATED ALWAYS AS IDENTITY CONSTRAINT account_pkey PRIMARY KEY,
  name        text NOT NULL CONSTRAINT account_name_key UNIQUE,
  created_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE recorder.account IS 'One row per account: one API key''s futures account under the name its operator chose.';

CREATE TABLE recorder.snapshot (
  account_id      integer NOT NULL CONSTRAINT snapshot_account_id_fkey REFERENCES recorder.account (id),
  "time"          timestamptz NOT NULL,
  kind            text NOT NULL,
  taken_at        timestamptz NOT NULL,
  outcome         text NOT NULL,
  detail          text,
  position_count  integer NOT NULL,
  duration_ms     integer NOT NULL,
  clock_offset_ms integer,
  balance_outcome text,
  recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT snapshot_pkey PRIMARY KEY (account_id, "time"),
  CONSTRAINT snapshot_failed_is_empty_check CHECK (outcome = 'ok' OR position_count = 0)
);
COMMENT ON TABLE recorder.snapshot IS
  'One row per account and slot, and per request outside the schedule: ok with its rows in recorder.sample, or failed with the reason.';
COMMENT ON COLUMN recorder.snapshot.clock_offset_ms IS 'Exchange clock minus own clock, as used for taken_at; own time = taken_at - offset.';
COMMENT ON COLUMN recorder.snapshot.balance_outcome IS
  'What came of asking for the balances at this slot: ok with its rows in recorder.balance, or what failed; null: not asked.';
COMMENT ON COLUMN recorder.snapshot.recorded_at IS 'When the row was written, by the clock of the database.';

-- Columns in the order that wastes no bytes on alignment.
CREATE TABLE recorder.sample (
  account_id                integer NOT NULL,
  adl                       integer,
  "time"                    timestamptz NOT NULL,
  update_time               timestamptz NOT NULL,
  symbol                    text NOT NULL,
  position_side             text NOT NULL,
  position_amt              numeric NOT NULL,
  entry_price               numeric NOT NULL,
  break_even_price          numeric,
  mark_price                numeric NOT NULL,
  unrealized_profit         numeric NOT NULL,
  liquidation_price         numeric,
  isolated_margin           numeric,
  notional                  numeric,
  margin_asset              text,
  isolated_wallet           numeric,
  initial_margin            numeric,
  maint_margin              numeric,
  position_initial_margin   numeric,
  open_order_initial_margin numeric,
  bid_notional              numeric,
  ask_notional              numeric,
  extra                     jsonb,
  CONSTRAINT sample_pkey PRIMARY KEY (account_id, "time", symbol, position_side)
) PARTITION BY RANGE ("time");
COMMENT ON TABLE recorder.sample IS 'One row per position row of an ok snapshot; partitioned by month of its time, in UTC.';

CREATE TABLE recorder.sample_default PARTITION OF recorder.sample DEFAULT;
COMMENT ON TABLE recorder.sample_default IS
  'Catches samples for which no month was made; recorder.ensure_sample_partitions moves them out again.';

CREATE TABLE recorder.change (
  account_id           integer NOT NULL CONSTRAINT change_account_id_fkey REFERENCES recorder.account (id),
  symbol               text NOT NULL,
  position_side        text NOT NULL,
  update_time          timestamptz NOT NULL,
  dated_by_exchange    boolean NOT NULL,
  position_amt         numeric NOT NULL,
  entry_price          numeric,
  break_even_price     numeric,
  margin_asset         text,
  accumulated_realized numeric,
  reason               text,
  source               text NOT NULL,
  snapshot_time        timestamptz,
  observed_at          timestamptz NOT NULL,
  event_time           timestamptz,
  CONSTRAINT change_pkey PRIMARY KEY (account_id, symbol, position_side, update_time, dated_by_exchange)
);
COMMENT ON TABLE recorder.change IS
  'One row per state of a position, kept once per update_time: told by snapshots and events, and between those rebuilt from the fills (source ledger).';
COMMENT ON COLUMN recorder.change.dated_by_exchange IS
  'True: update_time is the exchange''s updateTime. False: the exchange gave none that fits, update_time is the snapshot that first saw the state.';
COMMENT ON COLUMN recorder.change.snapshot_time IS 'The snapshot that told of it: the earliest one with this state.';
COMMENT ON COLUMN recorder.change.entry_price IS
  'Null only where source is ledger, for an average of fills that the exchange did not tell: how it rounds is not known.';
COMMENT ON COLUMN recorder.change.event_time IS
  'When the exchange sent the event that told of it; of several events about one instant the last one stands.';
-- For an event that tells of a close which a snapshot has implied: those that were seen after it, of one position.
CREATE INDEX change_undated_idx ON recorder.change (account_id, symbol, position_side, observed_at) WHERE NOT dated_by_exchange;

CREATE TABLE recorder.gap (
  account_id  integer NOT NULL CONSTRAINT gap_account_id_fkey REFERENCES recorder.account (id),
  source      text NOT NULL,
  started_at  timestamptz NOT NULL,
  ended_at    timestamptz,
  reason      text NOT NULL,
  repaired_by text,
  CONSTRAINT gap_pkey PRIMARY KEY (account_id, source, started_at),
  CONSTRAINT gap_ends_after_start_check CHECK (ended_at >= started_at)
);
COMMENT ON TABLE recorder.gap IS
  'One row per interval in which an account was not watched; one that ends where it began turned out to be none.';

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
CREATE INDEX income_symbol_idx ON recorder.income (account_id, symbol, "time");

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

-- When each process took an account on: it is written before all that the process observed, however soon it died.
CREATE TABLE recorder.beginning (
  account_id integer NOT NULL CONSTRAINT beginning_account_id_fkey REFERENCES recorder.account (id),
  began      timestamptz NOT NULL,
  since      timestamptz NOT NULL,
  reason     text NOT NULL,
  CONSTRAINT beginning_pkey PRIMARY KEY (account_id, began)
);
COMMENT ON TABLE recorder.beginning IS
  'One row per account and process that took it on: when it began, the time of its first snapshot, and why nobody watched right before, if nobody did.';

CREATE TABLE recorder.schedule (
  account_id integer NOT NULL CONSTRAINT schedule_account_id_fkey REFERENCES recorder.account (id),
  since      timestamptz NOT NULL,
  every      interval NOT NULL,
  CONSTRAINT schedule_pkey PRIMARY KEY (account_id, since),
  CONSTRAINT schedule_every_is_positive_check CHECK (every > interval '0')
);
COMMENT ON TABLE recorder.schedule IS
  'One row per account and change of its schedule: from since on every slot of this width, aligned to midnight UTC, is due.';

CREATE TABLE recorder.commit_mark (
  instance  text CONSTRAINT commit_mark_pkey PRIMARY KEY,
  sequence  bigint NOT NULL,
  marked_at timestamptz NOT NULL
) WITH (fillfactor = 10); -- moved in every transaction: room on the page keeps it out of the index
COMMENT ON TABLE recorder.commit_mark IS
  'How far this database has what each spool holds. One that is older than the spool knows it to be tells of a database that went back in time.';
COMMENT ON COLUMN recorder.commit_mark.instance IS 'The spool: one for each data directory that ever wrote here.';
COMMENT ON COLUMN recorder.commit_mark.sequence IS 'Everything up to this record of the spool is in this database.';
COMMENT ON COLUMN recorder.commit_mark.marked_at IS 'When that became so.';

CREATE TABLE recorder.dead_letter (
  account_id integer NOT NULL CONSTRAINT dead_letter_account_id_fkey REFERENCES recorder.account (id),
  digest     text NOT NULL,
  kind       text NOT NULL,
  reason     text NOT NULL,
  sqlstate   text NOT NULL,
  payload    bytea NOT NULL,
  first_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
  settled_at timestamptz,
  CONSTRAINT dead_letter_pkey PRIMARY KEY (account_id, digest)
);
COMMENT ON TABLE recorder.dead_letter IS
  'One row per observation that PostgreSQL refused as what it is, kept to the byte. See: recorder dead-letters.';
COMMENT ON COLUMN recorder.dead_letter.digest IS 'SHA-256 of payload.';
COMMENT ON COLUMN recorder.dead_letter.kind IS 'snapshot, update, trade, kept, expired, gap or stream.';
COMMENT ON COLUMN recorder.dead_letter.reason IS 'What PostgreSQL said.';
COMMENT ON COLUMN recorder.dead_letter.sqlstate IS 'Its code for that; empty when the driver refused.';
COMMENT ON COLUMN recorder.dead_letter.payload IS 'The observation as the spool keeps it: JSON.';
COMMENT ON COLUMN recorder.dead_letter.settled_at IS 'When it was written after all; null: not yet.';
