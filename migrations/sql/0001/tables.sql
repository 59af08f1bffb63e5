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
  recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT snapshot_pkey PRIMARY KEY (account_id, "time"),
  CONSTRAINT snapshot_failed_is_empty_check CHECK (outcome = 'ok' OR position_count = 0)
);
COMMENT ON TABLE recorder.snapshot IS
  'One row per account and slot, and per request outside the schedule: ok with its rows in recorder.sample, or failed with the reason.';
COMMENT ON COLUMN recorder.snapshot.clock_offset_ms IS 'Exchange clock minus own clock, as used for taken_at; own time = taken_at - offset.';
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
  CONSTRAINT change_pkey PRIMARY KEY (account_id, symbol, position_side, update_time, dated_by_exchange)
);
COMMENT ON TABLE recorder.change IS 'One row per state of a position, kept once per update_time; derived from the ok snapshots alone.';
COMMENT ON COLUMN recorder.change.dated_by_exchange IS
  'True: update_time is the exchange''s updateTime. False: the exchange gave none that fits, update_time is the snapshot that first saw the state.';
COMMENT ON COLUMN recorder.change.snapshot_time IS 'The snapshot that told of it: the earliest one with this state.';

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
