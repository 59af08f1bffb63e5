"""Streams: what became of each account's event stream, and when; from that follows when it was listened to."""

from collections.abc import Mapping, Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.domain.stream import StreamState
from recorder.postgres.rowset import RowSet

_STATE = RowSet({"account_id": "integer", "since": "timestamptz", "state": "text"}, {})
_ADD = text(f"INSERT INTO recorder.stream ({_STATE.names}) {_STATE.rows} ON CONFLICT DO NOTHING")


async def write_stream_states(
    connection: AsyncConnection, account_ids: Mapping[str, int], states: Sequence[StreamState]
) -> None:
    """Add what became of streams, in any order and any number of times."""
    if states:
        await connection.execute(
            _ADD, _STATE.parameters((account_ids[each.account], each.since, each.state) for each in states)
        )
