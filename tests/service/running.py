"""The real service, in this process or as one of its own, in front of a simulated exchange."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from recorder.config.settings import Settings
from recorder.domain.slot import slot_at
from recorder.service import run
from recorder.simulator.exchange import Simulator
from recorder.simulator.position import Position
from recorder.simulator.scenario import Scenario
from recorder.simulator.settings import settings_text
from recorder.simulator.trader import Habits
from tests.service.tables import EVERY

GRACE = 10.0  # seconds in which a service that is told to stop must be gone


@dataclass(slots=True)
class Running:
    """A service that records.

    Attributes:
        stop: Set, it tells the service to stop, as SIGTERM does.
        stopped_at: When it was told to; before that, now.
    """

    settings: Settings
    task: asyncio.Task[None]
    stop: asyncio.Event
    started_at: datetime
    _stopped_at: datetime | None = None

    @property
    def stopped_at(self) -> datetime:
        return self._stopped_at or datetime.now(UTC)

    @property
    def accounts(self) -> list[str]:
        return [account.name for account in self.settings.accounts]

    @property
    def alive(self) -> bool:
        return not self.task.done()

    async def finish(self) -> None:
        """Stop it, as SIGTERM does; it must be gone in time, and without an error."""
        self._stopped_at = self.stopped_at
        self.stop.set()
        async with asyncio.timeout(GRACE):
            await self.task


Start = Callable[..., AbstractAsyncContextManager[Running]]


def quiet(accounts: int, positions: int = 3) -> Scenario:
    """Return accounts that hold positions and do not trade but by the test's hand."""
    return Scenario(accounts=accounts, habits=Habits(positions=positions, pause=timedelta(days=3650)))


def trade(exchange: Simulator, account: str, held: Position, quantity: Decimal) -> Position:
    """Buy or sell now, on the symbol and side of *held*; return the position afterwards."""
    now = exchange.clock.now()
    holder = exchange.world.accounts[account]
    holder.fill(
        held.symbol,
        held.position_side,
        quantity,
        exchange.world.market.trade_price(held.symbol, now, buy=quantity > 0),
        time=now.replace(microsecond=now.microsecond // 1000 * 1000),
    )
    return holder.position(held.symbol, held.position_side)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """Run the service, and stop it at the end as SIGTERM does."""
    stop = asyncio.Event()
    started_at = datetime.now(UTC)
    service = Running(settings, asyncio.create_task(run(settings, stop), name="service"), stop, started_at)
    try:
        yield service
        await service.finish()
    except AssertionError:
        if service.task.done():
            await service.task  # what ended it says more
        raise
    finally:
        service.task.cancel()
        await asyncio.wait({service.task})


def write_settings(
    folder: Path,
    exchange: Simulator,
    database: str,
    *,
    every: str = "1s",
    timeout: str = "800ms",
    listen: str = "",
    weight_budget: int = 5000,
    ws_api_url: str = "",
) -> Path:
    """Write the recorder.toml of an operator who records the positions of *exchange*; return its path.

    What these tests are about is snapshots; streams, balances and ledgers have tests of their own.

    With *ws_api_url* it is asked for there.
    """
    folder.mkdir(exist_ok=True)
    file = folder / "recorder.toml"
    file.touch(mode=0o600)
    exchange_and_accounts = settings_text(exchange, exchange.world.accounts.values(), folder)
    if ws_api_url:
        exchange_and_accounts = exchange_and_accounts.replace(exchange.ws_api_url, ws_api_url)
    file.write_text(
        f'[database]\nurl = "{database}"\n[storage]\ndata_dir = "{folder / "data"}"\n[http]\nlisten = "{listen}"\n'
        f'[snapshot]\nevery = "{every}"\ntimeout = "{timeout}"\nbalances = false\n'
        "[stream]\nenabled = false\n[ledger]\nenabled = false\n"
        + exchange_and_accounts.replace("[exchange]\n", f"[exchange]\nweight_budget = {weight_budget}\n", 1),
        encoding="utf-8",
    )
    return file


def load_settings(folder: Path, exchange: Simulator, database: str, **given: Any) -> Settings:
    """Return what ``write_settings`` writes, as the service reads it."""
    return Settings.load(write_settings(folder, exchange, database, **given), {}, folder)


async def next_slot() -> datetime:
    """Sleep until the next slot has just begun, and return it."""
    slot = slot_at(datetime.now(UTC), EVERY) + EVERY
    await sleep_until(slot)
    return slot


async def sleep_until(moment: datetime) -> None:
    await asyncio.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))
