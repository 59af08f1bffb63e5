CREATE VIEW bi.freshness AS
SELECT
  a.name AS account,
  newest."time" AS last_ok_snapshot,
  now() - newest."time" AS age,
  last.outcome AS last_outcome,
  NULL::text AS stream_state,
  (SELECT count(*) FROM recorder.gap g WHERE g.account_id = a.id AND g.ended_at IS NULL) AS open_gaps
FROM recorder.account a
LEFT JOIN LATERAL (
  SELECT s."time"
  FROM recorder.snapshot s
  WHERE s.account_id = a.id AND s.outcome = 'ok'
  ORDER BY s."time" DESC
  LIMIT 1
) AS newest ON true
LEFT JOIN LATERAL (
  SELECT s.outcome
  FROM recorder.snapshot s
  WHERE s.account_id = a.id
  ORDER BY s."time" DESC
  LIMIT 1
) AS last ON true;

COMMENT ON VIEW bi.freshness IS 'One row per account: how old its newest recorded data is. Alarm on age.';
COMMENT ON COLUMN bi.freshness.account IS 'Name of the account, as its operator chose it.';
COMMENT ON COLUMN bi.freshness.last_ok_snapshot IS 'Time of the newest ok snapshot; null: there is none yet.';
COMMENT ON COLUMN bi.freshness.age IS 'Time since that snapshot.';
COMMENT ON COLUMN bi.freshness.last_outcome IS 'Outcome of the newest snapshot, ok or failed.';
COMMENT ON COLUMN bi.freshness.stream_state IS 'State of the user data stream; null: it is not recorded.';
COMMENT ON COLUMN bi.freshness.open_gaps IS 'Number of gaps that have not ended.';
