-- The service may not create tables; it asks this function of the owner for the months it needs.
-- To attach a month, the bounds of the default partition change: for that moment nobody may read it, and nobody may
-- write into the table. Whoever reads for hours (pg_dump) cannot be waited for, since writers would wait as well: so
-- each lock is waited for briefly, all is undone when one cannot be had, and the caller tries again later.
CREATE OR REPLACE FUNCTION recorder.ensure_partitions(since timestamptz, until timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
  parent text;
  month  timestamptz;
  ending timestamptz;
  name   text;
  made   integer := 0;
BEGIN
  IF until > since + interval '100 years' THEN
    RAISE EXCEPTION 'refused: % to % are more partitions than anyone needs', since, until;
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('recorder.partitions'), 0);
  FOREACH parent IN ARRAY ARRAY['sample', 'balance'] LOOP
    month := date_trunc('month', since, 'UTC');
    WHILE month <= until LOOP
      ending := (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
      name := parent || '_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
      IF to_regclass('recorder.' || name) IS NULL THEN
        -- Writers wait, or were first: none may be on its way into the default partition when its bounds change.
        EXECUTE format('LOCK TABLE ONLY recorder.%I IN SHARE ROW EXCLUSIVE MODE', parent);
        EXECUTE format('LOCK TABLE recorder.%I IN ACCESS EXCLUSIVE MODE', parent || '_default');
        EXECUTE format('CREATE TABLE recorder.%I (LIKE recorder.%I INCLUDING DEFAULTS)', name, parent);
        EXECUTE format(
          'WITH moved AS (DELETE FROM recorder.%I WHERE "time" >= %L AND "time" < %L RETURNING *) '
          'INSERT INTO recorder.%I SELECT * FROM moved', parent || '_default', month, ending, name);
        EXECUTE format(
          'ALTER TABLE recorder.%I ATTACH PARTITION recorder.%I FOR VALUES FROM (%L) TO (%L)',
          parent, name, month, ending);
        made := made + 1;
      ELSIF NOT EXISTS (
        SELECT FROM pg_inherits
        WHERE inhparent = to_regclass('recorder.' || parent) AND inhrelid = to_regclass('recorder.' || name)
      ) THEN
        RAISE EXCEPTION 'recorder.% is no partition of recorder.%: the name of its month is taken', name, parent
          USING ERRCODE = 'duplicate_table';
      END IF;
      month := ending;
    END LOOP;
  END LOOP;
  RETURN made;
END
$$;
REVOKE ALL ON FUNCTION recorder.ensure_partitions(timestamptz, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION recorder.ensure_partitions(timestamptz, timestamptz) IS
  'Makes the monthly partitions that hold times from since to until, moves rows out of the default ones, and returns how many it made. Waits for no lock longer than 200 ms.';
