"""Importing: answers of the exchange that somebody saved become snapshots like any other."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.binance.saved import decode_saved
from recorder.domain.position import Position
from recorder.domain.snapshot import Kind, Snapshot
from recorder.exceptions import MalformedAnswer
from recorder.postgres.partitions import prepare_partitions_if_possible
from recorder.postgres.questions import ROW_FIELDS, recorded_rows
from recorder.recording import write

_NEXT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class SavedAnswer:
    """An answer in a file, and the time at which it is to be recorded."""

    file: Path
    time: datetime
    rows: tuple[Position, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one saved answer. *outcome* is ``recorded``, or ``known`` when it had been recorded before."""

    file: Path
    time: datetime
    rows: int
    outcome: str


def read_files(files: Sequence[Path], at: datetime | None) -> list[SavedAnswer]:
    """Return every answer in *files*, in their order, with the time *at* or its file's modification time.

    Raises ``MalformedAnswer`` that names file and field when any of them cannot be read.
    """
    return [answer for file in files for answer in _read(file, at)]


async def import_answers(engine: AsyncEngine, account: str, answers: Sequence[SavedAnswer]) -> AsyncIterator[Imported]:
    """Record *answers* under *account*, each in a transaction of its own, and yield what became of it.

    An answer that meets another one at its time comes right after that, and never before those that were given
    earlier with the same time: so none is lost, their order stays, and a repeated import finds all of them.
    """
    reached: dict[datetime, datetime] = {}
    for answer in answers:
        time = reached.get(answer.time, answer.time)
        while (known := await recorded_rows(engine, account, time)) not in (None, _identity(answer.rows)):
            time += _NEXT
        reached[answer.time] = time
        if known is None:
            await prepare_partitions_if_possible(engine, time, time)
            snapshot = Snapshot(account=account, time=time, kind=Kind.IMPORT, taken_at=time, positions=answer.rows)
            await write(engine, [snapshot])
        yield Imported(answer.file, time, len(answer.rows), "recorded" if known is None else "known")


def _read(file: Path, at: datetime | None) -> list[SavedAnswer]:
    try:
        time = at or datetime.fromtimestamp(file.stat().st_mtime, UTC)
        return [SavedAnswer(file, time, rows) for rows in decode_saved(file.read_bytes())]
    except OSError as error:
        raise MalformedAnswer(
            f"{file} cannot be read", why=error.strerror or str(error), fix="name files that this user may read"
        ) from error
    except MalformedAnswer as error:
        raise MalformedAnswer(f"{file}: {error.what}", why=error.why, fix=error.fix) from error


def _identity(rows: Sequence[Position]) -> set[tuple[object, ...]]:
    return {tuple(getattr(row, field) for field in ROW_FIELDS) for row in rows}
