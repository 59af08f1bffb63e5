"""Recording, the one thing this program does: observation in, rows out.

What was observed waits in a bounded backlog until it is committed; while PostgreSQL is away it waits there. What the
backlog cannot hold is let go, newest first, and written down as a gap as soon as there is room again.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.clock import wall_clock
from recorder.domain.event import AccountUpdate, KeptEvent, Trade
from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.domain.snapshot import Outcome, Snapshot
from recorder.domain.stream import StreamState
from recorder.exceptions import (
    StorageError,
    StorageRefused,
)
from recorder.metrics import Metrics
from recorder.postgres.accounts import take_turn
from recorder.postgres.engine import storage_errors
from recorder.postgres.events import Told, write_events
from recorder.postgres.gaps import write_gaps
from recorder.postgres.snapshots import write_snapshots
from recorder.postgres.streams import write_stream_states

Item = Snapshot | Gap | Told | StreamState
"""What waits to be written; each belongs to one account."""

BACKLOG_ROWS = 20_000
"""How much waits in memory at most, in position rows: some 50 MB. A failed snapshot or a gap counts as one row."""

_BATCH_ROWS = 2_000
_LONGEST_PAUSE = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    """How recording goes: what waits, what was let go, and how far each account is committed.

    Attributes:
        failing_since: When PostgreSQL was last lost, ``None`` while it takes what it is given.
        committed: Time of the newest committed snapshot of each account, of any outcome.
        committed_ok: The same for ok snapshots.
    """

    backlog_rows: int
    backlog_snapshots: int
    let_go: int
    failing_since: datetime | None
    error: str
    committed: dict[str, datetime]
    committed_ok: dict[str, datetime]


class Recording:
    """Takes observations at any moment without waiting, and commits them in their order.

    ``run`` must be running for anything to be written; it ends only by cancellation.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        metrics: Metrics,
        *,
        backlog_rows: int = BACKLOG_ROWS,
        clock: Callable[[], datetime] = wall_clock,
    ) -> None:
        """*clock* tells the time by which slots are due."""
        self._engine = engine
        self._clock = clock
        self._metrics = metrics
        self._bound = backlog_rows
        self._backlog: deque[Item] = deque()
        self._rows = 0
        self._given = asyncio.Event()
        self._written = asyncio.Condition()
        self._kept: dict[tuple[str, GapSource], datetime] = {}
        self._letting_go: dict[tuple[str, GapSource], datetime] = {}
        self._let_go = 0
        self._failing_since: datetime | None = None
        self._error = ""
        self._committed: dict[str, datetime] = {}
        self._committed_ok: dict[str, datetime] = {}

    def record(self, snapshot: Snapshot) -> None:
        """Take *snapshot*, or let it go when the backlog is full: then its time becomes part of a gap."""
        if self._rows + _size(snapshot) > self._bound:
            self._let_go_of(snapshot.account, snapshot.time, GapSource.SNAPSHOT)
            return
        self._resume(snapshot.account, snapshot.time, GapSource.SNAPSHOT)
        self._put(snapshot)

    def record_event(self, told: Told) -> None:
        """Take a message of the stream. When the backlog is full it is let go, and the gap says so."""
        if self._rows >= self._bound:
            self._let_go_of(told.account, told.arrival.exchange_time, GapSource.STREAM)
            return
        self._resume(told.account, told.arrival.exchange_time, GapSource.STREAM)
        self._put(told)

    def record_stream_state(self, state: StreamState) -> None:
        """Take the new state of a stream; like gaps they are few."""
        self._put(state)

    def record_gap(self, gap: Gap) -> None:
        """Take *gap*; gaps are few and are never let go."""
        self._put(gap)

    async def run(self) -> None:
        """Commit what is given, for ever. While PostgreSQL fails the same batch is tried again and again."""
        attempt = 0
        while True:
            if not self._backlog:
                self._given.clear()
                await self._given.wait()
            batch = self._next_batch()
            try:
                new = await self._commit(batch)
            except StorageError as error:
                self._failed(error)
                attempt += 1
                await asyncio.sleep(pause_after(attempt))
                continue
            attempt = 0
            await self._done(batch, new)

    async def drained(self) -> None:
        """Wait until everything given so far is committed."""
        async with self._written:
            await self._written.wait_for(lambda: not self._backlog)

    @property
    def status(self) -> RecordingStatus:
        return RecordingStatus(
            backlog_rows=self._rows,
            backlog_snapshots=sum(isinstance(item, Snapshot) for item in self._backlog),
            let_go=self._let_go,
            failing_since=self._failing_since,
            error=self._error,
            committed=dict(self._committed),
            committed_ok=dict(self._committed_ok),
        )

    def _let_go_of(self, account: str, time: datetime, source: GapSource) -> None:
        if (account, source) not in self._letting_go:
            log.error("backlog full: what is observed of %s is let go until PostgreSQL is back", account)
            self._letting_go[account, source] = self._kept.get((account, source), time)
        self._let_go += 1
        self._metrics.let_go(account)

    def _resume(self, account: str, time: datetime, source: GapSource) -> None:
        """Note that *account* is covered at *time*, and that a gap ends there if one was open."""
        self._kept[account, source] = time
        if started := self._letting_go.pop((account, source), None):
            reason = GapReason.BUFFER_FULL
            self._put(Gap(account=account, source=source, started_at=started, ended_at=time, reason=reason))

    def _put(self, item: Item) -> None:
        self._backlog.append(item)
        self._rows += _size(item)
        self._given.set()

    def _next_batch(self) -> list[Item]:
        batch: list[Item] = []
        rows = 0
        for item in self._backlog:
            rows += _size(item)
            if batch and rows > _BATCH_ROWS:
                break
            batch.append(item)
        return batch

    async def _commit(self, batch: Sequence[Item]) -> list[Snapshot]:
        """Write *batch* and return the snapshots that were new; one that PostgreSQL refuses is written as failed."""
        try:
            return await write(self._engine, batch)
        except StorageRefused as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                return await self._commit(batch[:middle]) + await self._commit(batch[middle:])
            (item,) = batch
            log.error("PostgreSQL refuses what was observed of %s: %s", item.account, error.why)
            match item:
                case Snapshot(outcome=Outcome.OK):
                    refused: Item = replace(
                        item, outcome=Outcome.REFUSED_BY_DATABASE, detail=error.why, positions=(), balances=()
                    )
                case Told(event=(AccountUpdate() | Trade()) as event):
                    refused = replace(item, event=KeptEvent(kind="", event_time=None, raw=event.raw))
                case _:
                    raise
            return await write(self._engine, [refused])

    def _failed(self, error: StorageError) -> None:
        self._metrics.database_failed()
        self._error = "; ".join(filter(None, (error.what, error.why)))
        if self._failing_since is None:
            self._failing_since = self._clock()
            log.error("%s: %s; recording goes on in memory; to mend it: %s", error.what, error.why, error.fix)

    async def _done(self, batch: Sequence[Item], new: Sequence[Snapshot]) -> None:
        if self._failing_since is not None:
            away = self._clock() - self._failing_since
            log.warning("PostgreSQL is back after %.0f s, %d rows were waiting", away.total_seconds(), self._rows)
            self._failing_since, self._error = None, ""
        for item in batch:
            self._backlog.popleft()
            self._rows -= _size(item)
            if isinstance(item, Snapshot):
                self._note(item)
        now = self._clock()
        for snapshot in new:
            self._metrics.committed(snapshot, (now - snapshot.time).total_seconds())
        async with self._written:
            self._written.notify_all()

    def _note(self, snapshot: Snapshot) -> None:
        for newest in (self._committed, self._committed_ok) if snapshot.ok else (self._committed,):
            newest[snapshot.account] = max(newest.get(snapshot.account, snapshot.time), snapshot.time)


def pause_after(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row: doubling from 0.1 to 0.2 up to 5, with jitter."""
    longest = min(_LONGEST_PAUSE, 0.1 * 2 ** min(failures, 10))  # an outage of hours must not overflow
    return random.uniform(longest / 2, longest)  # noqa: S311 - not secret


async def write(engine: AsyncEngine, items: Sequence[Item]) -> list[Snapshot]:
    """Commit *items* in one transaction and return the snapshots that were new. Raises ``StorageError``."""
    with storage_errors():
        async with engine.begin() as connection:
            ids = await take_turn(connection, (item.account for item in items))
            new = await write_snapshots(connection, ids, [item for item in items if isinstance(item, Snapshot)])
            await write_events(connection, ids, [item for item in items if isinstance(item, Told)])
            await write_stream_states(connection, ids, [item for item in items if isinstance(item, StreamState)])
            await write_gaps(connection, ids, [item for item in items if isinstance(item, Gap)])
    return new


def _size(item: Item) -> int:
    return 1 + len(item.positions) if isinstance(item, Snapshot) else 1
