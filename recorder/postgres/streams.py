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
# A process that ended while it heard nothing left its gap open.
_COVERED = text(f"""
    UPDATE recorder.gap SET ended_at = given.since
    FROM ({_STATE.rows}) AS given
    WHERE gap.account_id = given.account_id AND gap.source = 'stream' AND gap.ended_at IS NULL
      AND gap.started_at <= given.since AND given.state = 'connected'
""")


async def write_stream_states(
    connection: AsyncConnection, account_ids: Mapping[str, int], states: Sequence[StreamState]
) -> None:
    """Write what each stream's state is now: of several states of one account the last one counts.

    Where events come in again, no gap that began before is open any more, whoever found it.
    """
    last = {state.account: (account_ids[state.account], state.state, state.since) for state in states}
    if last:
        rows = _STATE.parameters(last.values())
        await connection.execute(_SET, rows)
        await connection.execute(_COVERED, rows)
