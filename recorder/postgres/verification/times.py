"""Can all times be?"""

from recorder.postgres.verification.check import Check

TIMES = Check(
    name="times",
    question="Was every slot's snapshot taken at its time, and nothing recorded or changed before it happened?",
    unit="snapshots",
    # taken_at is the exchange's time: own time is less by the offset. A late slot may be asked a whole slot late, when
    # the machine slept, and twice. Three clocks meet here, so that up to a minute between them is forgiven.
    tables="""
      plan AS (
        SELECT s.account_id, s.every, s.since,
               lead(s.since, 1, 'infinity') OVER (PARTITION BY s.account_id ORDER BY s.since) AS until
        FROM recorder.schedule s
      ), taken AS (
        SELECT c.id, c.name, s."time", s.taken_at, s.recorded_at,
               s.taken_at - make_interval(secs => coalesce(s.clock_offset_ms, 0) / 1000.0) - s."time" AS late, p.every
        FROM chosen c
        CROSS JOIN given
        JOIN recorder.snapshot s ON s.account_id = c.id AND s."time" >= given.since
        LEFT JOIN plan p ON p.account_id = s.account_id AND s."time" >= p.since AND s."time" < p.until
          AND s.kind = 'slot' AND s.outcome = 'ok'
      )""",
    checked="SELECT count(*) FROM taken",
    wrong="""
      SELECT name AS account, "time", NULL AS symbol,
             CASE WHEN recorded_at < taken_at - interval '1 minute'
               THEN 'recorded at ' || recorded_at || ', before it was taken at ' || taken_at
               ELSE 'taken ' || late || ' after its slot' END AS what
      FROM taken
      WHERE recorded_at < taken_at - interval '1 minute'
         OR late < interval '-1 second' OR late > 2 * every + interval '10 seconds'
      UNION ALL
      SELECT c.name, h.update_time, h.symbol, 'a change that was seen before it happened, at ' || h.observed_at
      FROM chosen c
      CROSS JOIN given
      JOIN recorder.change h ON h.account_id = c.id AND h.update_time >= given.since
      WHERE h.dated_by_exchange AND h.update_time > h.observed_at + interval '1 minute'""",
    saying="what",
)
