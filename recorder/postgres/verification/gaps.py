"""Are the gaps themselves in order?"""

from recorder.postgres.verification.check import Check

_TOLD = """
    told AS (
      SELECT c.name AS account, g.*
      FROM chosen c
      CROSS JOIN given
      JOIN recorder.gap g ON g.account_id = c.id AND coalesce(g.ended_at, 'infinity') >= given.since
    )"""
_CHECKED = "SELECT count(*) FROM told"

GAPS = Check(
    name="gaps",
    question="Does every gap begin before it ends, and apart from the others of its source and symbol?",
    unit="gaps",
    tables=_TOLD,
    checked=_CHECKED,
    wrong="""
      SELECT account, started_at AS "time", NULL AS symbol, source, reason, ended_at < started_at AS is_reversed
      FROM (
        SELECT *, max(coalesce(ended_at, 'infinity')) OVER (
          PARTITION BY account_id, source, symbol ORDER BY started_at
          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS ended_before
        FROM told
      ) AS pair
      WHERE ended_at < started_at
         OR (started_at < ended_before AND ended_at IS DISTINCT FROM started_at)""",
    saying="""
      source || ' gap, ' || reason
      || CASE WHEN is_reversed THEN ': ends before it starts' ELSE ': overlaps the one before' END""",
)

OPEN_GAPS = Check(
    name="open gaps",
    question="Is every gap that has not ended one that still goes on?",
    unit="gaps",
    tables=_TOLD,
    checked="SELECT count(*) FROM told WHERE ended_at IS NULL",
    # An hour is more than it takes to write down that a gap has ended.
    wrong="""
      SELECT account, started_at AS "time", NULL AS symbol, source, reason
      FROM told t
      WHERE ended_at IS NULL AND CASE source
        WHEN 'stream' THEN 'connected' = (
          SELECT s.state FROM recorder.stream s
          WHERE s.account_id = t.account_id AND s.state NOT IN ('stopped', 'disabled')
            AND s.since > t.started_at AND s.since < now() - interval '1 hour'
          ORDER BY s.since DESC LIMIT 1
        )
        ELSE EXISTS (
          SELECT FROM recorder.snapshot s
          WHERE s.account_id = t.account_id AND s.outcome = 'ok'
            AND s."time" > t.started_at + interval '1 hour' AND s."time" < now() - interval '1 hour'
        )
      END""",
    saying="source || ' gap, ' || reason || ': never ended, though the account is watched again'",
)

REPAIRS = Check(
    name="repairs",
    question="Does every gap of the stream that the ledgers cover say that they repaired it?",
    unit="gaps",
    tables=_TOLD,
    checked="SELECT count(*) FROM told WHERE source = 'stream' AND ended_at IS NOT NULL",
    wrong="""
      SELECT t.account, t.started_at AS "time", NULL AS symbol, l.complete_until
      FROM told t
      JOIN recorder.ledger l ON l.account_id = t.account_id AND l.kind = 'income'
      WHERE t.source = 'stream' AND t.repaired_by IS NULL
        AND l.complete_since <= t.started_at AND l.complete_until > t.ended_at + interval '1 hour'""",
    saying="'not repaired, though the ledgers are complete until ' || complete_until",
)
