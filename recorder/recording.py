"""Recording, the one thing this program does: observation in, rows out.

What was observed is on disk before it is committed, and waits there while PostgreSQL is away. What the disk has no room
for is let go, snapshots before events and newest first, and written down as a gap as soon as there is room again.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.backlog.backlog import Backlog, BacklogStatus
from recorder.backlog.batch import Batch
from recorder.backlog.letting_go import LetGo
from recorder.backlog.outage import Outage
from recorder.backlog.refusal import dead_letter, substitute
from recorder.clashes import say
from recorder.domain.beginning import Beginning
from recorder.domain.event import Told
from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.domain.item import Item
from recorder.domain.snapshot import Snapshot
from recorder.domain.stream import StreamState
from recorder.exceptions import DatabaseWentBack, SpoolCopied, StorageError, StorageRefused
from recorder.metrics import Metrics
from recorder.postgres.accounts import take_turn
from recorder.postgres.beginnings import write_beginnings
from recorder.postgres.dead_letters import DeadLetter, write_dead_letters
from recorder.postgres.engine import is_of_connections, storage_errors
from recorder.postgres.events import write_events
from recorder.postgres.gaps import write_gaps
from recorder.postgres.marks import Mark, Writer, set_mark, take_over
from recorder.postgres.snapshots import write_snapshots
from recorder.postgres.streams import write_stream_states
from recorder.process.clock import wall_clock
from recorder.spool.log import Log
from recorder.spool.reader import Loss

MEMORY_ROWS = 20_000
"""How much is held in memory at most, in position rows: some 50 MB. A failed snapshot or a gap counts as one row."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    """How recording goes: what waits, what was let go, and how far each account is committed.

    Attributes:
        letting_go: Whether something is being let go now.
        failing_since: When PostgreSQL was last lost, ``None`` while it takes what it is given.
        committed: Time of the newest committed snapshot of each account, of any outcome.
        committed_ok: The same for ok snapshots.
    """

    backlog: BacklogStatus
    let_go: int
    letting_go: bool
    failing_since: datetime | None
    error: str
    committed: dict[str, datetime]
    committed_ok: dict[str, datetime]


class Recording:
    """Takes observations at any moment without waiting, and commits them in their order.

    ``run`` must be running for anything to be written; it ends only by cancellation. ``close`` ends the recording.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        metrics: Metrics,
        spool: Log,
        *,
        accounts: Sequence[str],
        every: timedelta,
        stream: bool = True,
        memory_rows: int = MEMORY_ROWS,
        clock: Callable[[], datetime] = wall_clock,
    ) -> None:
        """*spool* is this object's alone from now on.

        *accounts*, *every* and *stream* say what a record that cannot be read may have told of: which accounts, at
        most how long before it was accepted, and whether it may have been an event. *clock* tells the time by which
        slots are due.
        """
        self._engine = engine
        self._clock = clock
        self._metrics = metrics
        self._accounts = accounts
        self._every = every
        self._sources = (GapSource.SNAPSHOT, GapSource.STREAM) if stream else (GapSource.SNAPSHOT,)
        self._backlog = Backlog(spool, memory_rows=memory_rows, synced=metrics.synced, clock=clock)
        self._sure_until = spool.checkpoint.at if spool.checkpoint.sequence else None
        self._writer = Writer(
            instance=spool.checkpoint.instance, process=uuid4().hex, host=socket.gethostname(), pid=os.getpid()
        )
        self._is_renamed = False
        self._marked = spool.checkpoint.sequence
        self._reserve = spool.limit // 16
        self._let_go = LetGo(spool.checkpoint.letting_go, metrics.let_go)
        self._outage = Outage(clock)
        self._redriven_to = 0
        self._committed: dict[str, datetime] = {}
        self._committed_ok: dict[str, datetime] = {}
        if spool.torn:
            log.warning("%d bytes at the end of the spool were not finished when the last process ended", spool.torn)

    def record(self, snapshot: Snapshot) -> None:
        """Take *snapshot*, or let it go when there is no room: then its time becomes part of a gap."""
        kept = self._backlog.offer(snapshot, spare=self._reserve)
        self._note(snapshot.account, GapSource.SNAPSHOT, snapshot.time, kept=kept)

    def record_event(self, told: Told) -> None:
        """Take a message of the stream. When there is no room it is let go, and the gap says so."""
        kept = self._backlog.offer(told, spare=0)
        self._note(told.account, GapSource.STREAM, told.arrival.exchange_time if kept else told.happened_at, kept=kept)

    def record_stream_state(self, state: StreamState) -> None:
        """Take the new state of a stream; like gaps they are few."""
        self._backlog.offer(state, spare=None)

    def record_beginning(self, beginning: Beginning) -> None:
        """Take the beginning of whoever watches an account now, before anything else of it."""
        self._backlog.offer(beginning, spare=None)

    def record_gap(self, gap: Gap) -> None:
        """Take *gap*; gaps are few and are never let go."""
        self._backlog.offer(gap, spare=None)

    async def run(self) -> None:
        """Spool and commit what is given, for ever. While PostgreSQL fails the same is tried again and again."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._backlog.spool(), name="spool")
            tasks.create_task(self._backlog.keep_checkpoint(), name="checkpoint")
            tasks.create_task(self._commit_all(), name="commit")

    async def drained(self) -> None:
        """Wait until everything given so far is committed."""
        await self._backlog.drained()

    async def durable(self) -> None:
        """Wait until everything given so far is on disk."""
        await self._backlog.durable()

    async def inherited_is_committed(self) -> None:
        """Wait until everything that an earlier process left in the spool is committed."""
        await self._backlog.inherited_is_committed()

    async def close(self) -> None:
        """Let the spool go; nothing may be given any more. What is not committed waits for the next start."""
        await self._backlog.close()

    @property
    def status(self) -> RecordingStatus:
        return RecordingStatus(
            backlog=self._backlog.status,
            let_go=self._let_go.total,
            letting_go=bool(self._let_go.going_on),
            failing_since=self._outage.since,
            error=self._outage.error,
            committed=dict(self._committed),
            committed_ok=dict(self._committed_ok),
        )

    def _note(self, account: str, source: GapSource, time: datetime, *, kept: bool) -> None:
        if not kept:
            self._let_go.let_go(account, source, time)
        elif gap := self._let_go.kept(account, source, time):
            self.record_gap(gap)
        self._backlog.letting_go = self._let_go.going_on

    async def _commit_all(self) -> None:
        attempt = 0
        known: Batch | None = None
        items: list[Item] = []
        while True:
            batch = await self._backlog.next_batch()
            if batch is not known:
                known, items = batch, [*(entry.item for entry in batch.entries), *self._gaps_of(batch.lost)]
            try:
                await self._take_over()
                new = await self._commit(items, batch.through)
            except DatabaseWentBack as error:
                await self._redrive(error)
            except SpoolCopied as error:
                await self._rename(error)
            except StorageError as error:
                attempt += 1
                self._metrics.database_failed()
                if is_of_connections(error):
                    await self._engine.dispose()
                await asyncio.sleep(self._outage.failed(error, attempt, waiting=self._backlog.status.records))
            else:
                attempt = 0
                self._done(items, new, again=batch.through <= self._redriven_to)
                self._backlog.done()

    async def _take_over(self) -> None:
        """Be the one process that moves the mark of this spool, if it is not yet."""
        if self._writer.run:
            return
        with storage_errors():
            async with self._engine.begin() as connection:
                await take_turn(connection, [])  # nothing may be written into a schema of another revision
                run = await take_over(
                    connection,
                    self._writer,
                    committed=self._marked,
                    last=self._backlog.last,
                    is_first=self._is_renamed,
                )
        self._writer, self._is_renamed = replace(self._writer, run=run), False

    async def _rename(self, error: SpoolCopied) -> None:
        """Leave the mark to the other process and go on under a name of its own; what was committed stays."""
        log.error("%s: %s; %s", error.what, error.why, error.fix)
        self._writer, self._is_renamed = replace(self._writer, instance=uuid4().hex, run=0), True
        await self._backlog.rename(self._writer.instance)

    async def _commit(self, items: Sequence[Item], through: int) -> list[Snapshot]:
        """Write *items* and return the snapshots that were new; one that PostgreSQL refuses becomes a dead letter.

        When all of them are written, PostgreSQL has everything up to number *through* of the spool.
        """
        mark = Mark(self._writer, self._marked, through)
        try:
            new = await write(self._engine, items, mark=mark, metrics=self._metrics)
        except StorageRefused as error:
            if not items:
                raise
            if len(items) == 1:
                return await self._refused(items[0], error, mark)
            middle = len(items) // 2
            first = await self._commit(items[:middle], self._marked)
            return first + await self._commit(items[middle:], through)
        self._marked = through
        return new

    async def _refused(self, item: Item, error: StorageRefused, mark: Mark) -> list[Snapshot]:
        letter = dead_letter(item, error)
        log.error("PostgreSQL refuses what was observed of %s: %s; see recorder dead-letters", item.account, error.why)
        self._metrics.dead_letter()
        instead = substitute(item, error)
        for items in ([instead], []) if instead else ([],):
            try:
                new = await write(self._engine, items, mark=mark, letters=[letter], metrics=self._metrics)
            except StorageRefused:
                continue
            self._marked = mark.through
            return new
        self._metrics.quarantined(1)
        await self._backlog.put_aside(f"refused-{letter.digest[:16]}", letter.payload)
        return await self._commit([], mark.through)

    async def _redrive(self, error: DatabaseWentBack) -> None:
        """Begin again where the database is, with what the spool still holds."""
        self._redriven_to = max(self._redriven_to, self._marked)
        self._marked, self._sure_until = error.sequence, error.at
        self._writer = replace(self._writer, run=0)
        await self._backlog.rewind(error.sequence)
        log.error(
            "%s: %s; everything after record %d that the spool still holds is written again, up to %d",
            error.what, error.why, error.sequence, self._redriven_to,
        )  # fmt: skip

    def _gaps_of(self, losses: Sequence[Loss]) -> list[Gap]:
        """Say that nobody knows what the accounts did while records were accepted that cannot be read any more."""
        gaps: list[Gap] = []
        for loss in losses:
            until = loss.until or self._clock()
            if loss.since or loss.through > self._redriven_to:
                since, reason = loss.since or self._sure_until or until, GapReason.SPOOL_DAMAGED
                self._metrics.quarantined(loss.count)
            elif self._sure_until:
                since, reason = self._sure_until, GapReason.DATABASE_RESTORED
            else:
                log.warning("the database is a new one, and %d older records are held no longer", loss.count)
                continue
            log.error("%d records of %s to %s cannot be read any more: the gap is recorded", loss.count, since, until)
            gaps += [
                Gap(account=account, source=source, started_at=since - self._every, ended_at=until, reason=reason)
                for account in self._accounts
                for source in self._sources
            ]
        return gaps

    def _done(self, items: Sequence[Item], new: Sequence[Snapshot], *, again: bool) -> None:
        self._outage.end(waiting=self._backlog.status.records)
        if again:
            self._metrics.replayed(len(items))
        for item in items:
            if isinstance(item, Snapshot):
                for newest in (self._committed, self._committed_ok) if item.ok else (self._committed,):
                    newest[item.account] = max(newest.get(item.account, item.time), item.time)
        now = self._clock()
        for snapshot in new:
            self._metrics.committed(snapshot, (now - snapshot.time).total_seconds())


async def write(
    engine: AsyncEngine,
    items: Sequence[Item],
    *,
    mark: Mark | None = None,
    letters: Sequence[DeadLetter] = (),
    metrics: Metrics | None = None,
) -> list[Snapshot]:
    """Commit *items* in one transaction and return the snapshots that were new. Raises ``StorageError``.

    With them goes the *mark* of how far this brings a spool, and *letters* of what was refused. What came again with
    other content is said, and counted by *metrics*.
    """
    with storage_errors():
        async with engine.begin() as connection:
            ids = await take_turn(connection, [each.account for each in (*items, *letters)])
            if mark:
                await set_mark(connection, mark)
            new = await write_snapshots(connection, ids, [item for item in items if isinstance(item, Snapshot)])
            clashes = await write_events(connection, ids, [item for item in items if isinstance(item, Told)])
            await write_beginnings(connection, ids, [item for item in items if isinstance(item, Beginning)])
            await write_stream_states(connection, ids, [item for item in items if isinstance(item, StreamState)])
            await write_gaps(connection, ids, [item for item in items if isinstance(item, Gap)])
            await write_dead_letters(connection, ids, letters)
    say(clashes, {number: account for account, number in ids.items()}, metrics)
    return new
