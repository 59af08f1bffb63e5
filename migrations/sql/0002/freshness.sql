CREATE OR REPLACE VIEW bi.freshness AS
SELECT
  a.name AS account,
  newest."time" AS last_ok_snapshot,
  now() - newest."time" AS age,
  last.outcome AS last_outcome,
  stream.state AS stream_state,
  (SELECT count(*) FROM recorder.gap g WHERE g.account_id = a.id AND g.ended_at IS NULL) AS open_gaps
FROM recorder.account a
LEFT JOIN recorder.stream ON stream.account_id = a.id
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

COMMENT ON COLUMN bi.freshness.stream_state IS 'State of the account''s event stream; null: it was never recorded.';
