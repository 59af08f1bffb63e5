"""The service: every account at every slot and in between, until it is told to stop."""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.access import balances_are_scheduled, credentials, open_client
from recorder.asking import take_snapshot
from recorder.backfill import Backfill
from recorder.binance.client import Client
from recorder.binance.signing import Credentials
from recorder.config.settings import Settings
from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.domain.slot import slot_at
from recorder.domain.snapshot import Kind, Snapshot
from recorder.domain.stream import StreamState
from recorder.exceptions import ExchangeError, StorageError, StorageUnavailable
from recorder.listening import Listening
from recorder.metrics import Metrics
from recorder.postgres.database import open_database, require_schema
from recorder.postgres.engine import storage_errors
from recorder.postgres.gaps import last_watched
from recorder.postgres.samples import prepare_partitions
from recorder.postgres.schedules import write_schedule
from recorder.recording import Recording, write
from recorder.schedule import Schedule
from recorder.vitals import Vitals, export
from recorder.watch import Watch
from recorder.web.app import create_app
from recorder.web.server import listen, serve

FINISHING = timedelta(seconds=5)
"""How long a stop waits for answers that are on their way; then, for as long as ``COMMITTING``, for the commit."""
COMMITTING = timedelta(seconds=2)

HOUSEKEEPING = timedelta(hours=6)
AHEAD = timedelta(days=62)
"""Partitions are made this far ahead of need."""

_TRY_AGAIN = timedelta(seconds=1)

log = logging.getLogger(__name__)


async def run(settings: Settings, stop: asyncio.Event, learned_secret: Callable[[str], None] = lambda _: None) -> None:
    """Record every configured account until *stop* is set; then finish what is in hand and leave within 10 s.

    Raises ``ConfigurationError`` or ``SchemaMismatch`` before anything is recorded. That the database or the
    exchange is away is no reason not to start. *learned_secret* is told what no output may hold from then on.
    """
    accounts = credentials(settings)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(closing(listen(*settings.http.address))) if settings.http.address else None
        engine = await stack.enter_async_context(open_database(settings.database_url, settings.data_dir))
        try:
            await require_schema(engine)
        except StorageUnavailable as error:
            log.error("%s: %s; until it is there, recording goes on in memory", error.what, error.why)
        client = await stack.enter_async_context(open_client(settings))
        log.info("recording %d account(s) every %g s", len(accounts), settings.snapshot.every.total_seconds())
        await Service(settings, accounts, engine, client, learned_secret).run(stop, listener)


async def snapshot_once(settings: Settings, account: str | None) -> list[Snapshot]:
    """Take one snapshot of *account*, or of each account, commit it, and return what came of it."""
    chosen = [each for each in credentials(settings) if account in (None, each.account)]
    async with open_database(settings.database_url, settings.data_dir) as engine, open_client(settings) as client:
        await require_schema(engine)
        now = datetime.now(UTC)
        await prepare_partitions(engine, now, now + AHEAD)
        timeout = settings.snapshot.timeout
        snapshots = await asyncio.gather(
            *(
                take_snapshot(each.account, now, Kind.MANUAL, partial(client.positions, each, timeout))
                for each in chosen
            )
        )
        await write(engine, snapshots)
    return snapshots


def _balances(settings: Settings) -> Literal["always", "spare", "never"]:
    if not settings.snapshot.balances:
        return "never"
    return "always" if balances_are_scheduled(settings) else "spare"


class Service:
    """The tasks that record together. If one of them ends, the service ends with its error: it is never half alive."""

    def __init__(
        self,
        settings: Settings,
        accounts: Sequence[Credentials],
        engine: AsyncEngine,
        client: Client,
        learned_secret: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._engine = engine
        self._client = client
        self._metrics = Metrics()
        self._recording = Recording(engine, self._metrics)
        self._watch = Watch(
            accounts,
            client,
            self._recording,
            timeout=settings.snapshot.timeout,
            balances=_balances(settings),
            taken=self._taken,
        )
        self._listening = {
            each.account: Listening(
                each.account,
                self._recording,
                reconnected=partial(self._watch.ask_again, kind=Kind.RECONNECT),
                dated=self._metrics.dated,
            )
            for each in (accounts if settings.stream.enabled else ())
        }
        self._streams = {
            each.account: client.stream(
                each,
                deliver=self._listening[each.account].deliver,
                changed=self._listening[each.account].changed,
                learned_secret=learned_secret,
            )
            for each in (accounts if settings.stream.enabled else ())
        }
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self, stop: asyncio.Event, listener: socket.socket | None) -> None:
        """Record until *stop* is set, then finish what is in hand; raise what ended a task, if one ended."""
        every, started = self._settings.snapshot.every, datetime.now(UTC)
        due = slot_at(started, every)
        resumed = due if started - due < self._settings.snapshot.timeout else started
        self._start_tasks(started, resumed, listener)
        try:
            if resumed == started:
                self._watch.ask_all(started, Kind.START)
            after = due - every if resumed == due else due
            async with Schedule(every, after, self._watch.on_due) as schedule:
                self._start("schedule", schedule.failed())
                stopped = asyncio.create_task(stop.wait())
                await asyncio.wait({stopped, *self._tasks.values()}, return_when=asyncio.FIRST_COMPLETED)
                stopped.cancel()
            log.info("stopping: finishing what is in hand")
            await self._finish()
        finally:
            ended = [task for task in self._tasks.values() if task.done() and not task.cancelled()]
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for task in ended:
            await task

    def _start_tasks(self, started: datetime, resumed: datetime, listener: socket.socket | None) -> None:
        self._tasks |= {task.get_name(): task for task in self._client.tasks}
        self._start("recording", self._recording.run())
        self._start("housekeeping", self._keep_house(started, resumed))
        for account, stream in self._streams.items():
            self._start(f"stream of {account}", stream.run())
        if self._settings.ledger.enabled:
            self._start("ledgers", self._keep_ledgers())
        if listener:
            names = [each.account for each in self._accounts]
            vitals = Vitals(
                names,
                every=self._settings.snapshot.every,
                tasks=self._tasks,
                watch=self._watch,
                recording=self._recording,
            )
            export(self._metrics, self._client, self._recording)
            app = create_app(vitals.health, vitals.readiness, self._metrics.text)
            self._start("http", serve(app, listener))

    async def _finish(self) -> None:
        await self._watch.finish(FINISHING)
        for listening in self._listening.values():
            listening.stopped(datetime.now(UTC))
        try:
            async with asyncio.timeout(COMMITTING.total_seconds()):
                await self._recording.drained()
        except TimeoutError:
            waiting = self._recording.status.backlog_snapshots
            log.error("%d snapshots could not be committed in time; the next start writes the gap", waiting)

    def _start(self, name: str, work: Coroutine[None, None, None]) -> None:
        self._tasks[name] = asyncio.create_task(work, name=name)

    def _taken(self, snapshot: Snapshot) -> None:
        """Renew a stream that a snapshot proves dead."""
        listening = self._listening.get(snapshot.account)
        if snapshot.ok and listening and listening.is_dead(snapshot):
            self._streams[snapshot.account].renew()

    async def _keep_house(self, started: datetime, resumed: datetime) -> None:
        """Write down the time in which nobody watched, then keep partitions ahead of need."""
        while True:
            try:
                await prepare_partitions(self._engine, resumed, resumed + AHEAD)
                await self._own_up(started, resumed)
                break
            except StorageError:
                await asyncio.sleep(_TRY_AGAIN.total_seconds())
        while True:
            await asyncio.sleep(HOUSEKEEPING.total_seconds())
            try:
                now = datetime.now(UTC)
                await prepare_partitions(self._engine, now, now + AHEAD)
            except StorageError as error:
                log.warning("partitions could not be prepared, which loses nothing: %s; %s", error.what, error.why)

    async def _own_up(self, started: datetime, resumed: datetime) -> None:
        """Record as gaps the time since each account was last watched, and which slots are due from now on."""
        every = self._settings.snapshot.every
        names = [each.account for each in self._accounts]
        with storage_errors():
            async with self._engine.begin() as connection:
                watched = await last_watched(connection, names, resumed, started)
                await write_schedule(connection, names, resumed, every)
        for last in watched:
            if listening := self._listening.get(last.account):
                listening.not_covered_since(last.last_listened)
            elif last.was_listened_to:
                self._recording.record_stream_state(StreamState(last.account, "disabled", last.last_listened))
            before = last.every or every
            if slot_at(last.last_snapshot, before) + before < resumed:
                log.warning("%s was not watched from %s to %s", last.account, last.last_snapshot, resumed)
                self._recording.record_gap(
                    Gap(
                        account=last.account,
                        source=GapSource.SNAPSHOT,
                        started_at=last.last_snapshot,
                        ended_at=resumed,
                        reason=GapReason.NOT_RUNNING,
                    )
                )

    async def _keep_ledgers(self) -> None:
        """Bring the ledgers of each account up to date, again and again; an account that fails holds up no other."""
        backfill = Backfill(self._engine, self._client.rest)
        failing: set[str] = set()
        while True:
            for each in self._accounts:
                try:
                    await backfill.run(each)
                    failing.discard(each.account)
                except (ExchangeError, StorageError) as error:
                    if each.account not in failing:
                        log.warning("the ledgers of %s wait: %s; %s", each.account, error.what, error.why)
                        failing.add(each.account)
            await asyncio.sleep(self._settings.ledger.every.total_seconds())
