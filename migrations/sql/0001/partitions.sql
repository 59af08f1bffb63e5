-- The service may not create tables; it asks this function of the owner for the months it needs.
CREATE FUNCTION recorder.ensure_sample_partitions(since timestamptz, until timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  month  timestamptz := date_trunc('month', since, 'UTC');
  ending timestamptz;
  name   text;
  made   integer := 0;
BEGIN
  IF until > since + interval '100 years' THEN
    RAISE EXCEPTION 'refused: % to % are more partitions than anyone needs', since, until;
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('recorder.sample'), 0);
  WHILE month <= until LOOP
    ending := (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
    name := 'sample_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
    IF to_regclass('recorder.' || name) IS NULL THEN
      -- Writers wait, or were first: none may be on its way into the default partition when its bounds change.
      LOCK TABLE recorder.sample IN SHARE ROW EXCLUSIVE MODE;
      EXECUTE format('CREATE TABLE recorder.%I (LIKE recorder.sample INCLUDING DEFAULTS)', name);
      EXECUTE format(
        'WITH moved AS (DELETE FROM recorder.sample_default WHERE "time" >= %L AND "time" < %L RETURNING *) '
        'INSERT INTO recorder.%I SELECT * FROM moved', month, ending, name);
      EXECUTE format(
        'ALTER TABLE recorder.sample ATTACH PARTITION recorder.%I FOR VALUES FROM (%L) TO (%L)', name, month, ending);
      made := made + 1;
    END IF;
    month := ending;
  END LOOP;
  RETURN made;
END
$$;
REVOKE ALL ON FUNCTION recorder.ensure_sample_partitions(timestamptz, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION recorder.ensure_sample_partitions(timestamptz, timestamptz) IS
  'Makes the monthly partitions of recorder.sample that hold times from since to until, moves rows out of the default one, and returns how many it made.';
