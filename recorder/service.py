"""The service: every account at every slot and in between, until it is told to stop."""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.access import MEASURING, balances_wanted, credentials, database_url, know_the_time, open_client
from recorder.binance.client import Client
from recorder.binance.signing import Credentials
from recorder.config.settings import Settings
from recorder.domain.gap import GapReason
from recorder.domain.slot import slot_at
from recorder.domain.snapshot import Kind, Snapshot
from recorder.exceptions import SchemaMismatch, StorageUnavailable
from recorder.housekeeping import PARTITIONS, PAST_GAPS, Housekeeping, Months
from recorder.metrics import Metrics
from recorder.postgres.database import open_database, require_same_schema, require_schema
from recorder.postgres.embedded.server import prepare_data_dir
from recorder.postgres.leadership import Leadership
from recorder.process.clock import Clock
from recorder.process.pulse import Pulse
from recorder.process.supervision import Supervision
from recorder.process.systemd import Systemd
from recorder.process.upkeep import Upkeep
from recorder.recording import Recording
from recorder.schedule import Schedule
from recorder.spool.log import Log
from recorder.spool.opening import open_spool
from recorder.vitals import Vitals, export
from recorder.watching.backfill import Backfill
from recorder.watching.bookkeeping import Bookkeeping
from recorder.watching.duty import Duty, Tools
from recorder.watching.watch import Watch
from recorder.web.app import create_app
from recorder.web.server import listen, serve

FINISHING = timedelta(seconds=5)
"""How long a stop waits for answers that are on their way; then, for as long as ``COMMITTING``, for the commit."""
COMMITTING = timedelta(seconds=2)

log = logging.getLogger(__name__)


async def run(
    settings: Settings,
    stop: asyncio.Event,
    learned_secret: Callable[[str], None] = lambda _: None,
    *,
    systemd: Systemd | None = None,
    require_database: bool = False,
) -> None:
    """Record every configured account until *stop* is set; then finish what is in hand and leave within 10 s.

    Raises ``ConfigurationError``, ``SchemaMismatch`` or ``SpoolError`` before anything is recorded. That the database
    or the exchange is away is no reason not to start, but with *require_database* ``StorageUnavailable`` is raised
    then. *learned_secret* is told what no output may hold from then on, and *systemd* how the service does.
    """
    accounts = credentials(settings)
    for warning in settings.warnings():
        log.warning("%s", warning)
    if settings.database_url is None:
        prepare_data_dir(settings.data_dir.resolve())
    async with AsyncExitStack() as stack:
        spool = stack.enter_context(
            open_spool(
                settings.data_dir, limit=settings.storage.spool_limit, replay_window=settings.storage.replay_window
            )
        )
        listener = stack.enter_context(closing(listen(*settings.http.address))) if settings.http.address else None
        engine = await stack.enter_async_context(
            open_database(database_url(settings, learned_secret), settings.data_dir)
        )
        try:
            await require_schema(engine)
            await _tell_of_changes(engine)
        except StorageUnavailable as error:
            if require_database:
                raise
            log.error("%s: %s; until it is there, recording goes on into the spool", error.what, error.why)
        clock, metrics = Clock(), Metrics()
        supervision = await stack.enter_async_context(Supervision(metrics.restarted))
        client = await stack.enter_async_context(open_client(settings, clock.measured, supervision))
        log.info("recording %d account(s) every %g s", len(accounts), settings.snapshot.every.total_seconds())
        service = Service(
            settings,
            accounts,
            engine,
            client,
            clock,
            spool=spool,
            supervision=supervision,
            metrics=metrics,
            learned_secret=learned_secret,
        )
        await service.run(stop, listener, systemd or Systemd())


async def _tell_of_changes(engine: AsyncEngine) -> None:
    """Say it when somebody changed the schema: it is recorded all the same, as far as PostgreSQL takes it."""
    try:
        await require_same_schema(engine)
    except SchemaMismatch as error:
        log.error("%s: %s; %s", error.what, error.why, error.fix)


class Service:
    """The works that record together, each of them restarted by the supervision if it breaks."""

    def __init__(
        self,
        settings: Settings,
        accounts: Sequence[Credentials],
        engine: AsyncEngine,
        client: Client,
        clock: Clock,
        *,
        spool: Log,
        supervision: Supervision,
        metrics: Metrics,
        learned_secret: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._accounts = {each.account: each for each in accounts}
        self._engine = engine
        self._client = client
        self._supervision = supervision
        self._metrics = metrics
        self._clock = clock
        self._recording = Recording(
            engine,
            metrics,
            spool,
            accounts=list(self._accounts),
            every=settings.snapshot.every,
            stream=settings.stream.enabled,
            clock=clock.now,
        )
        self._leadership = Leadership(engine, self._accounts, changed=self._turn, fit=lambda: supervision.well)
        self._watch = Watch(
            accounts,
            client,
            self._recording,
            timeout=settings.snapshot.timeout,
            balances=balances_wanted(settings),
            taken=self._taken,
            settled=self._leadership.settled,
            clock=clock.now,
        )
        self._pulse = Pulse(self._awoke, clock.now)
        self._tools = Tools(
            client=client,
            recording=self._recording,
            watch=self._watch,
            supervision=supervision,
            metrics=metrics,
            learned_secret=learned_secret,
            every=settings.snapshot.every,
            stream=settings.stream.enabled,
            clock=clock.now,
        )
        self._duties: dict[str, Duty] = {}
        self._stood_by: set[str] = set()
        self._bookkeeping = Bookkeeping(
            Backfill(engine, client.rest, metrics=metrics), self._accounts, self._duties, every=settings.ledger.every
        )
        self._upkeep = Upkeep((PAST_GAPS, PARTITIONS), metrics.upkeep)
        self._housekeeping = Housekeeping(
            engine, self._recording, self._duties, every=settings.snapshot.every, upkeep=self._upkeep
        )
        self._months = Months(engine, upkeep=self._upkeep, clock=clock.now)
        self._handed = clock.now()
        self._systemd = Systemd()

    async def run(self, stop: asyncio.Event, listener: socket.socket | None, systemd: Systemd) -> None:
        """Record until *stop* is set, then finish what is in hand; raise a ``ConfigurationError`` that a work met."""
        self._systemd = systemd
        every = self._settings.snapshot.every
        ending = {asyncio.create_task(stop.wait()), asyncio.create_task(self._supervision.failed())}
        try:
            # What the last process left is committed while the exchange's clock is measured.
            self._supervision.start("recording", self._recording.run)
            await know_the_time(self._client, min(MEASURING, every / 2))
            self._handed = slot_at(self._clock.now(), every)
            self._start_works(listener)
            await self._leadership.settled()
            systemd.ready(self._role())
            done, _ = await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task
            log.info("stopping: finishing what is in hand")
            systemd.stopping()
            await self._finish()
        finally:
            for task in ending:
                task.cancel()
            await self._supervision.stop()
            await self._recording.close()

    def _start_works(self, listener: socket.socket | None) -> None:
        start = self._supervision.start
        start("schedule", self._keep_schedule)
        start("leadership", self._leadership.run)
        start("housekeeping", self._housekeeping.run)
        start("partitions", self._months.run)
        start("pulse", self._pulse.run)
        if self._settings.ledger.enabled:
            start("ledgers", self._bookkeeping.run)
        if self._systemd.watchdog:
            start("watchdog", partial(self._systemd.feed_watchdog, lambda: self._supervision.well))
        if listener:
            vitals = Vitals(
                list(self._accounts),
                every=self._settings.snapshot.every,
                supervision=self._supervision,
                leadership=self._leadership,
                watch=self._watch,
                recording=self._recording,
                upkeep=self._upkeep,
                duties=self._duties,
                clock=self._clock.now,
            )
            export(
                self._metrics,
                self._client,
                self._recording,
                leadership=self._leadership,
                pulse=self._pulse,
                duties=self._duties,
                clock=self._clock.now,
            )
            app = create_app(vitals.health, vitals.readiness, self._metrics.text)
            start("http", partial(serve, app, listener))

    async def _keep_schedule(self) -> None:
        async with Schedule(self._settings.snapshot.every, self._handed, self._on_due, self._clock.now) as schedule:
            await schedule.failed()

    def _on_due(self, slots: Sequence[datetime]) -> None:
        self._watch.on_due(slots)
        self._handed = slots[-1]  # a slot that could not be handed over is due again when the schedule is restarted

    def _turn(self, begun: Sequence[str], left: Sequence[str]) -> None:
        """Watch the accounts that are this recorder's now, at once, and leave those alone that are another's."""
        for account in left:
            log.warning("another recorder watches %s: this one stands by", account)
            self._stood_by.add(account)
            self._watch.end(account)
            if duty := self._duties.pop(account, None):
                duty.end()
        now = self._clock.now()
        due = slot_at(now, self._settings.snapshot.every)
        in_time = now - due < self._settings.snapshot.timeout
        since, kind = (due, Kind.SLOT) if in_time else (now, Kind.START)
        for account in begun:
            reason = GapReason.NOT_RUNNING
            if account in self._stood_by:
                log.warning("no other recorder watches %s any more: this one does", account)
                reason = GapReason.TOOK_OVER
            self._duties[account] = Duty(self._accounts[account], self._tools, since=since, reason=reason)
        self._watch.begin(begun, since, kind)
        self._housekeeping.begun(begun)
        if begun:
            self._bookkeeping.begun()
        for account in self._accounts:
            self._metrics.leads(account, account in self._duties)
        self._systemd.status(self._role())

    def _role(self) -> str:
        waiting = len(self._accounts) - len(self._duties)
        return f"watching {len(self._duties)} account(s)" + (f", standing by for {waiting}" if waiting else "")

    def _taken(self, snapshot: Snapshot) -> None:
        if duty := self._duties.get(snapshot.account):
            duty.taken(snapshot)

    async def _awoke(self, asleep_since: datetime) -> None:
        """Trust no connection after a standstill, and look at once at every account that is still this recorder's."""
        self._client.reconnect()
        await self._leadership.settled()
        for duty in self._duties.values():
            duty.awoke(asleep_since)
        self._watch.ask_all_again(Kind.RECONNECT)

    async def _finish(self) -> None:
        await self._supervision.stop("schedule")
        await self._watch.finish(FINISHING)
        for duty in self._duties.values():
            duty.stop()
        try:
            async with asyncio.timeout(COMMITTING.total_seconds()):
                await self._recording.durable()
                await self._recording.drained()
        except TimeoutError:
            backlog = self._recording.status.backlog
            log.warning("%d records wait in the spool for the next start", backlog.records - backlog.unspooled)
            if backlog.unspooled:
                log.error("%d could not even be spooled: the next start writes the gap", backlog.unspooled)
        await self._supervision.stop("leadership")  # only now may another recorder begin
