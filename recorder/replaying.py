"""Writing again: what the spool still holds, which may be there already, and what PostgreSQL refused once."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.item import Item, size_of
from recorder.exceptions import StorageRefused, UnknownRecord
from recorder.postgres.accounts import take_turn
from recorder.postgres.dead_letters import DeadLetter, settle
from recorder.postgres.engine import storage_errors
from recorder.recording import write
from recorder.spool.codec import decode_item
from recorder.spool.opening import records_since

_BATCH_ROWS = 2_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came of a replay, so far or as a whole.

    Attributes:
        first, last: When the oldest and the newest record that was written again had been accepted.
        new_snapshots: How many snapshots the database did not have.
        skipped: How many records could not be understood or were refused.
    """

    records: int
    new_snapshots: int
    skipped: int
    first: datetime | None
    last: datetime | None


async def replay(
    engine: AsyncEngine, data_dir: Path, since: datetime, progress: Callable[[Replayed], None] = lambda _: None
) -> Replayed:
    """Write again what the spool under *data_dir* holds of the time since then, also while the service runs.

    *progress* is told after each step what came of it so far. Raises ``StorageError``.
    """
    done = Replayed(records=0, new_snapshots=0, skipped=0, first=None, last=None)
    batch: list[Item] = []
    rows = 0

    async def flush() -> None:
        nonlocal done
        new, refused = await _write_what_is_taken(engine, batch)
        done = replace(
            done,
            records=done.records + len(batch) - refused,
            new_snapshots=done.new_snapshots + new,
            skipped=done.skipped + refused,
        )
        progress(done)

    for record in records_since(data_dir, since):
        try:
            batch.append(decode_item(record.payload))
        except UnknownRecord as error:
            log.warning("record %d of the spool is not written again: %s; %s", record.sequence, error.what, error.fix)
            done = replace(done, skipped=done.skipped + 1)
            continue
        done = replace(done, first=done.first or record.accepted_at, last=record.accepted_at)
        rows += size_of(batch[-1])
        if rows >= _BATCH_ROWS:
            await flush()
            batch, rows = [], 0
    if batch:
        await flush()
    return done


async def retry(engine: AsyncEngine, letter: DeadLetter) -> str:
    """Write what was refused once; return why it is refused again, empty when it is not. Raises ``StorageError``."""
    try:
        await write(engine, [decode_item(letter.payload)])
    except (StorageRefused, UnknownRecord) as error:
        return error.why or error.what
    with storage_errors():
        async with engine.begin() as connection:
            await take_turn(connection, [letter.account])
            await settle(connection, letter)
    return ""


async def _write_what_is_taken(engine: AsyncEngine, items: Sequence[Item]) -> tuple[int, int]:
    """Write *items* but those that are refused; return how many snapshots were new, and how many were refused."""
    try:
        return len(await write(engine, items)), 0
    except StorageRefused as error:
        if len(items) == 1:
            log.warning("PostgreSQL refuses what was observed of %s: %s", items[0].account, error.why)
            return 0, 1
    middle = len(items) // 2
    new, refused = await _write_what_is_taken(engine, items[:middle])
    more, also = await _write_what_is_taken(engine, items[middle:])
    return new + more, refused + also
