"""Changes: the history that snapshots and events imply, kept the same whatever order they came in.

What the exchange dates is written as it comes. What only a snapshot dates is derived from that: a snapshot is held
against the history again whenever a change is written that lies between the snapshot before it and itself.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.domain.change import (
    AHEAD,
    Change,
    ChangeKey,
    ChangeSource,
    Dated,
    Observation,
    dated_by_exchange,
    hold,
)
from recorder.domain.position import Key, PositionState
from recorder.domain.snapshot import Kind, Snapshot
from recorder.postgres.reopening import rebuilding_from
from recorder.postgres.rowset import RowSet, number

Place = tuple[int, datetime]
"""A snapshot's key: the number of its account, and its time."""

SAME_CHANGE = "1 second"
"""A snapshot's state and the stream's are one change when they are equal and their times are no further apart."""

_ROUNDED = timedelta(milliseconds=2)  # more than what sending is rounded down by

_POSITION = {"symbol": "text", "position_side": "text"}
_KEY = {"account_id": "integer"} | _POSITION | {"update_time": "timestamptz", "dated_by_exchange": "boolean"}
_CHANGE_KEY = RowSet(_KEY, {})
_CHANGE = RowSet(
    _KEY,
    {
        "position_amt": "numeric",
        "entry_price": "numeric",
        "break_even_price": "numeric",
        "margin_asset": "text",
        "source": "text",
        "snapshot_time": "timestamptz",
        "observed_at": "timestamptz",
    },
)
_WINDOW = RowSet({"time": "timestamptz", "since": "timestamptz", "until": "timestamptz"}, {})
_TOUCHED = RowSet(_POSITION | {"since": "timestamptz", "until": "timestamptz"}, {})
_TRUE = RowSet({"time": "timestamptz", "true_at": "timestamptz"}, {})

# The snapshot before is the one that was answered before, which is not always the one that was due before.
_TO_HOLD = text("""
    SELECT s."time", s.kind, s.taken_at, s.duration_ms, s.true_at, later."time" AS later,
           earlier."time" AS earlier, earlier.kind AS earlier_kind, earlier.taken_at AS earlier_taken_at,
           earlier.duration_ms AS earlier_duration_ms, earlier.true_at AS earlier_true_at
    FROM (SELECT DISTINCT unnest(CAST(:times AS timestamptz[])) AS "time") AS given
    JOIN recorder.snapshot s ON s.account_id = :account_id AND s."time" = given."time" AND s.outcome = 'ok'
    LEFT JOIN LATERAL (
      SELECT b."time", b.kind, b.taken_at, b.duration_ms, b.true_at FROM recorder.snapshot b
      WHERE b.account_id = :account_id AND b.outcome = 'ok' AND (b.taken_at, b."time") < (s.taken_at, s."time")
      ORDER BY b.taken_at DESC, b."time" DESC LIMIT 1
    ) AS earlier ON true
    LEFT JOIN LATERAL (
      SELECT a."time" FROM recorder.snapshot a
      WHERE a.account_id = :account_id AND a.outcome = 'ok' AND (a.taken_at, a."time") > (s.taken_at, s."time")
      ORDER BY a.taken_at, a."time" LIMIT 1
    ) AS later ON true
    ORDER BY s.taken_at, s."time"
""")
_STATES = text("""
    SELECT p."time", p.symbol, p.position_side, p.position_amt, p.entry_price, p.update_time, p.break_even_price,
           p.margin_asset
    FROM recorder.sample p
    WHERE p.account_id = :account_id AND p."time" = ANY (CAST(:times AS timestamptz[]))
      AND p."time" BETWEEN :earliest AND :latest
""")
# What follows from the fills follows from the snapshots too, and so cannot be what a snapshot is held against.
_DATED = text(f"""
    SELECT given."time", c.symbol, c.position_side, c.update_time, c.position_amt, c.entry_price, c.margin_asset
    FROM ({_WINDOW.rows}) AS given
    CROSS JOIN LATERAL (
      SELECT c.* FROM recorder.change c
      WHERE c.account_id = :account_id AND c.dated_by_exchange AND c.source <> 'ledger'
        AND c.update_time > given.since AND c.update_time <= given.until
      ORDER BY c.update_time OFFSET 0
    ) AS c
    ORDER BY c.update_time
""")
# No snapshot says what was before the first one: there the last that was told of each position counts, found by
# stepping from symbol to symbol, however long their histories are. With CASE, PostgreSQL takes the key for it and not
# the index of dated changes, in which a position lies among all others.
_DATED_BEFORE = text("""
    WITH RECURSIVE changed AS (
      SELECT min(symbol) AS symbol FROM recorder.change WHERE account_id = :account_id
      UNION ALL
      SELECT (SELECT min(symbol) FROM recorder.change WHERE account_id = :account_id AND symbol > changed.symbol)
      FROM changed WHERE changed.symbol IS NOT NULL
    )
    SELECT c.symbol, c.position_side, c.update_time, c.position_amt, c.entry_price, c.margin_asset
    FROM changed
    CROSS JOIN unnest(ARRAY['BOTH', 'LONG', 'SHORT']) AS side
    CROSS JOIN LATERAL (
      SELECT c.* FROM recorder.change c
      WHERE c.account_id = :account_id AND c.symbol = changed.symbol AND c.position_side = side
        AND CASE WHEN c.dated_by_exchange THEN c.source <> 'ledger' END AND c.update_time <= :until
      ORDER BY c.update_time DESC LIMIT 1
    ) AS c
""")
_IMPLIED = text("""
    SELECT symbol, position_side, update_time, dated_by_exchange, position_amt, entry_price, break_even_price,
           margin_asset, source, snapshot_time, observed_at
    FROM recorder.change
    WHERE account_id = :account_id AND NOT dated_by_exchange AND snapshot_time = ANY (CAST(:times AS timestamptz[]))
""")
# The snapshot that is held against what was told of an instant: the first that was answered after it, and one before
# whose answer was on its way then.
_HELD_AGAINST = text("""
    SELECT DISTINCT s."time"
    FROM unnest(CAST(:instants AS timestamptz[])) AS told (at)
    CROSS JOIN LATERAL (
      (SELECT a."time" FROM recorder.snapshot a
       WHERE a.account_id = :account_id AND a.outcome = 'ok' AND a.taken_at >= told.at
       ORDER BY a.taken_at, a."time" LIMIT 1)
      UNION ALL
      (SELECT b."time"
       FROM (
         SELECT b."time", b.taken_at, b.duration_ms FROM recorder.snapshot b
         WHERE b.account_id = :account_id AND b.outcome = 'ok' AND b.taken_at < told.at
         ORDER BY b.taken_at DESC, b."time" DESC LIMIT 1
       ) AS b
       WHERE b.taken_at + make_interval(secs => b.duration_ms / 2000.0) + CAST(:ahead AS interval) >= told.at)
    ) AS s
""")
_SET_TRUE = text(f"""
    UPDATE recorder.snapshot SET true_at = given.true_at FROM ({_TRUE.rows}) AS given
    WHERE snapshot.account_id = :account_id AND snapshot."time" = given."time"
""")
_RETRACT = text(f"""
    DELETE FROM recorder.change USING ({_CHANGE_KEY.rows}) AS gone
    WHERE change.account_id = :of AND change.symbol = gone.symbol
      AND change.position_side = gone.position_side AND change.update_time = gone.update_time
      AND change.dated_by_exchange = gone.dated_by_exchange
""")
# With CASE, PostgreSQL takes the key for the closes, a short range of it, and not all that are undated.
# A close is contradicted by the snapshot after it in which the position is back with a state that is older than it.
_MARK = text(f"""
    UPDATE recorder.change SET contradicted_by = marked.contradicted_by
    FROM (
      SELECT closed.symbol, closed.position_side, closed.update_time, CASE WHEN EXISTS (
        SELECT FROM recorder.sample p
        WHERE p.account_id = :account_id AND p."time" = back.snapshot_time AND p.symbol = closed.symbol
          AND p.position_side = closed.position_side AND p.update_time < closed.update_time
          AND p.update_time <> 'epoch'
      ) THEN back.snapshot_time END AS contradicted_by
      FROM ({_TOUCHED.rows}) AS given
      CROSS JOIN LATERAL (
        SELECT c.symbol, c.position_side, c.update_time FROM recorder.change c
        WHERE c.account_id = :account_id AND c.symbol = given.symbol AND c.position_side = given.position_side
          AND CASE WHEN NOT c.dated_by_exchange THEN c.source = 'inferred' END AND c.update_time <= given.until
          AND c.update_time >= coalesce((
            SELECT b.update_time FROM recorder.change b
            WHERE b.account_id = :account_id AND b.symbol = given.symbol AND b.position_side = given.position_side
              AND b.update_time < given.since AND b.source <> 'ledger'
            ORDER BY b.update_time DESC LIMIT 1
          ), given.since)
      ) AS closed
      LEFT JOIN LATERAL (
        SELECT CASE WHEN NOT n.dated_by_exchange AND n.position_amt <> 0 THEN n.snapshot_time END AS snapshot_time
        FROM recorder.change n
        WHERE n.account_id = :account_id AND n.symbol = closed.symbol AND n.position_side = closed.position_side
          AND n.source <> 'ledger'
          AND (n.update_time > closed.update_time OR n.update_time = closed.update_time AND n.dated_by_exchange)
          AND n.update_time >= closed.update_time
        ORDER BY n.update_time, n.dated_by_exchange LIMIT 1
      ) AS back ON true
    ) AS marked
    WHERE change.account_id = :account_id AND change.symbol = marked.symbol
      AND change.position_side = marked.position_side AND change.update_time = marked.update_time
      AND NOT change.dated_by_exchange AND change.contradicted_by IS DISTINCT FROM marked.contradicted_by
""")
# Nobody promises that updateTime is the very time of the event, so a state that the stream told of a moment before or
# after is the same change. Of one instant a snapshot shows the last state, whose event may be lost. See also
# recorder.postgres.events, for when the event comes second. Asked row by row, it is a short range of the key; as an
# anti-join, PostgreSQL would read the whole table for a round of snapshots.
_ADD = text(
    rebuilding_from(f"""
    INSERT INTO recorder.change ({_CHANGE.names})
    SELECT given.* FROM ({_CHANGE.rows}) AS given
    WHERE NOT given.dated_by_exchange OR (
      SELECT true FROM recorder.change told
      WHERE told.account_id = given.account_id AND told.symbol = given.symbol
        AND told.position_side = given.position_side AND told.dated_by_exchange AND told.source = 'stream'
        AND told.position_amt = given.position_amt
        AND told.update_time >= given.update_time - interval '{SAME_CHANGE}'
        AND told.update_time <= given.update_time + interval '{SAME_CHANGE}'
        AND told.update_time <> given.update_time
        AND (told.entry_price = given.entry_price OR given.position_amt = 0)
      LIMIT 1
    ) IS NULL
    ON CONFLICT (account_id, symbol, position_side, update_time, dated_by_exchange)
    DO UPDATE SET {_CHANGE.replace}, accumulated_realized = NULL, reason = NULL, event_time = NULL
    WHERE NOT excluded.dated_by_exchange
      OR excluded.snapshot_time < change.snapshot_time OR change.source = 'ledger'
      OR change.source = 'stream' AND change.position_amt <> excluded.position_amt
    RETURNING account_id, symbol, least(update_time, snapshot_time) AS "time"
    """)
)


@dataclass(frozen=True, slots=True)
class _Due:
    """A snapshot that is held against the history; *since* when the one before it was true."""

    before: Observation | None
    since: datetime | None
    now: Observation
    true_at: datetime
    later: datetime | None


async def write_changes(connection: AsyncConnection, observed: Mapping[Place, Snapshot]) -> None:
    """Write what ok snapshots imply, whose rows and samples are new in this very transaction."""
    for account_id, times in _by_account(observed).items():
        due = await _due(connection, account_id, times)
        told = {change.key: change for each in reversed(due) for change in dated_by_exchange(each.before, each.now)}
        await _add(connection, account_id, told.values())
        later = {each.later for each in due if each.later}
        await hold_again(connection, account_id, [key[:3] for key in told], times=later.union(times), known=due)


async def hold_again(
    connection: AsyncConnection,
    account_id: int,
    told: Sequence[tuple[str, str, datetime]],
    *,
    times: Iterable[datetime] = (),
    known: Sequence[_Due] = (),
) -> None:
    """Hold the snapshots of these *times* against the history, and those which what was *told* lies before.

    *told* are the changes that were written just now, each by symbol, side and time; *known* was read already.
    """
    again = set(times)
    own = {each.now.time: each for each in known}
    outside = {
        at
        for _, _, at in told
        if not any((each.since is None or each.since < at) and at <= each.now.sent_at for each in known)
    }
    if outside:
        again.update(
            await connection.scalars(
                _HELD_AGAINST, {"account_id": account_id, "instants": sorted(outside), "ahead": AHEAD}
            )
        )
    touched: dict[Key, list[datetime]] = defaultdict(list)
    if again and not (known and all(each.later is None for each in known) and not outside):
        for symbol, side, at in told:
            touched[symbol, side].append(at)
    while again:
        due = list(own.values()) if again == own.keys() else await _due(connection, account_id, again)
        own = {}
        again = await _hold(connection, account_id, due, touched)
    if touched:
        rows = _TOUCHED.parameters((*key, min(instants), max(instants)) for key, instants in touched.items())
        await connection.execute(_MARK, {"account_id": account_id} | rows)


async def retract(connection: AsyncConnection, account_id: int, keys: Sequence[ChangeKey]) -> None:
    """Take changes of an account away."""
    rows = _CHANGE_KEY.parameters((account_id, *key) for key in keys)
    await connection.execute(_RETRACT, {"of": account_id} | rows)


async def _hold(
    connection: AsyncConnection, account_id: int, due: Sequence[_Due], touched: dict[Key, list[datetime]]
) -> set[datetime]:
    """Hold snapshots against the history, note what changed, and return those for which that changes anything."""
    dated = await _dated(connection, account_id, due)
    times = [each.now.time for each in due]
    rows = await connection.execute(_IMPLIED, {"account_id": account_id, "times": times})
    was = {
        change.key: change
        for change in (Change(**row | {"source": ChangeSource(row["source"])}) for row in map(dict, rows.mappings()))
    }
    now: dict[ChangeKey, Change] = {}
    true_at: dict[datetime, datetime] = {}
    for each in due:
        since = true_at.get(each.before.time, each.since) if each.before else None
        between = [change for change in dated[each.now.time] if since is None or change.update_time > since]
        held = hold(each.before, since, each.now, between)
        true_at[each.now.time] = held.true_at
        now.update((change.key, change) for change in held.changes)
    gone = [key for key in was if key not in now]
    new = [change for key, change in now.items() if was.get(key) != change]
    if gone:
        await retract(connection, account_id, gone)
    await _add(connection, account_id, new)
    newest = {each.now.time for each in due if each.later is None}
    # What no snapshot follows is contradicted by none yet.
    news = [change.key for change in new if change.position_amt or change.snapshot_time not in newest]
    for symbol, side, at, _ in (*gone, *news):
        touched[symbol, side].append(at)
    moved = {each.now.time: each for each in due if true_at[each.now.time] != each.true_at}
    if moved:
        to = [(time, true_at[time] if true_at[time] != each.now.taken_at else None) for time, each in moved.items()]
        await connection.execute(_SET_TRUE, {"account_id": account_id} | _TRUE.parameters(to))
    return {each.later for each in moved.values() if each.later} - set(times)


async def _due(connection: AsyncConnection, account_id: int, times: Iterable[datetime]) -> list[_Due]:
    """Read snapshots and those before them, in the order in which they were answered."""
    rows = (await connection.execute(_TO_HOLD, {"account_id": account_id, "times": list(times)})).all()
    wanted = {row.time for row in rows} | {row.earlier for row in rows if row.earlier}
    states = await _states(connection, account_id, wanted)

    def observation(time: datetime, kind: str, taken_at: datetime, duration_ms: int) -> Observation:
        return Observation(
            time=time,
            kind=Kind(kind),
            taken_at=taken_at,
            duration=timedelta(milliseconds=duration_ms),
            states=states[time],
        )

    return [
        _Due(
            before=observation(row.earlier, row.earlier_kind, row.earlier_taken_at, row.earlier_duration_ms)
            if row.earlier
            else None,
            since=row.earlier_true_at or row.earlier_taken_at,
            now=observation(row.time, row.kind, row.taken_at, row.duration_ms),
            true_at=row.true_at or row.taken_at,
            later=row.later,
        )
        for row in rows
    ]


async def _states(
    connection: AsyncConnection, account_id: int, times: set[datetime]
) -> dict[datetime, dict[Key, PositionState]]:
    states: dict[datetime, dict[Key, PositionState]] = defaultdict(dict)
    if times:
        reach = {"times": list(times), "earliest": min(times), "latest": max(times)}
        for row in await connection.execute(_STATES, {"account_id": account_id} | reach):
            states[row.time][row.symbol, row.position_side] = PositionState(
                symbol=row.symbol,
                position_side=row.position_side,
                position_amt=row.position_amt,
                entry_price=row.entry_price,
                update_time=row.update_time,
                break_even_price=row.break_even_price,
                margin_asset=row.margin_asset,
            )
    return states


async def _dated(connection: AsyncConnection, account_id: int, due: Sequence[_Due]) -> dict[datetime, list[Dated]]:
    """Read the changes between each snapshot and the one before it, or a moment more: that one may be moved."""
    whose = {"account_id": account_id}
    windows = [(each.now.time, (each.before or each.now).sent_at - _ROUNDED, each.now.received_at) for each in due]
    dated: dict[datetime, list[Dated]] = defaultdict(list)
    for each, (_, since, _) in zip(due, windows, strict=True):
        if each.before is None:
            rows = await connection.execute(_DATED_BEFORE, whose | {"until": since})
            dated[each.now.time] += map(_change_of, rows)
    for row in await connection.execute(_DATED, whose | _WINDOW.parameters(windows)):
        dated[row.time].append(_change_of(row))
    return dated


def _change_of(row: Row[Any]) -> Dated:
    return Dated(
        key=(row.symbol, row.position_side),
        update_time=row.update_time,
        position_amt=row.position_amt,
        entry_price=row.entry_price,
        margin_asset=row.margin_asset,
    )


async def _add(connection: AsyncConnection, account_id: int, changes: Iterable[Change]) -> None:
    rows = [
        (
            account_id,
            *change.key,
            number(change.position_amt),
            number(change.entry_price),
            number(change.break_even_price),
            change.margin_asset,
            change.source,
            change.snapshot_time,
            change.observed_at,
        )
        for change in changes
    ]
    if rows:
        await connection.execute(_ADD, _CHANGE.parameters(rows))


def _by_account(places: Iterable[Place]) -> dict[int, list[datetime]]:
    times: dict[int, list[datetime]] = defaultdict(list)
    for account_id, time in places:
        times[account_id].append(time)
    return times
