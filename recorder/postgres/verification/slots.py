"""Is every slot that was due answered for?"""

from recorder.postgres.verification.check import Check

# The newest two slots may still be on their way into the database. An account's slots end with its newest snapshot:
# what comes after it is a gap that the next start writes.
_DUE = """
    plan AS (
      SELECT c.id, c.name, s.every,
             greatest(s.since, given.since) AS since,
             lead(s.since, 1, 'infinity') OVER (PARTITION BY s.account_id ORDER BY s.since) AS until
      FROM chosen c
      CROSS JOIN given
      JOIN recorder.schedule s ON s.account_id = c.id
    ), due AS (
      SELECT p.id, p.name, p.every,
             date_bin(p.every, p.since - interval '1 microsecond', 'epoch') + p.every AS first,
             date_bin(
               p.every, least(p.until - interval '1 microsecond', last."time", now() - 2 * p.every), 'epoch'
             ) AS last
      FROM plan p
      CROSS JOIN LATERAL (
        SELECT s."time" FROM recorder.snapshot s WHERE s.account_id = p.id ORDER BY s."time" DESC LIMIT 1
      ) AS last
      WHERE p.since < p.until
    ), answered AS (
      SELECT d.id, d.name, d.every, d.first, s."time"
      FROM due d
      JOIN recorder.snapshot s ON s.account_id = d.id AND s."time" BETWEEN d.first AND d.last
      WHERE date_bin(d.every, s."time", 'epoch') = s."time"
      UNION ALL
      SELECT id, name, every, first, edge
      FROM due CROSS JOIN LATERAL (VALUES (first - every), (last + every)) AS outside (edge)
      WHERE first <= last
    ), hole AS (
      SELECT id, name, every, "time" + every AS begins, next - every AS ends
      FROM (SELECT *, lead("time") OVER (PARTITION BY id, first ORDER BY "time") AS next FROM answered) AS pair
      WHERE next - "time" > every
    )"""

SLOTS = Check(
    name="slots",
    question="Has every slot that was due a snapshot, ok or failed, or does a gap say that nobody watched?",
    unit="slots",
    tables=_DUE,
    checked="""
      SELECT coalesce(sum(div(extract(epoch FROM last - first), extract(epoch FROM every)) + 1), 0)::bigint
      FROM due WHERE first <= last""",
    wrong="""
      SELECT h.name AS account, slot AS "time", NULL AS symbol
      FROM hole h
      CROSS JOIN LATERAL generate_series(h.begins, h.ends, h.every) AS slot
      WHERE NOT EXISTS (
        SELECT FROM recorder.gap g
        WHERE g.account_id = h.id AND g.source = 'snapshot' AND g.started_at < slot
          AND coalesce(g.ended_at, 'infinity') > slot
      )""",
    saying="'neither a snapshot nor a gap'",
)

OPEN_END = Check(
    name="open end",
    question="Is the record still being written?",
    unit="accounts",
    tables="""
      newest AS (
        SELECT c.name, s.every, last."time"
        FROM chosen c
        CROSS JOIN LATERAL (
          SELECT s.every FROM recorder.schedule s WHERE s.account_id = c.id ORDER BY s.since DESC LIMIT 1
        ) AS s
        CROSS JOIN LATERAL (
          SELECT s."time" FROM recorder.snapshot s WHERE s.account_id = c.id ORDER BY s."time" DESC LIMIT 1
        ) AS last
      )""",
    checked="SELECT count(*) FROM newest",
    wrong="""
      SELECT name AS account, "time", NULL AS symbol FROM newest
      WHERE "time" < now() - greatest(2 * every, interval '1 minute')""",
    saying="'nothing since: the service does not run now, or has not this account; its next start writes the gap'",
    is_violation=False,
)
