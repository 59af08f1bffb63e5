"""A recorder at work: the real service on real sockets, and what it wrote into a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.config.settings import Settings
from recorder.service import run
from recorder.simulator.exchange import Simulator
from recorder.simulator.position import Position
from recorder.simulator.settings import settings_text

PATIENCE = 60.0  # seconds; what has not come by then is not coming, on the busiest of machines

LOOKED_AT = """
    SELECT count(DISTINCT account_id) FROM recorder.snapshot
    WHERE outcome = 'ok' AND recorded_at > :begun
      AND (NOT :stream OR account_id IN (SELECT account_id FROM recorder.stream WHERE state = 'connected'
        AND since > :begun))
"""

State = tuple[Any, ...]


class RecorderAtWork:
    """Records the accounts of one simulated exchange, as often as it is started.

    What it wrote is asked for again and again until it is there: the recorder tells nobody when it has committed.
    """

    def __init__(self, exchange: Simulator, engine: AsyncEngine, database: str, folder: Path) -> None:
        exchange.meter.limit = 1_000_000  # a back-fill within the exchange's own limit takes minutes
        self.exchange = exchange
        self._engine = engine
        self._database = database
        self._folder = folder

    def settings(self, *, every: str, stream: bool = True, ledger: str | None = None) -> Settings:
        """Return the settings of a recorder that takes snapshots *every* so often, and asks for ledgers if at all."""
        ledgers = f'[ledger]\nevery = "{ledger}"\n' if ledger else "[ledger]\nenabled = false\n"
        file = self._folder / "recorder.toml"
        file.write_text(
            f'[storage]\ndata_dir = "{self._folder / "data"}"\n'
            f'[database]\nurl = "{self._database}"\n'
            f'[snapshot]\nevery = "{every}"\n'
            f"[stream]\nenabled = {str(stream).lower()}\n"
            '[http]\nlisten = ""\n'
            f"{ledgers}"
            + settings_text(self.exchange, self.exchange.world.accounts.values(), self._folder).replace(
                "[exchange]\n", "[exchange]\nweight_budget = 1000000\n"
            )
        )
        return Settings.load(file, {}, self._folder)

    @asynccontextmanager
    async def recording(
        self, *, every: str, stream: bool = True, ledger: str | None = None, leads: bool = True
    ) -> AsyncIterator[None]:
        """Record while the context is open; with a stream, from when each account's is listened to and looked at.

        One that does not lead stands by for another one that is at work already.
        """
        stop = asyncio.Event()
        begun = datetime.now(UTC)
        service = asyncio.create_task(run(self.settings(every=every, stream=stream, ledger=ledger), stop))
        try:
            if leads:
                await self._is_listening(begun, service, stream=stream)
            yield
        finally:
            stop.set()
            await service

    async def _is_listening(self, begun: datetime, service: asyncio.Task[None], *, stream: bool) -> None:
        async with asyncio.timeout(PATIENCE):
            while await self.value(LOOKED_AT, stream=stream, begun=begun) < len(self.exchange.world.accounts):
                if service.done():
                    await service
                await asyncio.sleep(0.02)

    async def rows(self, sql: str, **given: Any) -> list[tuple[Any, ...]]:
        async with self._engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(text(sql), given)]

    async def value(self, sql: str, **given: Any) -> Any:
        ((value,),) = await self.rows(sql, **given)
        return value

    async def until(self, sql: str, **given: Any) -> None:
        """Wait until *sql*, which has one value, is true."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not await self.value(sql, **given):  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"did not become true in {PATIENCE:.0f} s: {sql}") from None


def last_of_each_instant(states: Iterable[Position]) -> list[State]:
    """Symbol, side, time, amount and entry price of each state, in order; of one instant's only the last is a state."""
    last = {
        (state.symbol, state.position_side, state.update_time): (
            state.symbol,
            state.position_side,
            state.update_time,
            state.amount,
            state.entry_price,
        )
        for state in states
    }
    return sorted(last.values())
