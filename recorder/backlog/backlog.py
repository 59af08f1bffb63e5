"""The backlog: what was observed and is not committed, on disk first, and in memory as far as there is room.

What is offered is appended to the spool by one task, everything that waits with one fsync, and only then given out for
its commit; what the memory does not hold is read back, a batch ahead of the one that is being committed. While the disk
takes nothing it is given out as it is.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import TypeVar, TypeVarTuple

from recorder.backlog.batch import BATCH_ROWS, Batch, Entry, read_batch
from recorder.domain.item import Item, size_of
from recorder.exceptions import SpoolError, SpoolFull
from recorder.process.clock import wall_clock
from recorder.spool.checkpoint import LettingGo
from recorder.spool.codec import encode_item
from recorder.spool.log import Log

_AT_ONCE = 5_000
_TRY_AGAIN = 1.0  # seconds
_BETWEEN_CHECKPOINTS = 1.0  # seconds; what was committed since the last one is written again after a crash

_Ts = TypeVarTuple("_Ts")
_T = TypeVar("_T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BacklogStatus:
    """What waits.

    Attributes:
        unspooled: How many of them are not on disk.
        rows: What of it is held in memory, in rows.
        oldest: When the oldest of it was accepted; ``None`` when nothing waits.
        trouble: Why the disk takes nothing at the moment; empty when it does.
    """

    records: int
    unspooled: int
    rows: int
    oldest: datetime | None
    trouble: str
    size: int
    damaged: int


class Backlog:
    """Uses *spool* alone, in a thread of its own: nobody else may, until ``close``.

    Attributes:
        committed: Everything up to this number of the spool is in PostgreSQL.
    """

    def __init__(
        self,
        spool: Log,
        *,
        memory_rows: int,
        synced: Callable[[float], None] = lambda _: None,
        clock: Callable[[], datetime] = wall_clock,
    ) -> None:
        """*synced* is told how many seconds each append took to be durable. *clock* says when records are accepted."""
        self._clock = clock
        self._log = spool
        self._bound = memory_rows
        self._synced = synced
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._incoming: deque[Entry] = deque()
        self._spooling: list[Entry] = []
        self._recent: deque[Entry] = deque()
        self._in_hand: Batch | None = None
        self._ahead: asyncio.Future[Batch] | None = None  # what follows number given_out, on its way from the disk
        self._incoming_rows = self._incoming_bytes = self._recent_rows = 0
        self._given_out = self.committed = spool.checkpoint.sequence
        self._on_disk = self._inherited = spool.last  # up to this number it must be read back
        self._noted = spool.checkpoint.sequence, spool.checkpoint.letting_go
        self._is_renamed = False
        self._trouble = ""
        self._changed = asyncio.Event()
        self.letting_go: tuple[LettingGo, ...] = spool.checkpoint.letting_go

    def offer(self, item: Item, *, spare: int | None) -> bool:
        """Take *item* without waiting, and return whether there was room.

        *spare* is how many bytes of the limit must stay free; with ``None`` it is taken in any case.
        """
        entry = Entry(self._clock(), item, encode_item(item))
        if spare is not None and not self._has_room(entry, spare):
            return False
        self._incoming.append(entry)
        self._incoming_rows += size_of(item)
        self._incoming_bytes += len(entry.payload)
        self._changed.set()
        return True

    async def spool(self) -> None:
        """Make durable what is taken, for ever. While the disk fails it is tried again and again, also with nothing."""
        while True:
            await self._until(lambda: bool(self._incoming or self._spooling or self._trouble))
            while self._incoming and len(self._spooling) < _AT_ONCE:
                self._spooling.append(self._incoming.popleft())
            payloads = [entry.payload for entry in self._spooling]
            try:
                last = await self._call(self._log.append, payloads, self._clock())
            except SpoolFull as error:
                self._incoming.extendleft(reversed(self._spooling))
                self._spooling = []
                self._failed(error)
                await asyncio.sleep(_TRY_AGAIN)
            else:
                self._synced(self._log.fsync_seconds)
                self._spooled(last)

    async def keep_checkpoint(self) -> None:
        """Note on disk how far PostgreSQL has what the spool holds, for ever."""
        while True:
            await asyncio.sleep(_BETWEEN_CHECKPOINTS)
            await self._checkpoint()

    async def next_batch(self) -> Batch:
        """Wait for what is to be committed next; the same again until ``done`` or ``rewind``."""
        while self._in_hand is None:
            await self._until(
                lambda: bool(self._recent or self._given_out < self._on_disk or (self._trouble and self._incoming))
            )
            if self._recent:
                entries = self._take(self._recent)
                self._recent_rows -= sum(size_of(entry.item) for entry in entries)
                self._in_hand = Batch(entries, entries[-1].sequence)
            elif self._given_out < self._on_disk:
                self._in_hand = await self._read_back()
            else:
                entries = self._take(self._incoming)
                self._forget(entries)
                self._in_hand = Batch(entries, self._given_out)
            self._given_out = self._in_hand.through
            if not self._recent and self._given_out < self._on_disk:
                self._ahead = self._read_ahead()
        return self._in_hand

    def done(self) -> None:
        """Say that the batch in hand is committed."""
        if self._in_hand is not None:
            self.committed, self._in_hand = self._in_hand.through, None
        self._changed.set()

    async def rewind(self, after: int) -> None:
        """Give out again what comes after number *after*, the batch in hand included."""
        self._ahead = None
        await self._call(self._log.rewind, after)
        for entry in reversed(self._in_hand.entries if self._in_hand else ()):
            if not entry.sequence:
                self._incoming.appendleft(entry)
                self._incoming_rows += size_of(entry.item)
                self._incoming_bytes += len(entry.payload)
        self._in_hand = None
        self._recent.clear()
        self._recent_rows = 0
        self._given_out = self.committed = after
        self._on_disk = self._log.last
        self._changed.set()

    async def rename(self, instance: str) -> None:
        """Go on as the spool *instance*: another process writes under the name it had."""
        await self._call(self._log.rename, instance)
        self._is_renamed = True

    async def inherited_is_committed(self) -> None:
        """Wait until everything that an earlier process left is in PostgreSQL."""
        await self._until(lambda: self.committed >= self._inherited)

    async def drained(self) -> None:
        """Wait until everything taken so far is in PostgreSQL."""
        await self._until(lambda: not (self.status.records or self._in_hand))

    async def durable(self) -> None:
        """Wait until everything taken so far is on disk."""
        await self._until(lambda: not (self._incoming or self._spooling))

    async def put_aside(self, name: str, data: bytes) -> None:
        """Keep in a file what PostgreSQL does not take in any form."""
        await self._call(self._log.keep_aside, name, data)

    async def close(self) -> None:
        """Note how far everything got, and let the spool go."""
        try:
            await self._checkpoint()
            await self._call(self._log.close)
        finally:
            self._thread.shutdown(wait=False)

    @property
    def last(self) -> int:
        """The number of the newest record on disk."""
        return self._log.last

    @property
    def status(self) -> BacklogStatus:
        waiting = (self._in_hand.entries if self._in_hand else ()), self._recent, self._spooling, self._incoming
        first = next((entries[0] for entries in waiting if entries), None)
        unspooled = len(self._spooling) + len(self._incoming)
        return BacklogStatus(
            records=self._log.last - self.committed + unspooled,
            unspooled=unspooled,
            rows=self._incoming_rows + self._recent_rows,
            oldest=first.accepted_at if first else None,
            trouble=self._trouble,
            size=self._log.size,
            damaged=self._log.damaged,
        )

    async def _read_back(self) -> Batch:
        """Return what the disk holds next. What was read is not lost when somebody stops waiting for it."""
        self._ahead = self._ahead or self._read_ahead()
        batch = await asyncio.shield(self._ahead)
        self._ahead = None
        return batch

    def _read_ahead(self) -> "asyncio.Future[Batch]":
        return asyncio.get_running_loop().run_in_executor(self._thread, read_batch, self._log, self._given_out)

    def _has_room(self, entry: Entry, spare: int) -> bool:
        if self._incoming_rows + size_of(entry.item) > self._bound:
            return False
        room = self._log.limit - spare - self._incoming_bytes - len(entry.payload)
        # Second question: what was committed since the last checkpoint is deleted with the next one.
        return bool(self._trouble) or self._log.waiting_size <= room or self._log.size_after(self.committed) <= room

    def _spooled(self, last: int) -> None:
        entries, self._spooling = self._spooling, []
        self._forget(entries)
        for sequence, entry in zip(count(last - len(entries) + 1), entries, strict=False):
            rows = size_of(entry.item)
            if self._given_out >= self._on_disk and self._recent_rows + rows <= self._bound:
                self._recent.append(replace(entry, sequence=sequence))
                self._recent_rows += rows
            else:
                self._on_disk = sequence
        if self._trouble:
            log.warning("the spool is written again")
            self._trouble = ""
        self._changed.set()

    def _failed(self, error: SpoolError) -> None:
        if not self._trouble:
            log.error("%s: %s; recording goes on in memory; to mend it: %s", error.what, error.why, error.fix)
        self._trouble = f"{error.what}: {error.why}"
        self._changed.set()

    def _forget(self, entries: Sequence[Entry]) -> None:
        self._incoming_rows -= sum(size_of(entry.item) for entry in entries)
        self._incoming_bytes -= sum(len(entry.payload) for entry in entries)

    def _take(self, waiting: deque[Entry]) -> list[Entry]:
        taken: list[Entry] = []
        rows = 0
        while waiting and (not taken or rows + size_of(waiting[0].item) <= BATCH_ROWS):
            rows += size_of(waiting[0].item)
            taken.append(waiting.popleft())
        return taken

    async def _checkpoint(self) -> None:
        note = self.committed, self.letting_go
        if note == self._noted and not self._is_renamed and not self._log.has_expired(self._clock()):
            return
        try:
            await self._call(self._log.commit, note[0], self._clock(), note[1])
        except SpoolFull as error:
            self._failed(error)
        else:
            self._noted, self._is_renamed = note, False

    async def _call(self, work: Callable[[*_Ts], _T], *arguments: *_Ts) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._changed.clear()
            await self._changed.wait()
