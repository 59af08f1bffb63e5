"""Snapshots and stream together tell what happened: all of it, once, and nothing else."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from recorder.simulator.clearing.funding import Funding
from recorder.simulator.clearing.risk import deleverage, liquidate, warn
from recorder.simulator.margin import move_margin, set_leverage
from recorder.simulator.scenario import LEDGER, Scenario
from recorder.simulator.trader import Habits
from recorder.simulator.world import World
from tests.money.conftest import At
from tests.money.recorder_at_work import last_of_each_instant

BUSY = Scenario(
    accounts=4,
    names=LEDGER.names,
    habits=Habits(pause=timedelta(milliseconds=150), rest=timedelta(milliseconds=300), splits=0.2),
    isolated=LEDGER.isolated,
    bnb_fees=LEDGER.bnb_fees,
    rebated=LEDGER.rebated,
)
LIVE = 12.0  # seconds
LAGS = {"main": 0, "hedge": 3, "isolated": -3, "bnb": 40}
"""How many milliseconds later than the stream the rows date a change."""

HISTORY = """
    SELECT symbol, position_side, update_time, position_amt, entry_price
    FROM bi.position_history WHERE account = :account AND update_time > :since ORDER BY 1, 2, 3
"""
FILLS = (
    "SELECT symbol, trade_id, time, quantity, price, realized_profit, commission FROM bi.fill WHERE account = :account"
)
TOLD_BEYOND = (
    "SELECT count(DISTINCT account_id) = 4 FROM recorder.change WHERE source = 'stream' AND update_time > :until"
)
TAKEN = "SELECT count(*) FROM recorder.snapshot WHERE outcome = 'ok' AND kind = 'slot'"


@pytest.fixture
def world() -> World:
    world = BUSY.world(3, datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=10))
    for name, lag in LAGS.items():
        world.accounts[name].update_time_lag = timedelta(milliseconds=lag)
    return world


def befall(world: World, now: datetime) -> None:
    """Let happen to the accounts what they do not do by themselves: funding, margin, liquidation, deleveraging."""
    time = now.replace(microsecond=now.microsecond // 1000 * 1000)
    for account in world.accounts.values():
        funding = Funding(account, world.market, timedelta(seconds=1))
        funding.act(time)  # what is due
        funding.act(time)  # and is booked
    later = [time + timedelta(milliseconds=number) for number in range(1, 5)]
    isolated = world.accounts["isolated"]
    held = isolated.open_positions()[0]
    move_margin(isolated, (held.symbol, held.position_side), Decimal(10), time=later[0])
    for name in ("main", "isolated"):
        account = world.accounts[name]
        ruined = account.open_positions()[-1]
        warn(account, [ruined], Decimal(1), time=later[1])
        liquidate(account, world.market, ruined, time=later[2])
    hedge = world.accounts["hedge"]
    deleverage(hedge, world.market, hedge.open_positions()[0], time=later[3])
    flat = next(symbol for symbol in world.market.instruments if not hedge.position(symbol, "LONG").amount)
    set_leverage(hedge, flat, 2, time=later[3])


async def test_every_change_is_in_the_history_once_and_nothing_else(recorder_at: At, world: World) -> None:
    told: dict[str, Any] = {}
    async with recorder_at(world) as recorder:
        async with recorder.recording(every="1s"):
            since = recorder.exchange.clock.now()
            await asyncio.sleep(LIVE / 2)
            befall(world, recorder.exchange.clock.now())
            await asyncio.sleep(LIVE / 2)
            until = recorder.exchange.clock.now()
            await recorder.until(TOLD_BEYOND, until=until)  # and so all before it, since events come in their order
        for name in world.accounts:
            told[name] = {
                "history": await recorder.rows(HISTORY, account=name, since=since),
                "fills": await recorder.rows(FILLS, account=name),
            }
        slots = await recorder.value(TAKEN)
        gaps = await recorder.rows("SELECT account, reason FROM bi.gap WHERE source = 'stream' AND reason <> 'stopped'")
        reasons = {row[0] for row in await recorder.rows("SELECT reason FROM bi.position_history")}
        kept = {row[0] for row in await recorder.rows("SELECT kind FROM recorder.event")}

    assert not gaps
    assert reasons >= {"ORDER", "ADL", "FUNDING_FEE", "MARGIN_TRANSFER"}
    assert kept == {"ACCOUNT_CONFIG_UPDATE", "MARGIN_CALL"}
    assert slots > LIVE  # of four accounts; so most changes were told by both
    for name, account in world.accounts.items():
        history = last_of_each_instant(
            state for state in account.truth.states if state.update_time and since < state.update_time <= until
        )
        assert len(history) > LIVE
        begun = {
            (symbol, side): time for symbol, side, time, *_ in reversed(last_of_each_instant(account.truth.states))
        }
        recorded = [
            row for row in told[name]["history"] if row[2] <= until and not _is_listed_for_its_orders(row, begun)
        ]
        assert set(recorded) ^ set(history) == set()
        assert recorded == history
        fills = {
            (fill.symbol, fill.trade_id): (
                fill.time,
                abs(fill.quantity),
                fill.price,
                fill.realized_profit,
                -fill.commission,
            )
            for fill in account.truth.fills
            if since < fill.time <= until
        }
        assert {
            (symbol, trade): tuple(rest) for symbol, trade, *rest in told[name]["fills"] if since < rest[0] <= until
        } == fills


def _is_listed_for_its_orders(row: tuple[Any, ...], begun: dict[tuple[str, str], datetime]) -> bool:
    """Whether a snapshot saw, before anything was traded, a row that has orders and no position."""
    symbol, side, time, amount, _ = row
    return not amount and ((symbol, side) not in begun or time < begun[symbol, side])
