from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from recorder.simulator.account import Account
from recorder.simulator.market import Market
from recorder.simulator.scenario import Scenario
from recorder.simulator.trader import Habits, Trader
from recorder.simulator.world import World

START = datetime(2026, 3, 1, tzinfo=UTC)
BUSY = Habits(positions=8, pause=timedelta(seconds=20), rest=timedelta(minutes=1))


def traded(hours: int = 12, habits: Habits = BUSY) -> World:
    world = Scenario(accounts=2, habits=habits).world(seed=3, start=START)
    world.advance(START + timedelta(hours=hours))
    return world


@pytest.fixture(scope="module")
def world() -> World:
    return traded()


@pytest.fixture(params=["main", "hedge"])
def account(request: pytest.FixtureRequest, world: World) -> Account:
    return world.accounts[request.param]


def test_equal_seeds_trade_alike(account: Account) -> None:
    again = traded().accounts[account.name]
    assert again.truth.fills == account.truth.fills
    assert again.wallets == account.wallets


def test_fills_come_in_the_order_of_time_in_whole_milliseconds(account: Account) -> None:
    times = [fill.time for fill in account.truth.fills]
    assert len(times) > 1000
    assert times == sorted(times)
    assert all(time.microsecond % 1000 == 0 for time in times)


def test_an_account_opens_adds_reduces_flips_and_closes(account: Account) -> None:
    amounts: dict[tuple[str, str], list[int]] = {}
    kinds = set()
    for state in account.truth.states:
        history = amounts.setdefault((state.symbol, state.position_side), [0])
        history.append(int(state.amount * 1000))
        before, after = history[-2:]
        if not before:
            kinds.add("open")
        elif not after:
            kinds.add("close")
        elif before * after < 0:
            kinds.add("flip")
        else:
            kinds.add("add" if abs(after) > abs(before) else "reduce")
    expected = {"open", "close", "add", "reduce"}
    assert kinds == (expected if account.hedge else expected | {"flip"})


def test_both_kinds_of_fee_are_paid(account: Account) -> None:
    assert {fill.maker for fill in account.truth.fills} == {True, False}


def test_an_account_holds_about_as_many_positions_as_it_likes() -> None:
    world = Scenario(accounts=2, habits=BUSY).world(seed=4, start=START)
    counts = []
    for minute in range(600):
        world.advance(START + timedelta(minutes=minute))
        counts += [len(account.open_positions()) for account in world.accounts.values()]
    assert counts.count(8) > len(counts) / 2
    assert min(counts) >= 5
    assert max(counts) <= 10


def test_positions_are_held_already_at_the_start_some_for_weeks() -> None:
    world = Scenario(accounts=1, habits=Habits(positions=20)).world(seed=4, start=START)
    times = [position.update_time for position in world.accounts["main"].open_positions()]
    assert len(times) == 20
    assert all(time is not None and time < START for time in times)
    assert any(time is not None and time < START - timedelta(days=14) for time in times)


def test_whoever_looks_more_often_than_the_rest_sees_every_close(account: Account) -> None:
    assert len(account.truth.closes) > 50
    histories: dict[tuple[str, str], list[tuple[datetime, bool]]] = {}
    for state in account.truth.states:
        assert state.update_time is not None
        history = histories.setdefault((state.symbol, state.position_side), [])
        if not history or history[-1][1] != bool(state.amount):
            history.append((state.update_time, bool(state.amount)))
    for history in histories.values():
        for (earlier, _), (later, _) in pairwise(history):
            assert later - earlier >= BUSY.rest


def test_rows_with_amount_0_appear_and_vanish() -> None:
    world = Scenario(accounts=1, habits=BUSY).world(seed=3, start=START)
    seen = []
    for minute in range(0, 720, 5):
        world.advance(START + timedelta(minutes=minute))
        rows = list(world.accounts["main"].rows())
        seen.append(any(not position.amount for position, _ in rows))
        assert all(position.amount or orders for position, orders in rows)
    assert {True, False} <= set(seen)


def test_the_wallet_is_what_the_fills_made_of_it(account: Account) -> None:
    for asset in ("USDT", "USDC"):
        fills = [fill for fill in account.truth.fills if fill.margin_asset == asset]
        earned = sum(fill.realized_profit - fill.commission for fill in fills)
        assert account.wallets[asset] == Scenario().wallet + earned


def test_a_market_too_small_for_the_habits_is_an_error() -> None:
    account = traded(0).accounts["main"]
    habits = Habits(positions=len(Market(3).instruments) + 1)
    with pytest.raises(ValueError, match="cannot hold 25 positions"):
        Trader(account, Market(3), habits, "seed").settle_in(START - timedelta(days=100))


def test_habits_can_split_orders_into_several_trades() -> None:
    world = traded(6, Habits(positions=8, pause=timedelta(seconds=20), splits=0.5))
    for account in world.accounts.values():
        orders = Counter(fill.order_id for fill in account.truth.fills)
        assert max(orders.values()) == 3
        assert any(fill.maker for fill in account.truth.fills if orders[fill.order_id] > 1)
        steps = {symbol: instrument.step_size for symbol, instrument in world.market.instruments.items()}
        assert all(fill.quantity % steps[fill.symbol] == 0 for fill in account.truth.fills)
