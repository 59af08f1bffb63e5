"""Changes: the history that the recorded snapshots imply, kept the same whatever order they came in."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.domain.change import Change, ChangeKey, Observation, rewrite
from recorder.domain.position import Key, PositionState
from recorder.domain.snapshot import Kind, Snapshot
from recorder.postgres.rebuilding import rebuilding_from
from recorder.postgres.rowset import RowSet, number

Place = tuple[int, datetime]
"""A snapshot's key: the number of its account, and its time."""

SAME_CHANGE = "1 second"
"""A snapshot's state and the stream's are one change when they are equal and their times are no further apart."""

_Neighbours = tuple[Place | None, Place | None]

_PLACE = RowSet({"account_id": "integer", "time": "timestamptz"}, {})
_KEY = {
    "account_id": "integer",
    "symbol": "text",
    "position_side": "text",
    "update_time": "timestamptz",
    "dated_by_exchange": "boolean",
}
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
_NEIGHBOURS = text(f"""
    SELECT given.account_id, given."time", earlier."time", later."time"
    FROM ({_PLACE.rows}) AS given
    LEFT JOIN LATERAL (
      SELECT s."time" FROM recorder.snapshot s
      WHERE s.account_id = given.account_id AND s."time" < given."time" AND s.outcome = 'ok'
      ORDER BY s."time" DESC LIMIT 1
    ) AS earlier ON true
    LEFT JOIN LATERAL (
      SELECT s."time" FROM recorder.snapshot s
      WHERE s.account_id = given.account_id AND s."time" > given."time" AND s.outcome = 'ok'
      ORDER BY s."time" LIMIT 1
    ) AS later ON true
    ORDER BY given.account_id, given."time"
""")
_OBSERVED = text(f"""
    SELECT s.account_id, s."time", s.kind, s.taken_at, p.symbol, p.position_side, p.position_amt, p.entry_price,
           p.update_time, p.break_even_price, p.margin_asset
    FROM ({_PLACE.rows}) AS given
    JOIN recorder.snapshot s ON s.account_id = given.account_id AND s."time" = given."time"
    LEFT JOIN recorder.sample p
      ON p.account_id = s.account_id AND p."time" = s."time" AND p."time" BETWEEN :earliest AND :latest
""")
_RETRACT = text(f"""
    DELETE FROM recorder.change USING ({_CHANGE_KEY.rows}) AS gone
    WHERE change.account_id = gone.account_id AND change.symbol = gone.symbol
      AND change.position_side = gone.position_side AND change.update_time = gone.update_time
      AND change.dated_by_exchange = gone.dated_by_exchange
""")
# Nobody promises that updateTime is the very time of the event, so a state that the stream told of a moment before or
# after is the same change. Nor is a close that a snapshot implies one of its own, when the stream dates it between the
# slot and the answer. Of one instant a snapshot shows the last state, whose event may be lost. See also
# recorder.postgres.events, for when the event comes second.
_ADD_CHANGES = f"""
    INSERT INTO recorder.change ({_CHANGE.names})
    SELECT given.* FROM ({_CHANGE.rows}) AS given
    WHERE NOT EXISTS (
      SELECT FROM recorder.change told
      WHERE told.account_id = given.account_id AND told.symbol = given.symbol
        AND told.position_side = given.position_side AND told.dated_by_exchange AND told.source = 'stream'
        AND told.position_amt = given.position_amt
        AND CASE WHEN given.dated_by_exchange
          THEN (told.entry_price = given.entry_price OR given.position_amt = 0)
            AND told.update_time <> given.update_time
            AND told.update_time >= given.update_time - interval '{SAME_CHANGE}'
            AND told.update_time <= given.update_time + interval '{SAME_CHANGE}'
          ELSE given.position_amt = 0 AND told.update_time > given.update_time
            AND told.update_time <= given.observed_at + interval '{SAME_CHANGE}'
        END
    )
    ON CONFLICT (account_id, symbol, position_side, update_time, dated_by_exchange)
    DO UPDATE SET {_CHANGE.replace}, accumulated_realized = NULL, reason = NULL, event_time = NULL
    WHERE excluded.snapshot_time < change.snapshot_time OR change.source = 'ledger'
      OR change.source = 'stream' AND change.position_amt <> excluded.position_amt
    RETURNING account_id, symbol, least(update_time, snapshot_time) AS "time"
"""
_ADD = text(rebuilding_from(_ADD_CHANGES))


async def write_changes(connection: AsyncConnection, observed: Mapping[Place, Snapshot]) -> None:
    """Write what ok snapshots imply, whose rows in ``recorder.snapshot`` are new in this very transaction.

    The samples of the snapshots around them are read; their own need not be written yet.
    """
    around = await _neighbours(connection, observed)
    outside = {place for places in around.values() for place in places if place and place not in observed}
    known = await _observations(connection, outside)
    known |= {place: Observation.of(snapshot) for place, snapshot in observed.items()}
    rewrites = [
        (run[0][0], rewrite(before and known[before], [known[place] for place in run], after and known[after]))
        for before, run, after in _runs(around)
    ]
    await _retract(connection, [(account_id, key) for account_id, each in rewrites for key in each.retracted])
    added: dict[tuple[int, ChangeKey], Change] = {}
    for account_id, each in rewrites:
        for change in each.added:
            added.setdefault((account_id, change.key), change)  # two runs may tell the same; they are in order of time
    await _add(connection, added)


def _runs(around: Mapping[Place, _Neighbours]) -> Iterator[tuple[Place | None, list[Place], Place | None]]:
    """Yield each unbroken stretch of new snapshots between the known ones before and after it."""
    run: list[Place] = []
    before: Place | None = None
    for place, (earlier, later) in around.items():
        if not run:
            before = earlier
        run.append(place)
        if later not in around:
            yield before, run, later
            run = []


async def _neighbours(connection: AsyncConnection, places: Iterable[Place]) -> dict[Place, _Neighbours]:
    """Return the ok snapshots right before and after each, in order of account and time."""
    rows = await connection.execute(_NEIGHBOURS, _PLACE.parameters(places))
    return {
        (number, time): ((number, earlier) if earlier else None, (number, later) if later else None)
        for number, time, earlier, later in rows
    }


async def _observations(connection: AsyncConnection, places: set[Place]) -> dict[Place, Observation]:
    if not places:
        return {}
    times = [time for _, time in places]
    rows = await connection.execute(
        _OBSERVED, _PLACE.parameters(places) | {"earliest": min(times), "latest": max(times)}
    )
    observations: dict[Place, Observation] = {}
    states: dict[Place, dict[Key, PositionState]] = {}
    for row in rows:
        place = row.account_id, row.time
        if place not in observations:
            states[place] = {}
            observations[place] = Observation(
                time=row.time, kind=Kind(row.kind), taken_at=row.taken_at, states=states[place]
            )
        if row.symbol is not None:
            states[place][row.symbol, row.position_side] = PositionState(
                symbol=row.symbol,
                position_side=row.position_side,
                position_amt=row.position_amt,
                entry_price=row.entry_price,
                update_time=row.update_time,
                break_even_price=row.break_even_price,
                margin_asset=row.margin_asset,
            )
    return observations


async def _retract(connection: AsyncConnection, keys: Sequence[tuple[int, ChangeKey]]) -> None:
    if keys:
        await connection.execute(_RETRACT, _CHANGE_KEY.parameters((account_id, *key) for account_id, key in keys))


async def _add(connection: AsyncConnection, changes: Mapping[tuple[int, ChangeKey], Change]) -> None:
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
        for (account_id, _), change in changes.items()
    ]
    if rows:
        await connection.execute(_ADD, _CHANGE.parameters(rows))
