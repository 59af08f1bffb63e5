"""Beginnings: when each process took an account on, and what was not covered before those that nobody owned up for.

A process owns up for its own beginning once PostgreSQL has all that was recorded before. One that is killed earlier, or
whose PostgreSQL is away until it ends, leaves that to the next.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.domain.beginning import Beginning
from recorder.domain.gap import GapReason
from recorder.domain.stream import IN_TRANSIT, LossReason
from recorder.postgres.accounts import take_turn
from recorder.postgres.overlaps import set_apart
from recorder.postgres.rowset import RowSet

OF_WATCHING = frozenset(
    {
        GapReason.NOT_RUNNING,
        GapReason.STOPPED,
        GapReason.TOOK_OVER,
        GapReason.ASLEEP,
        GapReason.EXCHANGE_UNAVAILABLE,
        GapReason.EXCHANGE_REFUSED,
        GapReason.BANNED,
        GapReason.WEIGHT_USED_UP,
        GapReason.KEY_REJECTED,
        GapReason.INTERNAL_ERROR,
        *map(GapReason, LossReason),
    }
)
"""The reasons that whoever watches an account gives; a gap with another one is ended by who opened it."""

_ROWS = RowSet({"account_id": "integer", "began": "timestamptz", "since": "timestamptz", "reason": "text"}, {})
_ADD = text(f"INSERT INTO recorder.beginning ({_ROWS.names}) {_ROWS.rows} ON CONFLICT DO NOTHING")

_WANTED = """
    WITH wanted AS (
      SELECT a.id, given.since, given.began
      FROM unnest(CAST(:names AS text[]), CAST(:since AS timestamptz[]), CAST(:began AS timestamptz[]))
        AS given (name, since, began)
      JOIN recorder.account a ON a.name = given.name
    )
"""
# A clean stop that the next slot follows was no gap of the snapshots: it ends where it began.
_END = text(
    _WANTED
    + """
    , ended AS (
      SELECT g.account_id, g.source, g.started_at, again.since AS ended_at
      FROM wanted w
      JOIN recorder.gap g ON g.account_id = w.id AND g.source = 'stream'
        AND (g.ended_at IS NULL OR g.told_until = 'infinity')
      CROSS JOIN LATERAL (
        SELECT min(s.since) AS since FROM recorder.stream s
        WHERE s.account_id = w.id AND s.state = 'connected' AND s.since > g.started_at AND s.since < w.began
      ) AS again
      WHERE again.since IS NOT NULL AND g.reason = ANY (CAST(:reasons AS text[]))
      UNION ALL
      SELECT g.account_id, g.source, g.started_at,
             CASE WHEN g.reason = 'stopped' AND date_bin(plan.every, g.started_at, 'epoch') + plan.every >= again."time"
                  THEN g.started_at ELSE again."time" END
      FROM wanted w
      JOIN recorder.gap g ON g.account_id = w.id AND g.source = 'snapshot'
        AND (g.ended_at IS NULL OR g.told_until = 'infinity')
      CROSS JOIN LATERAL (
        SELECT s."time" FROM recorder.snapshot s
        WHERE s.account_id = w.id AND s.outcome = 'ok' AND s."time" > g.started_at AND s."time" < w.since
        ORDER BY s."time" LIMIT 1
      ) AS again
      CROSS JOIN LATERAL (
        SELECT coalesce((
          SELECT s.every FROM recorder.schedule s
          WHERE s.account_id = w.id AND s.since <= again."time" ORDER BY s.since DESC LIMIT 1
        ), CAST(:every AS interval)) AS every
      ) AS plan
      WHERE g.reason = ANY (CAST(:reasons AS text[]))
    )
    UPDATE recorder.gap g SET ended_at = e.ended_at, told_until = NULL
    FROM ended e
    WHERE g.account_id = e.account_id AND g.source = e.source AND g.started_at = e.started_at
"""
)
# The newest hundred: one for which somebody owned up needs no second look.
_EARLIER = (
    _WANTED
    + """
    , earlier AS (
      SELECT w.id, b.began, b.since, b.reason, w.began AS own_began
      FROM wanted w
      CROSS JOIN LATERAL (
        SELECT b.began, b.since, b.reason FROM recorder.beginning b
        WHERE b.account_id = w.id AND b.began < w.began
        ORDER BY b.began DESC LIMIT 100
      ) AS b
    )
"""
)
# Where it was owned up to, the state before the beginning says why nobody listened.
_ADD_STREAM = text(
    _EARLIER
    + """
    , deaf AS (
      SELECT e.id, after.since AS ended_at, e.reason,
             greatest(before.since, seen."time" - CAST(:in_transit AS interval)) AS started_at
      FROM earlier e
      CROSS JOIN LATERAL (
        SELECT s.since, s.state FROM recorder.stream s
        WHERE s.account_id = e.id AND s.since < e.began
        ORDER BY s.since DESC, s.state <> 'connected' DESC LIMIT 1
      ) AS before
      CROSS JOIN LATERAL (
        SELECT min(s.since) AS since FROM recorder.stream s
        WHERE s.account_id = e.id AND s.state = 'connected' AND s.since >= e.began AND s.since < e.own_began
      ) AS after
      LEFT JOIN LATERAL (
        SELECT s."time" FROM recorder.snapshot s
        WHERE s.account_id = e.id AND s."time" < e.since ORDER BY s."time" DESC LIMIT 1
      ) AS seen ON true
      WHERE before.state = 'connected' AND after.since IS NOT NULL
        AND NOT EXISTS (
          SELECT FROM recorder.beginning b
          WHERE b.account_id = e.id AND b.began > before.since AND b.began < e.began
        )
    ), told AS (
      INSERT INTO recorder.stream (account_id, since, state)
      SELECT id, started_at, reason FROM deaf
      ON CONFLICT DO NOTHING
    )
    INSERT INTO recorder.gap (account_id, source, started_at, ended_at, reason)
    SELECT id, 'stream', started_at, ended_at, reason FROM deaf WHERE started_at < ended_at
    ON CONFLICT DO NOTHING
"""
)
# Of the slots right before a beginning: what was in hand when the process before it died may lack any of them, though a
# later one has its row. A gap that ends nowhere yet is taken over by whoever owns up. One that begins where another was
# none after all begins a microsecond later.
_ADD_SNAPSHOT = text(
    _EARLIER
    + """
    , begun AS (
      SELECT id, since, reason FROM earlier
      UNION ALL
      SELECT w.id, w.since, given.reason
      FROM wanted w
      JOIN recorder.account a ON a.id = w.id
      JOIN unnest(CAST(:names AS text[]), CAST(:given_reasons AS text[])) AS given (name, reason) ON given.name = a.name
    ), unanswered AS (
      SELECT b.id, b.since, b.reason, slot
      FROM begun b
      CROSS JOIN LATERAL (
        SELECT s.since, s.every, date_bin(s.every, b.since - interval '1 microsecond', 'epoch') AS last
        FROM recorder.schedule s
        WHERE s.account_id = b.id AND s.since < b.since ORDER BY s.since DESC LIMIT 1
      ) AS plan
      CROSS JOIN LATERAL generate_series(plan.last - 20 * plan.every, plan.last, plan.every) AS slot
      WHERE slot >= plan.since
        AND NOT EXISTS (SELECT FROM recorder.snapshot s WHERE s.account_id = b.id AND s."time" = slot)
        AND NOT EXISTS (
          SELECT FROM recorder.gap g
          WHERE g.account_id = b.id AND g.source = 'snapshot'
            AND g.started_at < slot AND coalesce(g.ended_at, 'infinity') > slot
        )
    )
    INSERT INTO recorder.gap (account_id, source, started_at, ended_at, reason)
    SELECT DISTINCT ON (u.id, before."time")
           u.id, 'snapshot', coalesce(taken."time", before."time"), after."time", u.reason
    FROM unanswered u
    CROSS JOIN LATERAL (
      SELECT s."time" FROM recorder.snapshot s
      WHERE s.account_id = u.id AND s.outcome = 'ok' AND s."time" < u.slot ORDER BY s."time" DESC LIMIT 1
    ) AS before
    LEFT JOIN LATERAL (
      SELECT s."time" FROM recorder.snapshot s
      WHERE s.account_id = u.id AND s.outcome = 'ok' AND s."time" > u.slot ORDER BY s."time" LIMIT 1
    ) AS after ON true
    LEFT JOIN LATERAL (
      SELECT max(g.started_at) + interval '1 microsecond' AS "time" FROM recorder.gap g
      WHERE g.account_id = u.id AND g.source = 'snapshot'
        AND g.started_at >= before."time" AND g.started_at < before."time" + interval '1 millisecond'
    ) AS taken ON true
    ORDER BY u.id, before."time", u.since
    ON CONFLICT DO NOTHING
"""
)


def parameters(beginnings: Sequence[Beginning]) -> dict[str, list[Any]]:
    """Return accounts and times as the arrays ``names``, ``since`` and ``began``."""
    return {
        "names": [each.account for each in beginnings],
        "since": [each.since for each in beginnings],
        "began": [each.began for each in beginnings],
    }


async def write_beginnings(
    connection: AsyncConnection, account_ids: Mapping[str, int], beginnings: Sequence[Beginning]
) -> None:
    """Add *beginnings*, in any order and any number of times."""
    if beginnings:
        rows = ((account_ids[each.account], each.began, each.since, each.reason) for each in beginnings)
        await connection.execute(_ADD, _ROWS.parameters(rows))


async def own_up_for_earlier(connection: AsyncConnection, beginnings: Sequence[Beginning], every: timedelta) -> None:
    """End the gaps that were over before *beginnings*, and add those before earlier ones that nobody told of.

    *every* is how often a slot was due where that was not recorded.
    """
    given = parameters(beginnings)
    ids = await take_turn(connection, given["names"])  # or a gap that comes meanwhile could overlap one of these
    await connection.execute(_END, given | {"every": every, "reasons": sorted(OF_WATCHING)})
    await connection.execute(_ADD_STREAM, given | {"in_transit": IN_TRANSIT})
    await connection.execute(_ADD_SNAPSHOT, given | {"given_reasons": [each.reason for each in beginnings]})
    for account_id in ids.values():
        await set_apart(connection, account_id)
