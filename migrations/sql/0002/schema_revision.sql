-- What each revision of the schema lets an older program do: two recorders are upgraded one after the other.
CREATE TABLE recorder.schema_revision (
  revision      text NOT NULL CONSTRAINT schema_revision_pkey PRIMARY KEY,
  oldest_writer text NOT NULL,
  applied_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE recorder.schema_revision IS
  'One row per revision that was applied to this database.';
COMMENT ON COLUMN recorder.schema_revision.oldest_writer IS
  'The revision of the oldest program that may go on writing into a schema of this revision.';
