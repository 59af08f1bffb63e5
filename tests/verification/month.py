"""Some simulated days as a recorder would have left them: snapshots with balances every hour, stream, ledgers, gaps."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.binance.balances import decode_balances
from recorder.binance.ledger import decode_fills, decode_income
from recorder.binance.messages import decode_positions
from recorder.domain.snapshot import Kind, Outcome, Snapshot
from recorder.domain.stream import StreamState
from recorder.postgres.accounts import account_ids
from recorder.postgres.ledgers import Interval, Ledger, mark_complete, traded_symbols, write_fills, write_income
from recorder.postgres.partitions import prepare_partitions
from recorder.postgres.schedules import write_schedule
from recorder.recording import write
from recorder.simulator.scenario import LEDGER
from recorder.simulator.world import World

START = datetime(2026, 3, 30, tzinfo=UTC)
"""Two days before the end of a month."""

EVERY = timedelta(minutes=30)
AFTERWARDS = timedelta(seconds=10)
"""Snapshots are taken so long after their slot: the funding of a full hour is booked by then, with the hour's time."""


FAILED_AFTER = timedelta(hours=30)
"""Into the record, one snapshot of "main" failed."""


def _failed(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, outcome=Outcome.TIMEOUT, positions=(), balances=(), balance_outcome=None)


def taken(world: World, slot: datetime) -> Iterator[Snapshot]:
    """The snapshot of every account at *slot*, from the very frames that the exchange would have sent."""
    for name, account in world.accounts.items():
        positions = json.loads(world.answer_positions(account, 1))["result"]
        balances = json.loads(world.answer_balance(account, 1))["result"]
        yield Snapshot(
            account=name,
            time=slot,
            kind=Kind.SLOT,
            taken_at=world.now,
            duration=timedelta(milliseconds=100),
            clock_offset=timedelta(0),
            positions=decode_positions(json.dumps(positions)),
            balance_outcome=Outcome.OK,
            balances=decode_balances(json.dumps(balances)),
        )


async def record(engine: AsyncEngine, *, days: int, start: datetime = START, every: timedelta = EVERY) -> World:
    """Record the world in which everything happens that can be in the books; return it."""
    world = LEDGER.world(seed=1, start=start)
    until = start + timedelta(days=days)
    await prepare_partitions(engine, start, until)
    await prepare_partitions(engine, datetime.now(UTC), datetime.now(UTC) + timedelta(days=31))
    async with engine.begin() as connection:
        await write_schedule(connection, list(world.accounts), start, every)
    slot = start
    while slot <= until:
        world.advance(slot + AFTERWARDS)
        await write(
            engine,
            [
                _failed(each) if slot == start + FAILED_AFTER and each.account == "main" else each
                for each in taken(world, slot)
            ],
        )
        slot += every
    await write(engine, [StreamState(name, "connected", start) for name in world.accounts])
    complete = Interval(start - timedelta(hours=1), world.now + timedelta(hours=1))
    for account in world.accounts.values():
        async with engine.begin() as connection:
            number = (await account_ids(connection, [account.name]))[account.name]
            await write_fills(
                connection, number, decode_fills(world.answer_trades(account).encode()), told_at=world.now
            )
            await write_income(
                connection, number, decode_income(world.answer_income(account).encode()), told_at=world.now
            )
            for ledger in (
                Ledger("income"),
                *(Ledger("fill", symbol) for symbol in await traded_symbols(connection, number)),
            ):
                await mark_complete(connection, number, ledger, complete)
    return world
