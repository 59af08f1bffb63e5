"""Whatever the stream lost, and however long it was down, the tables tell what happened once back-fill has run."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import time_machine
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.postgres.accounts import account_ids
from recorder.postgres.ledgers import Interval, Ledger, mark_complete
from recorder.simulator.account import Account
from recorder.simulator.knobs import Repeated, Silence, Swapped
from recorder.simulator.scenario import LEDGER, Scenario
from recorder.simulator.trader import Habits, Trader
from recorder.simulator.world import World
from tests.money.conftest import At
from tests.money.recorder_at_work import RecorderAtWork, last_of_each_instant
from tests.money.test_backfill_after_losses import FILLS, INCOME, fills_of, income_of

NEVER = datetime(2200, 1, 1, tzinfo=UTC)
OUTAGE = timedelta(hours=1)
LIVE = 4.0  # seconds
SETTLING = timedelta(minutes=3)  # the ledgers are complete up to a minute ago

HISTORY = """
    SELECT symbol, position_side, update_time, position_amt, entry_price, source FROM bi.position_history
    WHERE account = :account ORDER BY symbol, position_side, update_time
"""
BEGAN = "SELECT min(taken_at) FROM bi.snapshot WHERE account = :account AND outcome = 'ok'"
REPAIRED = """
    SELECT count(*) > 0 AND bool_and(repaired_by IS NOT NULL) FROM bi.gap WHERE ended_at < :before OR ended_at IS NULL
"""
WALLETS = """
    SELECT DISTINCT ON (asset) asset, wallet_balance FROM bi.account_equity
    WHERE account = :account AND wallet_balance IS NOT NULL ORDER BY asset, time DESC
"""

State = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Spell:
    """Somebody who acts until a moment, and never again."""

    trader: Trader
    until: datetime

    def next(self, after: datetime) -> datetime:
        following = self.trader.next(after - timedelta(microseconds=after.microsecond % 1000))
        return following if following < self.until else NEVER

    def act(self, now: datetime) -> None:
        self.trader.act(now)


def traders(world: World, pause: timedelta, until: datetime) -> list[Spell]:
    habits = Habits(pause=pause, rest=pause * 2, splits=0.3)
    return [
        Spell(Trader(account, world.market, habits, f"{account.name} {until}"), until)
        for account in world.accounts.values()
    ]


def quiet(now: datetime) -> World:
    """Accounts of every kind that hold positions; only what befalls them happens by itself."""
    scenario = Scenario(
        accounts=4,
        names=LEDGER.names,
        habits=Habits(pause=timedelta(days=36_500)),
        funding=True,
        risk=True,
        margin_moves=True,
        isolated=LEDGER.isolated,
        bnb_fees=LEDGER.bnb_fees,
        rebated=LEDGER.rebated,
    )
    return scenario.world(11, now.replace(microsecond=0) - timedelta(seconds=10))


def changes(states: Sequence[State]) -> list[State]:
    """The states that are not like the one before them; an entry price that is not known is like any other."""
    told: list[State] = []
    for _, each in groupby(states, key=lambda state: state[:2]):
        amount, entry = None, None
        for state in each:
            if state[3] != amount or (state[3] and None not in {entry, state[4]} and state[4] != entry):
                told.append(state)
            amount, entry = state[3], state[4]
    return told


async def have_ledgers(engine: AsyncEngine, world: World) -> None:
    """Let the ledgers be complete until now, as if a recorder had been at work for months."""
    complete = Interval(world.now - timedelta(days=100), world.now)
    async with engine.begin() as connection:
        for account_id in (await account_ids(connection, world.accounts)).values():
            for ledger in (Ledger("income"), *(Ledger("fill", symbol) for symbol in world.market.instruments)):
                await mark_complete(connection, account_id, ledger, complete)


async def require_ledgers(recorder: RecorderAtWork, account: Account, since: datetime, until: datetime) -> None:
    """Require that every fill and every line of income is there once, as it was."""
    fills = await recorder.rows(FILLS + " AND time > :since", account=account.name, until=until, since=since)
    income = await recorder.rows(INCOME + " AND time > :since", account=account.name, until=until, since=since)
    assert sorted(fills) == sorted(fill for fill in fills_of(account, until) if fill[3] > since)
    assert sorted(income, key=str) == sorted((line for line in income_of(account, until) if line[0] > since), key=str)


async def require_history(recorder: RecorderAtWork, account: Account, until: datetime) -> list[str]:
    """Require that the history is the truth, and return who told of each state."""
    began = await recorder.value(BEGAN, account=account.name)
    truth = changes(last_of_each_instant(state for state in account.truth.states if state.update_time))
    recorded = changes(await recorder.rows(HISTORY, account=account.name))
    expected = {state[:3]: state for state in truth if began < state[2] <= until}
    found = {state[:3]: state for state in recorded if began < state[2] <= until}
    assert found.keys() ^ expected.keys() == set()
    for key, state in expected.items():
        amount, entry, source = found[key][3:]
        assert amount == state[3], key
        assert entry == state[4] or (entry is None and source == "ledger"), key
    return [state[5] for state in found.values()]


@pytest.mark.parametrize("recorders", [1, 2])
async def test_a_lossy_stream_and_an_hour_without_one_leave_the_tables_of_a_perfect_one(
    recorder_at: At, engine: AsyncEngine, database: str, tmp_path: Path, recorders: int
) -> None:
    with time_machine.travel(datetime.now(UTC) - OUTAGE - 2 * SETTLING, tick=True) as clock:
        world = quiet(datetime.now(UTC))
        async with recorder_at(world) as recorder:
            began = world.now
            await have_ledgers(engine, world)
            exchange = recorder.exchange
            exchange.knobs.on_event(Silence(), times=None, chance=0.2)
            exchange.knobs.on_event(Repeated(), times=None, chance=0.125)  # of the other 80 %: 10 % of all
            exchange.knobs.on_event(Swapped(), times=None, chance=0.1)
            others = []
            for number in range(1, recorders):
                folder = tmp_path / str(number)
                folder.mkdir()
                others.append(RecorderAtWork(exchange, engine, database, folder))

            async def record(seconds: float) -> None:
                async with AsyncExitStack() as stack:
                    for each in (recorder, *others):
                        await stack.enter_async_context(each.recording(every="1s", ledger="2s"))
                    now = exchange.clock.now()
                    world.let_trade(traders(world, timedelta(seconds=0.2), now + timedelta(seconds=seconds - 1)))
                    await asyncio.sleep(seconds)

            await record(LIVE)
            world.let_trade(traders(world, timedelta(seconds=12), exchange.clock.now() + OUTAGE))
            clock.shift(OUTAGE)
            await record(LIVE)
            until = exchange.clock.now()
            clock.shift(SETTLING)
            async with recorder.recording(every="1s", ledger="1s"):
                await recorder.until(REPAIRED, before=until)

            sources: list[str] = []
            for account in world.accounts.values():
                await require_ledgers(recorder, account, began, until)
                sources += await require_history(recorder, account, until)
                wallets = dict(await recorder.rows(WALLETS, account=account.name))
                assert wallets == {asset: wallet for asset, wallet in account.wallets.items() if wallet}
    assert sources.count("ledger") > 500
    assert sources.count("stream") > 50
