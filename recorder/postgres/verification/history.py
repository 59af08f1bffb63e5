"""Does the history of changes agree with what the snapshots saw?"""

from recorder.postgres.verification.check import Check


# A snapshot's answer was true at some moment between sending and receiving, and changes are dated by the exchange, by
# the stream (which may differ by a second: recorder.postgres.changes.SAME_CHANGE) or by the slot: what it shows must
# have been in force at some moment from opens to closes. An answer may lag behind by some seconds more.
#
# Comparing each sample with the history would be a look-up for each. Instead the samples of a position that show one
# and the same state are one stretch, and so are the snapshots without the position in between, which say that it was
# flat. Of a stretch without holes, over which one state of the history is in force from the first window to the last,
# every sample agrees; only what remains in doubt is looked at one by one.
#
# A place is the number of a snapshot, unique over all accounts: joined by one column, the planner, which knows nothing
# of what is made up on the way, has no bad choice.
def _same(one: str, other: str) -> str:
    """The condition that both tell of the same state.

    The exchange shows entry prices rounded, not everywhere alike; one that is not known contradicts nothing.
    """
    digits = f"least(scale({one}.entry_price), scale({other}.entry_price))"
    return f"""{one}.account_id = {other}.account_id AND {one}.symbol = {other}.symbol
          AND {one}.position_side = {other}.position_side AND {one}.position_amt = {other}.position_amt
          AND coalesce(round({one}.entry_price, {digits}) = round({other}.entry_price, {digits}), true)"""


_HISTORY = f"""
    snap AS MATERIALIZED (
      SELECT account_id, "time", opens, closes,
             account_id * CAST(4294967296 AS bigint) + row_number() OVER earlier AS place,
             max(opens) OVER earlier AS latest_opening,
             min(closes) OVER (PARTITION BY account_id ORDER BY "time" DESC) AS earliest_closing
      FROM (
        SELECT s.account_id, s."time",
               least(s."time", s.taken_at - half - interval '1 second') AS opens,
               greatest(s."time", s.taken_at + half + interval '1 second') AS closes
        FROM chosen c
        JOIN recorder.snapshot s ON s.account_id = c.id
        CROSS JOIN LATERAL make_interval(secs => s.duration_ms / 2000.0) AS half
        WHERE s.outcome = 'ok'
          AND s."time" >= CAST(:since AS timestamptz) AND s."time" < CAST(:until AS timestamptz)
      ) AS asked
      WINDOW earlier AS (PARTITION BY account_id ORDER BY "time")
    ), seen AS MATERIALIZED (
      SELECT p.account_id, p.symbol, p.position_side, p.update_time, p.position_amt,
             CASE WHEN p.position_amt = 0 THEN 0 ELSE p.entry_price END AS entry_price,
             min(s.place) AS first, max(s.place) AS last, count(*) AS samples,
             min(s.closes) AS earliest_closing, max(s.opens) AS latest_opening
      FROM recorder.sample p
      JOIN snap s ON s.account_id = p.account_id AND s."time" = p."time"
      WHERE p."time" >= CAST(:since AS timestamptz) AND p."time" < CAST(:until AS timestamptz)
      GROUP BY 1, 2, 3, 4, 5, 6
    ), told AS (
      SELECT c.account_id, c.symbol, c.position_side, c.update_time AS begins, c.dated_by_exchange, c.position_amt,
             CASE WHEN c.position_amt = 0 THEN 0 ELSE c.entry_price END AS entry_price, c.snapshot_time
      FROM recorder.change c
      WHERE c.account_id IN (SELECT id FROM chosen) AND c.update_time < CAST(:until AS timestamptz) + interval '1 day'
    ), held AS MATERIALIZED (
      -- Before its first change a position was flat.
      SELECT *, lead(begins, 1, 'infinity') OVER earlier AS ends,
             position_amt IS DISTINCT FROM lag(position_amt) OVER earlier
             OR entry_price IS DISTINCT FROM lag(entry_price) OVER earlier AS differs
      FROM (
        SELECT * FROM told
        UNION ALL
        SELECT DISTINCT account_id, symbol, position_side, CAST('-infinity' AS timestamptz), false, 0, 0,
               CAST(NULL AS timestamptz)
        FROM (
          SELECT account_id, symbol, position_side FROM told
          UNION ALL
          SELECT account_id, symbol, position_side FROM seen
        ) AS known
      ) AS state
      WINDOW earlier AS (PARTITION BY account_id, symbol, position_side ORDER BY begins, dated_by_exchange)
    ), in_force AS (
      SELECT account_id, symbol, position_side, position_amt, entry_price, min(begins) AS begins, max(ends) AS ends
      FROM (
        SELECT *, count(*) FILTER (WHERE differs) OVER (
          PARTITION BY account_id, symbol, position_side ORDER BY begins, dated_by_exchange
        ) AS number
        FROM held
      ) AS numbered
      GROUP BY account_id, symbol, position_side, position_amt, entry_price, number
      HAVING max(ends) > CAST(:since AS timestamptz) - interval '1 day'
    ), covered AS (
      SELECT account_id, symbol, position_side, first, last FROM seen
      UNION ALL
      SELECT h.account_id, h.symbol, h.position_side, edge.place, edge.place
      FROM (SELECT DISTINCT account_id, symbol, position_side FROM held) AS h
      JOIN (SELECT account_id, min(place) AS first, max(place) AS last FROM snap GROUP BY account_id) AS places
        ON places.account_id = h.account_id
      CROSS JOIN LATERAL (VALUES (places.first - 1), (places.last + 1)) AS edge (place)
    ), absent AS (
      SELECT account_id, symbol, position_side, covered_before + 1 AS first, first - 1 AS last
      FROM (
        SELECT *, max(last) OVER (
          PARTITION BY account_id, symbol, position_side ORDER BY first, last
          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS covered_before
        FROM covered
      ) AS pair
      WHERE first - 1 > covered_before
    ), stretch AS MATERIALIZED (
      SELECT account_id, symbol, position_side, position_amt, entry_price, first, last, samples,
             earliest_closing, latest_opening
      FROM seen
      UNION ALL
      SELECT a.account_id, a.symbol, a.position_side, 0, 0, a.first, a.last, a.last - a.first + 1,
             begins.earliest_closing, ends.latest_opening
      FROM absent a
      JOIN snap AS begins ON begins.place = a.first
      JOIN snap AS ends ON ends.place = a.last
    ), doubtful AS (
      SELECT account_id, symbol, position_side, first, last FROM stretch
      EXCEPT
      SELECT s.account_id, s.symbol, s.position_side, s.first, s.last
      FROM stretch s
      JOIN in_force f
        ON {_same("f", "s")}
        AND f.begins <= s.earliest_closing AND f.ends > s.latest_opening
      WHERE s.samples = s.last - s.first + 1
    ), looked_at AS (
      SELECT d.account_id, d.symbol, d.position_side, s."time", s.opens - interval '10 seconds' AS opens,
             greatest(s.closes, p.update_time + interval '1 second') AS closes,
             p.update_time, coalesce(p.position_amt, 0) AS position_amt,
             CASE WHEN coalesce(p.position_amt, 0) = 0 THEN 0 ELSE p.entry_price END AS entry_price
      FROM (
        SELECT DISTINCT account_id, symbol, position_side, place
        FROM doubtful CROSS JOIN LATERAL generate_series(first, last) AS place
      ) AS d
      JOIN snap s ON s.place = d.place
      LEFT JOIN recorder.sample p
        ON p.account_id = d.account_id AND p."time" = s."time" AND p.symbol = d.symbol
        AND p.position_side = d.position_side
        AND p."time" >= CAST(:since AS timestamptz) AND p."time" < CAST(:until AS timestamptz)
    )"""

HISTORY = Check(
    name="history",
    question="Had every position in the history, at each ok snapshot, the amount and the entry price that it showed?",
    unit="samples",
    by_month=True,
    tables=_HISTORY,
    checked="SELECT coalesce(sum(samples), 0)::bigint FROM seen",
    # Not wrong: an answer older than what the history knew of a later change from another snapshot, or from the stream
    # and then from a snapshot; nor an answer without a position that only a later snapshot told was open then.
    wrong=f"""
      SELECT c.name AS account, l."time", l.symbol, l.position_side, l.account_id, l.closes,
             l.position_amt, l.entry_price
      FROM looked_at l
      JOIN chosen c ON c.id = l.account_id
      WHERE NOT EXISTS (
        SELECT FROM held h
        WHERE {_same("h", "l")}
          AND h.begins <= l.closes AND h.ends > l.opens
      ) AND NOT EXISTS (
        SELECT FROM held later
        WHERE later.account_id = l.account_id AND later.symbol = l.symbol AND later.position_side = l.position_side
          AND later.begins <= l.closes AND later.ends > l.closes
          AND CASE WHEN l.update_time IS NULL THEN later.snapshot_time > l."time"
            ELSE later.begins > l.update_time + interval '1 second'
              AND EXISTS (
                SELECT FROM held h
                WHERE {_same("h", "l")}
                  AND h.begins BETWEEN l.update_time - interval '1 second' AND l.update_time + interval '1 second'
              )
              AND (later.snapshot_time IS NOT NULL OR EXISTS (
                SELECT FROM seen s
                WHERE {_same("s", "later")}
                  AND s.update_time BETWEEN later.begins - interval '1 second' AND later.begins + interval '1 second'
              ))
          END
      )""",
    saying="""
      wrong.position_side || ': the snapshot shows ' || CASE WHEN wrong.position_amt = 0 THEN 'nothing'
        ELSE wrong.position_amt || ' at ' || wrong.entry_price END || ', the history says ' || coalesce((
        SELECT c.position_amt || ' at ' || coalesce(CAST(c.entry_price AS text), '?') || ' since ' || c.update_time
        FROM recorder.change c
        WHERE c.account_id = wrong.account_id AND c.symbol = wrong.symbol AND c.position_side = wrong.position_side
          AND c.update_time <= wrong.closes
        ORDER BY c.update_time DESC, c.dated_by_exchange DESC LIMIT 1
      ), 'nothing yet')""",
)

CHANGES = Check(
    name="changes",
    question="Did the snapshot that told of a change show that very state?",
    unit="changes",
    tables="""
      told AS (
        SELECT c.name, h.*
        FROM chosen c
        CROSS JOIN given
        JOIN recorder.change h ON h.account_id = c.id AND h.snapshot_time >= given.since
      )""",
    checked="SELECT count(*) FROM told",
    wrong="""
      SELECT t.name AS account, t.update_time AS "time", t.symbol, t.position_side, t.snapshot_time, t.position_amt,
             s.outcome, p.position_amt AS seen
      FROM told t
      LEFT JOIN recorder.snapshot s ON s.account_id = t.account_id AND s."time" = t.snapshot_time
      LEFT JOIN recorder.sample p
        ON p.account_id = t.account_id AND p."time" = t.snapshot_time AND p.symbol = t.symbol
        AND p.position_side = t.position_side
      WHERE s.outcome IS DISTINCT FROM 'ok' OR coalesce(p.position_amt, 0) <> t.position_amt
         OR t.position_amt <> 0 AND p.entry_price <> t.entry_price""",
    saying="""
      position_side || ': ' || position_amt || ' as told by the snapshot of ' || snapshot_time || ', which '
      || CASE WHEN outcome IS NULL THEN 'is not there' WHEN outcome <> 'ok' THEN 'failed'
         ELSE 'shows ' || coalesce(seen || ' otherwise', 'nothing') END""",
)
