"""The simulated exchange in a process of its own, with accounts that trade at a rate which a benchmark sets.

An order is filled at once, so that one trade is three messages: the order's, which tells of no trade and is not
recorded, and the two events that are.
"""

import asyncio
import json
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from random import Random
from typing import Any

from recorder.simulator.exchange import Simulator
from recorder.simulator.scenario import Scenario
from recorder.simulator.settings import settings_text
from recorder.simulator.trader import Habits
from recorder.simulator.world import World
from tests.benchmarks.recorder_process import Usage

EVENTS_A_TRADE, _MESSAGES_A_TRADE = 2, 3
_NEVER = timedelta(days=3650)
_KEPT = 1_000_000
_POLL = 0.1  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How many events that are recorded are sent a second, and for how many seconds."""

    events_per_second: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An event that went onto the wire, and when; on a busy machine that is later than it happened."""

    at: datetime
    account: str
    type: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What was sent under a load.

    Attributes:
        took: Seconds from the first event to the last.
        cpu_seconds: What the exchange's process used in that time, for snapshots too.
    """

    events: list[Sent]
    took: float
    cpu_seconds: float


class _Trading:
    """All accounts in turn; each adds to one of its positions, gives back next time what it added, and goes on."""

    def __init__(self, world: World, load: Load) -> None:
        self._accounts = list(world.accounts.values())
        self._market = world.market
        self._pause = timedelta(seconds=EVENTS_A_TRADE / load.events_per_second)
        self._ends = world.now + timedelta(seconds=load.seconds)
        self._random = Random(1)  # noqa: S311 - seeded, not secret
        self._steps = [0] * len(self._accounts)
        self.trades = 0
        self.is_over = False

    def next(self, after: datetime) -> datetime:
        due = (
            after.replace(microsecond=after.microsecond // 1000 * 1000) + self._pause
        )  # the exchange's times are whole
        self.is_over = due > self._ends
        return after + _NEVER if self.is_over else due

    def act(self, now: datetime) -> None:
        turn, place = divmod(self.trades, len(self._accounts))
        self.trades += 1
        account = self._accounts[place]
        held = account.open_positions()
        position = held[turn // 2 % len(held)]
        if turn % 2 == 0:
            self._steps[place] = self._random.randint(1, 50)
        quantity = account.instrument(position.symbol).step_size * self._steps[place]
        quantity = quantity.copy_sign(position.amount if turn % 2 == 0 else -position.amount)
        price = self._market.trade_price(position.symbol, now, buy=quantity > 0)
        account.trade(position.symbol, position.position_side, [(quantity, price)], time=now)


class ExchangeProcess:
    """The benchmark's end of the line to the exchange.

    Attributes:
        settings: The parts of a recorder.toml that point at it.
    """

    def __init__(self, line: Connection) -> None:
        self._line = line
        self.settings: str = line.recv()

    async def send(self, load: Load) -> Sending:
        """Let the accounts trade, and return what was sent when it is over."""
        self._line.send(load)
        sending: Sending = await asyncio.to_thread(self._line.recv)
        return sending


@contextmanager
def exchange_process(*, accounts: int, positions: int) -> Iterator[ExchangeProcess]:
    """Run an exchange whose accounts hold *positions* each and trade under a load alone."""
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    process = context.Process(target=_main, args=(its, accounts, positions), daemon=True)
    process.start()
    its.close()  # its death is an end of the line
    try:
        yield ExchangeProcess(mine)
    finally:
        mine.close()
        process.join(5)
        process.kill()


def _main(line: Connection, accounts: int, positions: int) -> None:
    asyncio.run(_serve(line, Scenario(accounts=accounts, names=(), habits=Habits(positions=positions, pause=_NEVER))))


async def _serve(line: Connection, scenario: Scenario) -> None:
    world = scenario.world(1, datetime.now(UTC))
    async with Simulator(world, kept=_KEPT) as exchange:
        line.send(settings_text(exchange, world.accounts.values()))
        while True:
            try:
                load: Load = await asyncio.to_thread(line.recv)
            except EOFError:
                return
            line.send(await _send(exchange, load))


async def _send(exchange: Simulator, load: Load) -> Sending:
    pid = multiprocessing.current_process().pid or 0
    used = Usage.of(pid).cpu_seconds
    exchange.traffic.events.clear()
    trading = _Trading(exchange.world, load)
    exchange.world.let_trade([trading])
    await asyncio.sleep(load.seconds)
    while not trading.is_over or len(exchange.traffic.events) < _MESSAGES_A_TRADE * trading.trades:  # noqa: ASYNC110
        await asyncio.sleep(_POLL)  # a busy machine sends them later
    sent = [
        Sent(at=each.sent_at, account=each.account, type=each.type, body=json.loads(each.text))
        for each in exchange.traffic.events
    ]
    events = [each for each in sent if each.body.get("o", {}).get("x") != "NEW"]
    return Sending(
        events=events,
        took=(events[-1].at - events[0].at).total_seconds(),
        cpu_seconds=Usage.of(pid).cpu_seconds - used,
    )
