"""What did the exchange tell again otherwise, and which ids did it use again? Worth knowing, and no violation."""

from recorder.postgres.verification.check import Check

RESTATED = Check(
    name="restated",
    question="Did the exchange tell every line always the same?",
    unit="lines",
    checked="""
      SELECT (SELECT count(*) FROM chosen c CROSS JOIN given
              JOIN recorder.fill f ON f.account_id = c.id AND f."time" >= given.since)
           + (SELECT count(*) FROM chosen c CROSS JOIN given
              JOIN recorder.income i ON i.account_id = c.id AND i."time" >= given.since)""",
    wrong="""
      SELECT c.name AS account, s."time", nullif(s.body ->> 'symbol', '') AS symbol, s.record, s.told_at,
             coalesce(s.body ->> 'trade_id', s.body ->> 'tran_id') AS number
      FROM chosen c
      CROSS JOIN given
      JOIN recorder.superseded s ON s.account_id = c.id AND s."time" >= given.since""",
    saying="""
      record || coalesce(' ' || number, '') || ': told otherwise' || coalesce(' at ' || told_at, '')
      || ', which does not count; see bi.superseded'""",
    is_violation=False,
)

REUSED = Check(
    name="reused ids",
    question="Did the exchange give every fill and every line of income an id of its own?",
    unit="lines",
    checked=RESTATED.checked,
    wrong="""
      SELECT c.name AS account, again.*
      FROM chosen c
      CROSS JOIN given
      CROSS JOIN LATERAL (
        SELECT max(f."time") AS "time", f.symbol, 'trade ' || f.trade_id AS line, count(*) AS lines
        FROM recorder.fill f
        WHERE f.account_id = c.id
        GROUP BY f.account_id, f.symbol, f.trade_id HAVING count(*) > 1
        UNION ALL
        SELECT max(i."time"), nullif(i.symbol, ''), i.income_type || ' ' || i.tran_id || ' of ' || i.asset, count(*)
        FROM recorder.income i
        WHERE i.account_id = c.id
        GROUP BY i.account_id, i.income_type, i.tran_id, i.asset, i.symbol HAVING count(*) > 1
      ) AS again
      WHERE again."time" >= given.since""",
    saying="line || ': ' || lines || ' lines of different times or orders have this id, and all of them count'",
    is_violation=False,
)
