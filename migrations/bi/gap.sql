CREATE OR REPLACE VIEW bi.gap AS
SELECT
  a.name AS account,
  g.source,
  g.started_at,
  g.ended_at,
  g.reason,
  g.repaired_by,
  NULL::text AS symbol,
  NULL::text AS position_side
FROM recorder.gap g
JOIN recorder.account a ON a.id = g.account_id
WHERE g.ended_at IS DISTINCT FROM g.started_at -- a service that was stopped and missed nothing until it was started again
UNION ALL
SELECT
  a.name,
  'stream',
  u.started_at,
  u.ended_at,
  'unexplained',
  NULL,
  u.symbol,
  u.position_side
FROM recorder.unexplained u
JOIN recorder.account a ON a.id = u.account_id
UNION ALL
SELECT
  a.name,
  'snapshot',
  c.started_at,
  c.ended_at,
  'contradicted',
  NULL,
  c.symbol,
  c.position_side
FROM recorder.contradicted c
JOIN recorder.account a ON a.id = c.account_id;

COMMENT ON VIEW bi.gap IS
  'One row per interval in which an account was not watched: nothing is known of it, which is not the same as nothing having happened. '
  'Also one per stretch in which answers lacked a position that was there, and one per stretch in which a position moved by something that neither the event stream nor the fills tell of.';
COMMENT ON COLUMN bi.gap.account IS 'Name of the account, as its operator chose it.';
COMMENT ON COLUMN bi.gap.source IS 'What was interrupted: snapshot or stream.';
COMMENT ON COLUMN bi.gap.started_at IS 'The last instant that is covered: of snapshots the time of the last ok one, or a microsecond after; of the stream a second before it was lost, or more where events came later than that, since some may have been on their way.';
COMMENT ON COLUMN bi.gap.ended_at IS 'The first instant that is covered again; null: the gap is still open.';
COMMENT ON COLUMN bi.gap.reason IS
  'Why nobody watched: stopped (the service was told to stop), not_running (it was killed, or lost the record of its stop), '
  'took_over (the recorder that watched died, and another one took over), asleep (the machine slept or the process stood still), '
  'buffer_full (the database was away for longer than the spool lasts), spool_damaged (what was observed could not be read from '
  'disk any more), database_restored (the database lost commits that the spool held no longer); '
  'of snapshots also exchange_unavailable (no connection or no answer), banned (the exchange wanted nothing asked: 429, 418), '
  'weight_used_up (of the budget of a minute), key_rejected, exchange_refused (the request or its timestamp, or an answer that is '
  'not as documented), internal_error; '
  'of the stream also waiting_for_connection (none could be opened yet), connection_lost, listen_key_expired, listen_key_changed, silent (it told nothing of what a snapshot showed). '
  'Found afterwards: unexplained (a position had another amount than its fills add up to; between the two times its changes are not known), '
  'contradicted (complete answers lacked a position, and then it was back with a state from before: it was there all the time, at values '
  'that nobody knows).';
COMMENT ON COLUMN bi.gap.repaired_by IS
  'What filled the interval afterwards: ledgers (income and fills are complete, and every change that they explain is in '
  'bi.position_history; not known are prices and margins in between, margin calls, and changes of leverage, margin type and '
  'settings); null: nothing did, or the fills do not explain what happened.';
COMMENT ON COLUMN bi.gap.symbol IS 'Contract that is unexplained or contradicted; null: the whole account was not watched.';
COMMENT ON COLUMN bi.gap.position_side IS 'BOTH, LONG or SHORT: the position that is unexplained or contradicted; null: the whole account was not watched.';
