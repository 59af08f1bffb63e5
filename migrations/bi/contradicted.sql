CREATE OR REPLACE VIEW recorder.contradicted AS
SELECT c.account_id, c.symbol, c.position_side, c.margin_asset, c.update_time AS started_at, c.contradicted_by AS ended_at
FROM recorder.change c
WHERE c.contradicted_by IS NOT NULL;
COMMENT ON VIEW recorder.contradicted IS
  'One row per stretch in which complete answers lacked a position that was there: what a snapshot says of it then is not so.';
