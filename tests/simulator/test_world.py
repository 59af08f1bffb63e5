import json
from datetime import UTC, datetime, timedelta
from time import perf_counter

import pytest

from recorder.simulator.account import Account
from recorder.simulator.frames import Row
from recorder.simulator.market import Market
from recorder.simulator.scenario import LEDGER, Scenario
from recorder.simulator.trader import Habits
from recorder.simulator.world import World

START = datetime(2026, 3, 1, tzinfo=UTC)
BUSY = Scenario(habits=Habits(positions=10, pause=timedelta(seconds=10)))


def rows(world: World, account: Account) -> list[Row]:
    frame = json.loads(world.answer_positions(account, 7))
    assert (frame["id"], frame["status"]) == (7, 200)
    result: list[Row] = frame["result"]
    return result


@pytest.mark.parametrize("step", [timedelta(milliseconds=700), timedelta(seconds=13), timedelta(minutes=20)])
def test_the_same_span_gives_the_same_world_however_it_is_cut(step: timedelta) -> None:
    end = START + timedelta(minutes=20)
    whole, cut = BUSY.world(seed=1, start=START), BUSY.world(seed=1, start=START)
    whole.advance(end)
    while cut.now < end:
        cut.advance(min(cut.now + step, end))
    for name, account in whole.accounts.items():
        assert cut.accounts[name].truth == account.truth
        assert cut.answer_positions(cut.accounts[name], 1) == whole.answer_positions(account, 1)


def test_another_seed_is_another_world() -> None:
    one, other = BUSY.world(seed=1, start=START), BUSY.world(seed=2, start=START)
    assert rows(one, one.accounts["main"]) != rows(other, other.accounts["main"])


def test_time_does_not_go_back() -> None:
    world = BUSY.world(seed=1, start=START)
    world.advance(START + timedelta(hours=1))
    before = world.answer_positions(world.accounts["main"], 1)
    world.advance(START)
    assert world.now == START + timedelta(hours=1)
    assert world.answer_positions(world.accounts["main"], 1) == before


def test_a_world_needs_a_time_zone() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        World(Market(1), [], START.replace(tzinfo=None))


def test_an_account_is_found_by_its_key() -> None:
    world = BUSY.world(seed=1, start=START)
    hedge = world.accounts["hedge"]
    assert world.account(hedge.key.api_key) is hedge
    assert world.account("x" * 64) is None


def test_a_frame_is_complete_without_a_socket() -> None:
    world = BUSY.world(seed=1, start=START)
    main = world.accounts["main"]
    assert [(row["symbol"], row["positionAmt"]) for row in rows(world, main) if float(row["positionAmt"])] == [
        (held.symbol, format(held.amount, "f")) for held in main.open_positions()
    ]
    assert json.loads(world.answer_positions(main, "a"))["rateLimits"][0]["limit"] == 2400


def test_a_frame_of_ten_rows_takes_less_than_a_millisecond() -> None:
    world = BUSY.world(seed=1, start=START)
    main = world.accounts["main"]
    durations = []
    for _ in range(50):
        begun = perf_counter()
        world.answer_positions(main, 1)
        durations.append(perf_counter() - begun)
    assert len(rows(world, main)) == 10
    assert min(durations) < 0.001


def test_everything_else_can_be_had_without_a_socket_too() -> None:
    world = LEDGER.world(seed=1, start=START)
    world.advance(START + timedelta(days=1))
    main = world.accounts["main"]
    income = json.loads(world.answer_income(main))
    assert [row["time"] for row in income] == sorted(row["time"] for row in income)
    assert len(income) == len(main.truth.incomes)
    symbol = main.truth.fills[0].symbol
    trades = json.loads(world.answer_trades(main, symbol))
    assert [row["id"] for row in trades] == [fill.trade_id for fill in main.truth.fills if fill.symbol == symbol]
    balance = json.loads(world.answer_balance(main, 3))
    assert (balance["id"], [row["asset"] for row in balance["result"]]) == (3, ["USDT", "USDC", "BNB"])
    events = list(world.events(main))
    assert len(events) == len(main.truth.happenings)
    assert list(world.events(main, 5)) == events[5:]
