CREATE OR REPLACE VIEW bi.snapshot AS
SELECT
  a.name AS account,
  s."time",
  s.kind,
  coalesce(s.true_at, s.taken_at) AS taken_at,
  s.outcome,
  s.detail,
  s.position_count,
  s.duration_ms
FROM recorder.snapshot s
JOIN recorder.account a ON a.id = s.account_id;

COMMENT ON VIEW bi.snapshot IS
  'One row per account and slot, and per request outside the schedule: whether the account could be asked, and what came of it.';
COMMENT ON COLUMN bi.snapshot.account IS 'Name of the account, as its operator chose it.';
COMMENT ON COLUMN bi.snapshot."time" IS 'The slot: the due time of the schedule; for other kinds the instant of asking.';
COMMENT ON COLUMN bi.snapshot.kind IS 'slot (scheduled), start, reconnect, manual (recorder snapshot) or import (recorder import).';
COMMENT ON COLUMN bi.snapshot.taken_at IS 'Exchange time at which the rows were true; for a failed snapshot the moment it was given up.';
COMMENT ON COLUMN bi.snapshot.outcome IS 'ok, or what failed: timeout, unreachable, rate_limited, clock, account_rejected, request_rejected, malformed, missed (the machine slept), stopped (the service was), internal_error, refused_by_database.';
COMMENT ON COLUMN bi.snapshot.detail IS 'For people: why it failed, or that it ran late; null when there is nothing to say.';
COMMENT ON COLUMN bi.snapshot.position_count IS 'Number of position rows in the answer; 0 with outcome ok means that the account was flat.';
COMMENT ON COLUMN bi.snapshot.duration_ms IS 'Milliseconds from asking to answer, or until it was given up.';
