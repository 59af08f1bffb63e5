"""Marks: how far this database has what a spool holds, written in the very transactions that bring it there.

A database that was restored from a backup, or that lost commits in a failover, shows in a mark that is older than what
the spool knows to be committed. A mark that another process has taken over since shows that there are two spools of one
name: somebody copied the folder, and both are written.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.exceptions import DatabaseWentBack, SpoolCopied

_TAKE_OVER = text("""
    INSERT INTO recorder.commit_mark AS mark (instance, sequence, marked_at, run, process, host, pid)
    VALUES (:instance, :committed, clock_timestamp(), 1, :process, :host, :pid)
    ON CONFLICT (instance) DO UPDATE SET
      run = mark.run + 1, process = excluded.process, host = excluded.host, pid = excluded.pid
    WHERE mark.sequence BETWEEN :committed AND :last
    RETURNING run, xmax = 0 AS is_new
""")
_MOVE = text("""
    UPDATE recorder.commit_mark SET sequence = :through, marked_at = clock_timestamp()
    WHERE instance = :instance AND process = :process AND sequence >= :committed
    RETURNING sequence
""")
_GET = text("""
    SELECT sequence, marked_at, run, process, host, pid FROM recorder.commit_mark WHERE instance = :instance
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """A process that writes what a spool holds.

    Attributes:
        instance: Which spool.
        process: A name for the process that no other one has.
        host, pid: Where it runs, for people.
        run: How many processes took this spool's mark over up to this one; 0 while it did not.
    """

    instance: str
    process: str
    host: str
    pid: int
    run: int = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """What a transaction commits of a spool.

    Attributes:
        committed: The sequence number up to which this database was seen to have it.
        through: The number up to which it has it after the transaction.
    """

    writer: Writer
    committed: int
    through: int


async def take_over(connection: AsyncConnection, writer: Writer, *, committed: int, last: int, is_first: bool) -> int:
    """Be the process that moves the mark from now on; return its number among all that did.

    The database was seen to have what the spool holds up to number *committed*, unless this *is_first* under that name,
    and the spool ends with *last*. Raises ``DatabaseWentBack`` or ``SpoolCopied``, and the caller must roll back.
    """
    given = {"committed": committed, "last": last, "process": writer.process, "host": writer.host, "pid": writer.pid}
    row = (await connection.execute(_TAKE_OVER, given | {"instance": writer.instance})).one_or_none()
    if row is None:
        found = (await connection.execute(_GET, {"instance": writer.instance})).one()
        raise _went_back(found) if found.sequence < committed else _copied(found)
    if row.is_new and committed and not is_first:
        raise DatabaseWentBack(sequence=0, at=None)
    run: int = row.run
    return run


async def set_mark(connection: AsyncConnection, mark: Mark) -> None:
    """Move the mark that was taken over.

    Raises ``DatabaseWentBack`` when it is older than it was, ``SpoolCopied`` when another process has taken it over
    since; then the caller must roll back.
    """
    writer = mark.writer
    given = {"instance": writer.instance, "process": writer.process}
    moved = await connection.execute(_MOVE, given | {"committed": mark.committed, "through": mark.through})
    if moved.one_or_none():
        return
    found = (await connection.execute(_GET, {"instance": writer.instance})).one_or_none()
    if found is None:
        raise DatabaseWentBack(sequence=0, at=None)
    if found.process == writer.process or found.run < writer.run:
        raise _went_back(found)
    raise _copied(found)


def _went_back(found: Row[tuple[int, datetime]]) -> DatabaseWentBack:
    return DatabaseWentBack(sequence=found.sequence, at=found.marked_at)


def _copied(found: Row[tuple[int, datetime]]) -> SpoolCopied:
    return SpoolCopied(host=found.host or "unknown", pid=found.pid, at=found.marked_at)
