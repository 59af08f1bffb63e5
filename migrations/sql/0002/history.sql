ALTER TABLE recorder.change ADD COLUMN contradicted_by timestamptz;
COMMENT ON COLUMN recorder.change.contradicted_by IS
  'Of an inferred close: the ok snapshot in which the position came back with a state that is older than the close; null: nothing contradicts it.';
ALTER TABLE recorder.snapshot ADD COLUMN true_at timestamptz;
COMMENT ON COLUMN recorder.snapshot.true_at IS
  'The moment between sending and receiving at which the rows agree with what the exchange dated in between; null: taken_at, the middle.';
CREATE INDEX change_dated_idx ON recorder.change (account_id, update_time) WHERE dated_by_exchange;
CREATE INDEX change_implied_idx ON recorder.change (account_id, snapshot_time) WHERE NOT dated_by_exchange;
CREATE INDEX change_contradicted_idx ON recorder.change (account_id, contradicted_by) WHERE contradicted_by IS NOT NULL;
CREATE INDEX snapshot_taken_idx ON recorder.snapshot (account_id, taken_at, "time") WHERE outcome = 'ok';
