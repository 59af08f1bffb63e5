"""Was every account listened to, or is it said when not?"""

from recorder.postgres.verification.check import Check

STREAMS = Check(
    name="stream",
    question="Since its stream first connected, was every account listened to all the time, but for its gaps?",
    unit="states",
    # The newest process may be about to own up for what was before it; of those before it each was owned up for, and
    # then the state right before it is why nobody listened.
    # A process that is told to stop says so for who asks how fresh the data is; what counts is what the next one says.
    # Clocks of two machines meet here: a second is forgiven.
    tables="""
      state AS (
        SELECT c.id, c.name, s.since, s.state,
               min(s.since) FILTER (WHERE s.state = 'connected') OVER every_state AS first_connected,
               min(s.since) FILTER (WHERE s.state = 'connected') OVER later AS connected_again
        FROM chosen c
        JOIN recorder.stream s ON s.account_id = c.id
        WHERE s.state NOT IN ('stopped', 'disabled')
        WINDOW every_state AS (PARTITION BY c.id),
               later AS (PARTITION BY c.id ORDER BY s.since DESC, s.state = 'connected')
      ), unheard AS (
        SELECT id, name, state.since, tstzrange(greatest(state.since, given.since), ended, '[]') AS during
        FROM state
        CROSS JOIN given
        CROSS JOIN LATERAL (SELECT coalesce(connected_again, now() - interval '1 minute') AS ended) AS heard
        WHERE state.state <> 'connected' AND state.since >= first_connected
          AND greatest(state.since, given.since) < ended
      ), gap AS (
        SELECT account_id, range_agg(tstzrange(started_at, coalesce(ended_at, 'infinity'), '[]')) AS during
        FROM recorder.gap WHERE source = 'stream' GROUP BY account_id
      ), beginning AS (
        SELECT c.id, c.name, b.began, lead(b.began) OVER (PARTITION BY c.id ORDER BY b.began) AS next
        FROM chosen c
        JOIN recorder.beginning b ON b.account_id = c.id
      ), unowned AS (
        SELECT b.name, before.since, after.since AS until
        FROM beginning b
        CROSS JOIN given
        CROSS JOIN LATERAL (
          SELECT s.since, s.state FROM recorder.stream s
          WHERE s.account_id = b.id AND s.since < b.began ORDER BY s.since DESC, s.state = 'connected' LIMIT 1
        ) AS before
        CROSS JOIN LATERAL (
          SELECT min(s.since) AS since FROM recorder.stream s
          WHERE s.account_id = b.id AND s.state = 'connected' AND s.since >= b.began AND s.since < b.next
        ) AS after
        WHERE b.began >= given.since AND before.state = 'connected'
      )""",
    checked="SELECT count(*) FROM state, given WHERE state.since >= given.since",
    wrong="""
      SELECT u.name AS account, lower(silent) AS "time", NULL AS symbol, upper(silent) AS until
      FROM unheard u
      LEFT JOIN gap g ON g.account_id = u.id
      CROSS JOIN LATERAL unnest(
        CASE WHEN g.during IS NULL THEN tstzmultirange(u.during) ELSE tstzmultirange(u.during) - g.during END
      ) AS silent
      WHERE upper(silent) - lower(silent) > interval '1 second'
      UNION ALL
      SELECT name, since, NULL, until FROM unowned WHERE until IS NOT NULL""",
    saying="'nobody listened until ' || until || ', and no gap says so'",
)
