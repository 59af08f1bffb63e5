CREATE OR REPLACE FUNCTION bi.positions_at(at timestamptz) RETURNS SETOF bi.position_history
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT h.*
  FROM bi.position_history h
  WHERE h.update_time <= at AND (h.valid_to > at OR h.valid_to IS NULL)
$$;
COMMENT ON FUNCTION bi.positions_at(timestamptz) IS
  'The rows of bi.position_history that were in force at that instant: what every account held then. '
  'A position that had been closed is there with position_amt 0.';
