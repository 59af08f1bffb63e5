"""The service: every account at every slot, until it is told to stop."""

import asyncio
import logging
import socket
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.binance.client import Client
from recorder.binance.pause import PauseFile
from recorder.binance.signing import Credentials, Signer, hmac_signer, private_key_signer
from recorder.binance.weight import WeightBudget
from recorder.config.sections import AccountSettings
from recorder.config.settings import Settings
from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.domain.slot import slot_at
from recorder.domain.snapshot import Kind, Snapshot
from recorder.exceptions import ConfigurationError, StorageError, StorageUnavailable
from recorder.metrics import Metrics
from recorder.postgres.database import open_database, require_schema
from recorder.postgres.engine import storage_errors
from recorder.postgres.gaps import last_snapshots
from recorder.postgres.samples import prepare_partitions
from recorder.recording import Recording, take_snapshot, write
from recorder.schedule import Schedule
from recorder.watch import Watch
from recorder.web.app import Report, create_app
from recorder.web.server import listen, serve

FINISHING = timedelta(seconds=5)
"""How long a stop waits for answers that are on their way; then, for as long as ``COMMITTING``, for the commit."""
COMMITTING = timedelta(seconds=2)

HOUSEKEEPING = timedelta(hours=6)
AHEAD = timedelta(days=62)
"""Partitions are made this far ahead of need."""

_TRY_AGAIN = timedelta(seconds=1)

log = logging.getLogger(__name__)


def credentials(settings: Settings) -> list[Credentials]:
    """Return what it takes to ask for each account. Raises ``ConfigurationError`` for a key that cannot be used."""
    return [
        Credentials(account=each.name, api_key=each.api_key.reveal(), signer=_signer(each))
        for each in settings.accounts
    ]


def _signer(account: AccountSettings) -> Signer:
    if account.private_key is not None:
        return private_key_signer(account.private_key.reveal(), account=account.name)
    if account.api_secret is not None:
        return hmac_signer(account.api_secret.reveal(), account=account.name)
    raise ConfigurationError(
        f"account {account.name} has nothing to sign with", fix="set its api_secret or its private_key"
    )


def database_url(settings: Settings) -> str | None:
    """Return where to record, ``None`` for the embedded database."""
    return settings.database.url.reveal() if settings.database.url else None


def open_client(settings: Settings) -> Client:
    """Return the client of the configured exchange, which also heeds a pause imposed before a restart."""
    return Client(
        settings.exchange.ws_api_url,
        WeightBudget(settings.exchange.weight_budget),
        pause_file=PauseFile(settings.data_dir / "pause.json"),
    )


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Record every configured account until *stop* is set; then finish what is in hand and leave within 10 s.

    Raises ``ConfigurationError`` or ``SchemaMismatch`` before anything is recorded. That the database or the
    exchange is away is no reason not to start.
    """
    accounts = credentials(settings)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(closing(listen(*settings.http.address))) if settings.http.address else None
        engine = await stack.enter_async_context(open_database(database_url(settings), settings.data_dir))
        try:
            await require_schema(engine)
        except StorageUnavailable as error:
            log.error("%s: %s; until it is there, recording goes on in memory", error.what, error.why)
        client = await stack.enter_async_context(open_client(settings))
        log.info("recording %d account(s) every %g s", len(accounts), settings.snapshot.every.total_seconds())
        service = Service(accounts, engine, client, every=settings.snapshot.every, timeout=settings.snapshot.timeout)
        await service.run(stop, listener)


async def snapshot_once(settings: Settings, account: str | None) -> list[Snapshot]:
    """Take one snapshot of *account*, or of each account, commit it, and return what came of it."""
    chosen = [each for each in credentials(settings) if account in (None, each.account)]
    async with open_database(database_url(settings), settings.data_dir) as engine, open_client(settings) as client:
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


class Service:
    """The tasks that record together. If one of them ends, the service ends with its error: it is never half alive."""

    def __init__(
        self,
        accounts: Sequence[Credentials],
        engine: AsyncEngine,
        client: Client,
        *,
        every: timedelta,
        timeout: timedelta,
    ) -> None:
        self._names = [each.account for each in accounts]
        self._engine = engine
        self._client = client
        self._every = every
        self._timeout = timeout
        self._metrics = Metrics()
        self._recording = Recording(engine, self._metrics)
        self._watch = Watch(accounts, client, self._recording, timeout=timeout)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self, stop: asyncio.Event, listener: socket.socket | None) -> None:
        """Record until *stop* is set, then finish what is in hand; raise what ended a task, if one ended."""
        started = datetime.now(UTC)
        due = slot_at(started, self._every)
        resumed = due if started - due < self._timeout else started
        self._metrics_of_the_whole()
        self._start("recording", self._recording.run())
        self._tasks |= {task.get_name(): task for task in self._client.tasks}
        self._start("housekeeping", self._keep_house(resumed))
        if listener:
            app = create_app(self._health, self._readiness, self._metrics.text)
            self._start("http", serve(app, listener))
        try:
            if resumed == started:
                self._watch.ask_all(started, Kind.START)
            async with Schedule(
                self._every, due - self._every if resumed == due else due, self._watch.on_due
            ) as schedule:
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

    async def _finish(self) -> None:
        await self._watch.finish(FINISHING)
        try:
            async with asyncio.timeout(COMMITTING.total_seconds()):
                await self._recording.drained()
        except TimeoutError:
            waiting = self._recording.status.backlog_snapshots
            log.error("%d snapshots could not be committed in time; the next start writes the gap", waiting)

    def _start(self, name: str, work: Coroutine[None, None, None]) -> None:
        self._tasks[name] = asyncio.create_task(work, name=name)

    async def _keep_house(self, resumed: datetime) -> None:
        """Write down the time in which nobody watched, then keep partitions ahead of need."""
        while True:
            try:
                await prepare_partitions(self._engine, resumed, resumed + AHEAD)
                for gap in await self._gaps_before(resumed):
                    log.warning("%s was not watched from %s to %s", gap.account, gap.started_at, gap.ended_at)
                    self._recording.record_gap(gap)
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

    async def _gaps_before(self, resumed: datetime) -> list[Gap]:
        """The slots that passed since the last one recorded, when there are any: nobody was there."""
        with storage_errors():
            async with self._engine.connect() as connection:
                last = await last_snapshots(connection, self._names, resumed)
        return [
            Gap(
                account=account,
                source=GapSource.SNAPSHOT,
                started_at=time,
                ended_at=resumed,
                reason=GapReason.NOT_RUNNING,
            )
            for account, time in last.items()
            if slot_at(time, self._every) + self._every < resumed
        ]

    def _health(self) -> Report:
        ended = {name: "ended" for name, task in self._tasks.items() if task.done()}
        return Report(not ended, ended or dict.fromkeys(self._tasks, "running"))

    def _readiness(self) -> Report:
        """Whether data flows: every account's newest committed ok snapshot is younger than two slots."""
        status, now = self._recording.status, datetime.now(UTC)
        reasons = {}
        for account in self._names:
            newest = status.committed_ok.get(account)
            if newest is None or now - newest > 2 * self._every:
                age = "none yet" if newest is None else f"{(now - newest).total_seconds():.0f} s old"
                failing = self._watch.failing.get(account)
                reasons[account] = f"newest snapshot: {age}" + (f"; {failing}" if failing else "")
        if reasons and status.error:
            reasons["database"] = status.error
        return Report(not reasons, reasons)

    def _metrics_of_the_whole(self) -> None:
        client, recording, watch = self._client, self._recording, self._metrics.watch
        watch("backlog_rows", "Rows that wait in memory for PostgreSQL.", lambda: recording.status.backlog_rows)
        watch("database_up", "1 while PostgreSQL takes what it is given.", lambda: not recording.status.failing_since)
        watch("exchange_connected", "1 while connected to the exchange.", lambda: client.status().connected)
        watch("exchange_connections", "Connections opened so far.", lambda: client.status().connections_total)
        watch("weight_used", "Request weight used in this minute.", lambda: client.status().weight_used)
        watch("weight_budget", "Request weight a minute that may be used.", lambda: client.status().weight_budget)
        watch(
            "clock_offset_seconds",
            "Exchange clock minus own clock.",
            lambda: offset.total_seconds() if (offset := client.status().clock_offset) else 0,
        )
        watch(
            "paused_until_timestamp_seconds",
            "Until when the exchange wants to be left alone; 0: it does not.",
            lambda: until.timestamp() if (until := client.status().paused_until) else 0,
        )
