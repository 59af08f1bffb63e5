"""Snapshots: the door through which everything observed comes into the database."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.domain.snapshot import Snapshot
from recorder.postgres.balances import write_balances
from recorder.postgres.changes import write_changes
from recorder.postgres.rowset import RowSet
from recorder.postgres.samples import write_samples

_MILLISECOND = timedelta(milliseconds=1)
_SNAPSHOT = RowSet(
    {"account_id": "integer", "time": "timestamptz"},
    {
        "kind": "text",
        "taken_at": "timestamptz",
        "outcome": "text",
        "detail": "text",
        "position_count": "integer",
        "duration_ms": "integer",
        "clock_offset_ms": "integer",
        "balance_outcome": "text",
    },
)
_ADD = text(f"""
    INSERT INTO recorder.snapshot ({_SNAPSHOT.names}) {_SNAPSHOT.rows}
    ON CONFLICT (account_id, "time")
    DO UPDATE SET {_SNAPSHOT.replace}, recorded_at = excluded.recorded_at
    WHERE snapshot.outcome <> 'ok' AND excluded.outcome = 'ok'
    RETURNING account_id, "time"
""")
_PLACE = RowSet({"account_id": "integer", "time": "timestamptz"}, {})
# An account's symbols are held against each snapshot, also those that are not in it.
_REBUILD_FROM = text(f"""
    UPDATE recorder.ledger SET rebuilt_until = given."time"
    FROM (SELECT account_id, min("time") AS "time" FROM ({_PLACE.rows}) AS place GROUP BY account_id) AS given
    WHERE ledger.account_id = given.account_id AND ledger.kind = 'fill' AND ledger.rebuilt_until > given."time"
""")


async def write_snapshots(
    connection: AsyncConnection, account_ids: Mapping[str, int], snapshots: Iterable[Snapshot]
) -> list[Snapshot]:
    """Write *snapshots*, in any order and any number of times, and return those that were new.

    An ok snapshot replaces a failed one of the same account and time; else the first one stands whole. Each new ok
    snapshot brings its samples, its changes and the closes it implies, and mends what the snapshot after it implied.
    The caller owns the transaction, in which the accounts' turn was taken: all commits together or not at all.
    """
    best: dict[tuple[str, datetime], Snapshot] = {}
    for snapshot in snapshots:
        known = best.setdefault((snapshot.account, snapshot.time), snapshot)
        if snapshot.ok and not known.ok:
            best[snapshot.account, snapshot.time] = snapshot
    if not best:
        return []
    offered = {(account_ids[account], time): snapshot for (account, time), snapshot in best.items()}
    rows = await connection.execute(
        _ADD, _SNAPSHOT.parameters((*place, *_columns(snapshot)) for place, snapshot in offered.items())
    )
    written = {(account_id, time): offered[account_id, time] for account_id, time in rows}
    observed = {place: snapshot for place, snapshot in written.items() if snapshot.ok}
    if observed:
        await connection.execute(_REBUILD_FROM, _PLACE.parameters(observed))
        await write_samples(connection, observed)
        await write_changes(connection, observed)
        await write_balances(connection, observed)
    return list(written.values())


def _columns(snapshot: Snapshot) -> tuple[str | int | datetime | None, ...]:
    offset = snapshot.clock_offset
    return (
        snapshot.kind,
        snapshot.taken_at,
        snapshot.outcome,
        snapshot.detail or None,
        len(snapshot.positions),
        snapshot.duration // _MILLISECOND,
        None if offset is None else offset // _MILLISECOND,
        snapshot.balance_outcome,
    )
