CREATE VIEW bi.gap AS
SELECT
  a.name AS account,
  g.source,
  g.started_at,
  g.ended_at,
  g.reason,
  g.repaired_by
FROM recorder.gap g
JOIN recorder.account a ON a.id = g.account_id;

COMMENT ON VIEW bi.gap IS
  'One row per interval in which an account was not watched: nothing is known of it, which is not the same as nothing having happened.';
COMMENT ON COLUMN bi.gap.account IS 'Name of the account, as its operator chose it.';
COMMENT ON COLUMN bi.gap.source IS 'What was interrupted: snapshot or stream.';
COMMENT ON COLUMN bi.gap.started_at IS 'The last instant that is covered.';
COMMENT ON COLUMN bi.gap.ended_at IS 'The first instant that is covered again; null: the gap is still open.';
COMMENT ON COLUMN bi.gap.reason IS
  'Why nobody watched: not_running (the service was down), buffer_full (the database was away for longer than the spool lasts), spool_damaged (what was observed could not be read from disk any more), database_restored (the database lost commits that the spool held no longer); '
  'of the stream also connection_lost, listen_key_expired, listen_key_changed, silent (it told nothing of what a snapshot showed).';
COMMENT ON COLUMN bi.gap.repaired_by IS
  'What filled the interval afterwards: ledgers (fills and income are complete; prices and margins are not known); null: nothing did.';
