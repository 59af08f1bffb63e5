"""The proving ground: a recorder at work as an operator runs it, and everything that can be done to it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import asyncpg

from recorder.simulator.exchange import Simulator
from recorder.simulator.scenario import Scenario
from recorder.simulator.settings import settings_text
from recorder.simulator.trader import Habits
from tests.cli.command import Recorder, Running
from tests.faults.disk import Disk
from tests.faults.judge import judge
from tests.faults.server import Server
from tests.faults.verdict import Verdict
from tests.service.proxy import Proxy

NEVER = datetime.max.replace(tzinfo=UTC)
PATIENCE = 60.0  # seconds; what takes longer is not coming
NOT_YET_KEPT = timedelta(seconds=1)
"""What came in so shortly before a process died may not have been written down."""

_POLL = 0.02  # seconds
_BUSY = Habits(positions=4, pause=timedelta(milliseconds=250), rest=timedelta(milliseconds=500))
_RECORDED = """
    SELECT (SELECT count(*) FROM recorder.snapshot) + (SELECT count(*) FROM recorder.fill)
"""
_AT_WORK = """
    SELECT count(*) FROM recorder.account a
    WHERE EXISTS (SELECT FROM recorder.snapshot s
                  WHERE s.account_id = a.id AND s.outcome = 'ok' AND s.taken_at > $1)
      AND EXISTS (SELECT FROM recorder.stream s WHERE s.account_id = a.id AND s.state = 'connected')
      AND NOT EXISTS (SELECT FROM recorder.gap g WHERE g.account_id = a.id AND g.ended_at IS NULL)
"""


class Prepared(Protocol):
    """Something that the ground must be prepared for before the recorder is started."""

    @property
    def prepare(self) -> Callable[["Ground"], None]: ...


@dataclass(frozen=True, slots=True)
class Away:
    """A time in which the recorder could not see what happened."""

    since: datetime
    until: datetime


@dataclass(slots=True)
class Ground:
    """A recorder process, what it records from and into, and the ways there.

    Attributes:
        database: The way to PostgreSQL.
        exchange_way: The way to WebSocket API and streams.
        rest_way: The way to REST.
        disks: Those that fail on request, by whose they are: ``server`` or ``recorder``.
        away: When the recorder could not see: nothing else excuses a gap.
        turn: How often the fault of the moment was provoked before.
        since: Since when everything must have been recorded.
    """

    folder: Path
    exchange: Simulator
    server: Server
    database: Proxy
    exchange_way: Proxy
    rest_way: Proxy
    recorder: Recorder
    tables: asyncpg.Connection
    disks: dict[str, Disk] = field(default_factory=dict)
    away: list[Away] = field(default_factory=list)
    since: datetime = NEVER
    turn: int = 0
    process: Running | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _standing_by: tuple[Recorder, Running, AsyncExitStack] | None = None

    @property
    def running(self) -> Running:
        assert self.process is not None, "the recorder was not started"
        return self.process

    async def begin(self, faults: Iterable[Prepared] = ()) -> None:
        """Prepare for *faults*, start the recorder, and wait until it is at work."""
        for fault in faults:
            fault.prepare(self)
        if "server" in self.disks:
            await self.server.stop()
            await self.server.start()
        await self.start()
        await self.at_work()

    async def start(self, **variables: str) -> None:
        """Start the recorder."""
        await self._stack.aclose()
        if "recorder" in self.disks:
            variables |= self.disks["recorder"].variables
        started = self.recorder.started("run", "--log-level", "info", anew=False, **variables)
        self.process = await self._stack.enter_async_context(started)

    async def kill(self) -> datetime:
        """Kill the recorder, and return when."""
        at = datetime.now(UTC)
        await self.running.stop(signal.SIGKILL)
        return at

    async def stop(self) -> int:
        """Stop the recorder as an operator does, and return its exit code."""
        return (await self.running.stop(signal.SIGTERM)).code

    async def restart(self) -> None:
        stopped = datetime.now(UTC)
        assert await self.stop() == 0
        await self.start()
        await self.was_away(stopped)

    async def stand_by(self) -> None:
        """Start another recorder, as on another machine, and wait until it stands by for every account."""
        home = self.folder / ("other" if self.recorder.folder.name == "recorder" else "recorder")
        if not home.exists():
            home.mkdir(mode=0o755)
            write_settings(home, self.exchange, self.database, self.exchange_way, self.rest_way)
        stack, recorder = AsyncExitStack(), Recorder(home)
        process = await stack.enter_async_context(recorder.started("run", "--log-level", "info", anew=False))
        self._standing_by = recorder, process, stack
        for account in self.exchange.world.accounts:
            await process.says(f"another recorder watches {account}: this one stands by")

    async def swap(self) -> None:
        """Let the recorder that stood by be the one that is meant from now on, and end the other."""
        assert self._standing_by is not None, "none stands by"
        await self._stack.aclose()
        self.recorder, self.process, self._stack = self._standing_by
        self._standing_by = None

    async def close(self) -> None:
        await self._stack.aclose()
        if self._standing_by is not None:
            await self._standing_by[2].aclose()

    async def at_work(self, since: datetime | None = None) -> datetime:
        """Wait until every account is watched in both ways, and return when that was."""
        since = since or datetime.now(UTC)
        await self.until(lambda n: n == len(self.exchange.world.accounts), _AT_WORK, since)
        now = datetime.now(UTC)
        self.since = min(self.since, now)
        return now

    async def was_away(self, since: datetime) -> None:
        """Note that the recorder could not see from *since* until it is at work again, for which this waits."""
        self.away.append(Away(since - NOT_YET_KEPT, await self.at_work()))

    async def recorded(self) -> int:
        """Return how many rows there are that only grow in number."""
        return int(await self._value(_RECORDED))

    async def seconds_to_recover(self, before: int, healed: datetime) -> float:
        """Wait until more than *before* rows are recorded; return how long after *healed* that was."""
        await self.until(lambda n: n > before, _RECORDED)
        return (datetime.now(UTC) - healed).total_seconds()

    async def until(self, holds: Callable[[Any], bool], sql: str, *given: Any) -> None:
        """Wait until the value of *sql* is as *holds* wants it; the server may be away in between."""
        value = None
        try:
            async with asyncio.timeout(PATIENCE):
                while not holds(value := await self._value(sql, *given)):
                    assert not self.running.ended, f"the recorder has ended: {self.running.stderr[-2000:]}"
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise AssertionError(f"{value} after {PATIENCE:g} s: {sql}\n{self.running.stderr[-3000:]}") from None

    async def fresh(self) -> datetime:
        """Let something happen, wait until it is recorded, and return when it happened."""
        while True:
            account, now = self.exchange.world.accounts["main"], self.exchange.clock.now()
            time = now.replace(microsecond=now.microsecond // 1000 * 1000)
            account.fill("BTCUSDT", "BOTH", Decimal("0.1"), Decimal(60_000), time=time)
            fill = account.truth.fills[-1]
            known = "SELECT count(*) FROM recorder.fill WHERE symbol = $1 AND trade_id = $2"
            for _ in range(100):
                if await self._value(known, fill.symbol, fill.trade_id):
                    return fill.time
                await asyncio.sleep(_POLL)

    async def verdict(self) -> Verdict:
        """Wait until the recorder is at work, let a fresh event through, and judge everything up to it."""
        await self.at_work()
        async with asyncio.timeout(PATIENCE):
            until = await self.fresh()
        return await judge(
            self.tables,
            self.exchange,
            since=self.since,
            until=until - timedelta(milliseconds=500),
            away=[(each.since, each.until) for each in self.away],
        )

    async def _value(self, sql: str, *given: Any) -> Any:
        while True:
            try:
                if self.tables.is_closed():
                    self.tables = await asyncpg.connect(self.server.superuser, server_settings={"TimeZone": "UTC"})
                return await self.tables.fetchval(sql, *given)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                await self.tables.close(timeout=1)
                await asyncio.sleep(_POLL)


@asynccontextmanager
async def proving_ground(folder: Path, *, accounts: int = 3, seed: int = 1) -> AsyncIterator[Ground]:
    """Yield a ground on which the recorder has not been started yet."""
    server = Server(folder / "server")
    await server.create()
    world = Scenario(accounts=accounts, habits=_BUSY).world(seed, datetime.now(UTC) - timedelta(seconds=5))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(server.kill)
        exchange = await stack.enter_async_context(Simulator(world, kept=10_000_000))
        exchange.meter.limit = 1_000_000
        tables = await asyncpg.connect(server.superuser, server_settings={"TimeZone": "UTC"})
        database, ws, rest = [
            await stack.enter_async_context(Proxy(url)) for url in (server.url, exchange.ws_api_url, exchange.rest_url)
        ]
        home = folder / "recorder"
        home.mkdir(mode=0o755)
        write_settings(home, exchange, database, ws, rest)
        ground = Ground(folder, exchange, server, database, ws, rest, recorder=Recorder(home), tables=tables)
        stack.push_async_callback(ground.close)
        yield ground
        await ground.tables.close(timeout=1)


def write_settings(home: Path, exchange: Simulator, database: Proxy, ws: Proxy, rest: Proxy) -> None:
    """Write a recorder.toml that goes the given ways."""
    accounts = settings_text(exchange, exchange.world.accounts.values(), home)
    accounts = (
        accounts.replace(exchange.ws_api_url, ws.url)
        .replace(exchange.stream_url, ws.url.removesuffix("/ws-fapi/v1"))
        .replace(exchange.rest_url, rest.url)
        .replace("[exchange]\n", "[exchange]\nweight_budget = 1000000\n")
    )
    file = home / "recorder.toml"
    file.touch(mode=0o600)
    file.write_text(
        f'[database]\nurl = "{database.url}"\n[snapshot]\nevery = "1s"\ntimeout = "900ms"\nbalances = false\n'
        f'[http]\nlisten = ""\n[ledger]\nenabled = false\n{accounts}'
    )
