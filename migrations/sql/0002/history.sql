ALTER TABLE recorder.change ADD COLUMN contradicted_by timestamptz;
COMMENT ON COLUMN recorder.change.contradicted_by IS
  'Of an inferred close: the ok snapshot in which the position came back with a state that is older than the close; null: nothing contradicts it.';
