"""Dead letters: what PostgreSQL refuses to take as what it is, kept to the byte until somebody has seen to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recorder.postgres.engine import storage_errors
from recorder.postgres.rowset import RowSet

_LETTER = RowSet(
    {"account_id": "integer", "digest": "text"},
    {"kind": "text", "reason": "text", "sqlstate": "text", "payload": "bytea"},
)
_ADD = text(f"""
    INSERT INTO recorder.dead_letter ({_LETTER.names}) {_LETTER.rows}
    ON CONFLICT (account_id, digest)
    DO UPDATE SET kind = excluded.kind, reason = excluded.reason, sqlstate = excluded.sqlstate, settled_at = NULL
""")
_OPEN = text("""
    SELECT a.name AS account, l.digest, l.kind, l.reason, l.sqlstate, l.payload, l.first_seen
    FROM recorder.dead_letter l JOIN recorder.account a ON a.id = l.account_id
    WHERE l.settled_at IS NULL
    ORDER BY l.first_seen, a.name, l.digest
""")
_SETTLE = text("""
    UPDATE recorder.dead_letter SET settled_at = clock_timestamp()
    FROM recorder.account a
    WHERE a.id = dead_letter.account_id AND a.name = :account AND dead_letter.digest = :digest
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One item that was refused.

    Attributes:
        kind: What it is, in the words of the spool.
        payload: The item as the spool's codec writes it, byte for byte.
        sqlstate: PostgreSQL's code of the refusal.
    """

    account: str
    kind: str
    reason: str
    sqlstate: str
    payload: bytes
    first_seen: datetime | None = None

    @property
    def digest(self) -> str:
        return sha256(self.payload).hexdigest()


async def write_dead_letters(
    connection: AsyncConnection, account_ids: Mapping[str, int], letters: Sequence[DeadLetter]
) -> None:
    """Keep *letters*; one that is refused again is open again, for the reason that it has now."""
    rows = [
        (account_ids[each.account], each.digest, each.kind, each.reason, each.sqlstate, each.payload)
        for each in letters
    ]
    if rows:
        await connection.execute(_ADD, _LETTER.parameters(rows))


async def open_letters(engine: AsyncEngine) -> list[DeadLetter]:
    """Return what was refused and is not settled, oldest first. Raises ``StorageError``."""
    with storage_errors():
        async with engine.connect() as connection:
            rows = (await connection.execute(_OPEN)).all()
    return [
        DeadLetter(
            account=row.account,
            kind=row.kind,
            reason=row.reason,
            sqlstate=row.sqlstate,
            payload=row.payload,
            first_seen=row.first_seen,
        )
        for row in rows
    ]


async def settle(connection: AsyncConnection, letter: DeadLetter) -> None:
    """Note that *letter* was written after all; the caller owns the transaction."""
    await connection.execute(_SETTLE, {"account": letter.account, "digest": letter.digest})
