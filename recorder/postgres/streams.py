"""Streams: the state of each account's event stream, for who asks how fresh the data is."""

from collections.abc import Mapping, Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.domain.stream import StreamState
from recorder.postgres.rowset import RowSet

_STATE = RowSet({"account_id": "integer"}, {"state": "text", "since": "timestamptz"})
_SET = text(f"""
    INSERT INTO recorder.stream ({_STATE.names}) {_STATE.rows}
    ON CONFLICT (account_id) DO UPDATE SET {_STATE.replace} WHERE stream.since <= excluded.since
""")


async def write_stream_states(
    connection: AsyncConnection, account_ids: Mapping[str, int], states: Sequence[StreamState]
) -> None:
    """Write what each stream's state is now: of several states of one account the last one counts."""
    last = {state.account: (account_ids[state.account], state.state, state.since) for state in states}
    if last:
        await connection.execute(_SET, _STATE.parameters(last.values()))
