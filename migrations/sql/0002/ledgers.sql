-- A failure of a ledger is of one symbol, one instant or one window: it costs just that, and is a gap of its own.
ALTER TABLE recorder.gap ADD COLUMN symbol text NOT NULL DEFAULT '';
ALTER TABLE recorder.gap ADD COLUMN detail text;
ALTER TABLE recorder.gap DROP CONSTRAINT gap_pkey;
ALTER TABLE recorder.gap ADD CONSTRAINT gap_pkey PRIMARY KEY (account_id, source, symbol, started_at);
COMMENT ON COLUMN recorder.gap.symbol IS 'The contract whose ledger has the gap; empty: the whole account.';
COMMENT ON COLUMN recorder.gap.detail IS 'What the exchange said, where it refused; null: nothing.';
