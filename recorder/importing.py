"""Importing: answers of the exchange that somebody saved become snapshots like any other."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.binance.saved import decode_saved
from recorder.domain.position import Position
from recorder.domain.snapshot import Kind, Snapshot
from recorder.exceptions import MalformedAnswer
from recorder.postgres.questions import recorded_rows
from recorder.postgres.samples import prepare_partitions
from recorder.recording import write

_NEXT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one saved answer. *outcome* is ``recorded``, or ``known`` when it had been recorded before."""

    file: Path
    time: datetime
    rows: int
    outcome: str


async def import_files(engine: AsyncEngine, files: Sequence[Path], account: str, at: datetime | None) -> list[Imported]:
    """Record every answer in *files* under *account*, in their order.

    Nothing is recorded unless all files can be read: raises ``MalformedAnswer`` that names file and field. The first
    answer has the time *at*, or its file's modification time; one that meets another answer at its time comes right
    after that one, so that none is lost, and a repeated import finds all of them.
    """
    answers = [(file, at or _modified(file), rows) for file in files for rows in _read(file)]
    imported = []
    for file, wanted, rows in answers:
        time = wanted
        while (known := await recorded_rows(engine, account, time)) not in (None, _identity(rows)):
            time += _NEXT
        if known is None:
            await prepare_partitions(engine, time, time)
            await write(engine, [Snapshot(account=account, time=time, kind=Kind.IMPORT, taken_at=time, positions=rows)])
        imported.append(Imported(file, time, len(rows), "recorded" if known is None else "known"))
    return imported


def _read(file: Path) -> list[tuple[Position, ...]]:
    try:
        return decode_saved(file.read_bytes())
    except OSError as error:
        raise MalformedAnswer(f"{file} cannot be read", why=error.strerror or str(error)) from error
    except MalformedAnswer as error:
        raise MalformedAnswer(f"{file}: {error.what}", why=error.why, fix=error.fix) from error


def _modified(file: Path) -> datetime:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)


def _identity(rows: Sequence[Position]) -> set[tuple[object, ...]]:
    return {
        (row.symbol, row.position_side, row.update_time, row.position_amt, row.mark_price, row.unrealized_profit)
        for row in rows
    }
