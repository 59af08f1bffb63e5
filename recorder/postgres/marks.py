"""Marks: how far this database has what a spool holds, written in the very transactions that bring it there.

A database that was restored from a backup, or that lost commits in a failover, shows in a mark that is older than what
the spool knows to be committed.
"""

from dataclasses import asdict, dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.exceptions import DatabaseWentBack

_SET = text("""
    INSERT INTO recorder.commit_mark AS mark (instance, sequence, marked_at)
    VALUES (:instance, :through, clock_timestamp())
    ON CONFLICT (instance) DO UPDATE SET sequence = excluded.sequence, marked_at = excluded.marked_at
    WHERE mark.sequence >= :committed
    RETURNING xmax = 0 AS is_new
""")
_GET = text("SELECT sequence, marked_at FROM recorder.commit_mark WHERE instance = :instance")


@dataclass(frozen=True, slots=True)
class Mark:
    """What a transaction commits of a spool.

    Attributes:
        instance: Which spool.
        committed: The sequence number up to which this database was seen to have it.
        through: The number up to which it has it after the transaction.
    """

    instance: str
    committed: int
    through: int


async def set_mark(connection: AsyncConnection, mark: Mark) -> None:
    """Move the mark. Raises ``DatabaseWentBack``, and the caller must roll back, when it is older than it was."""
    row = (await connection.execute(_SET, asdict(mark))).one_or_none()
    if row is None:
        found = (await connection.execute(_GET, {"instance": mark.instance})).one()
        raise DatabaseWentBack(sequence=found.sequence, at=found.marked_at)
    if row.is_new and mark.committed:
        raise DatabaseWentBack(sequence=0, at=None)
