"""Is every snapshot whole: its row, its samples, its balances?"""

from recorder.postgres.verification.check import Check

SNAPSHOTS = Check(
    name="snapshots",
    question="Has every ok snapshot as many samples as it counted, and are there no others?",
    unit="snapshots",
    by_month=True,
    tables="""
      taken AS (
        SELECT c.id, c.name, s."time", s.outcome, s.position_count
        FROM chosen c
        JOIN recorder.snapshot s ON s.account_id = c.id
        WHERE s."time" >= CAST(:since AS timestamptz) AND s."time" < CAST(:until AS timestamptz)
      ), counted AS (
        SELECT p.account_id, p."time", count(*) AS samples, min(p.symbol) AS symbol
        FROM recorder.sample p
        WHERE p."time" >= CAST(:since AS timestamptz) AND p."time" < CAST(:until AS timestamptz)
          AND p.account_id IN (SELECT id FROM chosen)
        GROUP BY p.account_id, p."time"
      )""",
    checked="SELECT count(*) FROM taken",
    wrong="""
      SELECT c.name AS account, coalesce(t."time", n."time") AS "time", n.symbol, t.outcome, t.position_count,
             coalesce(n.samples, 0) AS samples
      FROM taken t
      FULL JOIN counted n ON n.account_id = t.id AND n."time" = t."time"
      JOIN chosen c ON c.id = coalesce(t.id, n.account_id)
      WHERE coalesce(n.samples, 0) <> CASE WHEN t.outcome = 'ok' THEN t.position_count ELSE 0 END""",
    saying="""
      CASE
        WHEN outcome IS NULL THEN samples || ' samples and no snapshot'
        WHEN outcome <> 'ok' THEN samples || ' samples of a snapshot that failed: ' || outcome
        ELSE samples || ' samples where the snapshot counted ' || position_count
      END""",
)

BALANCES = Check(
    name="balances",
    question="Has every answer about balances its rows, and are there no others?",
    unit="answers",
    tables="""
      held AS (
        SELECT b.account_id, b."time", count(*) AS assets
        FROM recorder.balance b CROSS JOIN given
        WHERE b."time" >= given.since AND b.account_id IN (SELECT id FROM chosen)
        GROUP BY b.account_id, b."time"
      ), asked AS (
        SELECT c.id, c.name, s."time", s.taken_at
        FROM chosen c
        CROSS JOIN given
        JOIN recorder.snapshot s ON s.account_id = c.id AND s."time" >= given.since
        WHERE s.balance_outcome = 'ok'
      ), answer AS (
        SELECT a.*, h.assets, lag(h.assets) OVER nearby AS assets_before, lead(h.assets) OVER nearby AS assets_after,
               lag(a.taken_at) OVER nearby AS taken_before, lead(a.taken_at) OVER nearby AS taken_after
        FROM asked a
        LEFT JOIN held h ON h.account_id = a.id AND h."time" = a."time"
        WINDOW nearby AS (PARTITION BY a.id ORDER BY a."time")
      )""",
    checked="SELECT count(*) FROM asked",
    # Without any amount there are no rows. That all wallets were empty for one slot, and nothing was booked, is not so.
    wrong="""
      SELECT name AS account, "time", NULL AS symbol, NULL AS assets
      FROM answer a
      WHERE assets IS NULL AND assets_before IS NOT NULL AND assets_after IS NOT NULL
        AND NOT EXISTS (
          SELECT FROM recorder.income i
          WHERE i.account_id = a.id AND i."time" BETWEEN a.taken_before - interval '1 minute' AND a.taken_after
        )
      UNION ALL
      SELECT c.name, h."time", NULL, h.assets
      FROM held h
      JOIN chosen c ON c.id = h.account_id
      LEFT JOIN asked a ON a.id = h.account_id AND a."time" = h."time"
      WHERE a.id IS NULL""",
    saying="""
      CASE WHEN assets IS NULL THEN 'no balances, though there are before and after, and nothing was booked'
           ELSE assets || ' balances, and no snapshot that says that they were answered' END""",
)
