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
