from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from recorder.simulator.account import Account
from recorder.simulator.books.happening import AccountChange
from recorder.simulator.clearing.funding import Funding
from recorder.simulator.market import Market
from recorder.simulator.position import money
from recorder.simulator.world import World

MORNING = datetime(2026, 3, 1, 7, 59, tzinfo=UTC)
HOUR = datetime(2026, 3, 1, 8, tzinfo=UTC)
DELAY = timedelta(seconds=2)


def world(account: Account) -> World:
    market = Market(1)
    world = World(market, [account], MORNING)
    world.let_trade([Funding(account, market, DELAY)])
    return world


def changes(account: Account) -> list[AccountChange]:
    found = [each for each in account.truth.happenings if isinstance(each, AccountChange)]
    return [each for each in found if each.reason == "FUNDING_FEE"]


def test_what_is_held_at_the_full_hour_is_charged_some_seconds_later(new_account: Callable[..., Account]) -> None:
    account = new_account()
    account.fill("LTCUSDT", "BOTH", Decimal(2), Decimal(80), time=MORNING)
    wallet = account.wallets["USDT"]
    charged = world(account)
    charged.advance(HOUR + DELAY / 2)
    account.fill("LTCUSDT", "BOTH", Decimal(-2), Decimal(80), time=charged.now)
    assert not changes(account)
    charged.advance(HOUR + DELAY)
    line = account.truth.incomes[-1]
    market = charged.market
    fee = -money(2 * market.mark_price("LTCUSDT", HOUR) * market.funding_rate("LTCUSDT", HOUR))
    assert (line.type, line.amount, line.symbol) == ("FUNDING_FEE", fee, "LTCUSDT")
    assert (line.time, line.booked_at) == (HOUR, HOUR + DELAY)
    (change,) = changes(account)
    assert (change.time, change.symbol, change.positions) == (HOUR + DELAY, "LTCUSDT", ())
    assert [balance.change for balance in change.balances] == [fee]
    assert account.wallets["USDT"] == wallet - account.truth.fills[-1].commission + fee


def test_an_isolated_position_pays_from_its_own_wallet(new_account: Callable[..., Account]) -> None:
    account = new_account(isolated=["LTCUSDT"])
    account.fill("LTCUSDT", "BOTH", Decimal(2), Decimal(80), time=MORNING)
    cross = account.cross_wallet("USDT")
    world(account).advance(HOUR + DELAY)
    (change,) = changes(account)
    (position,) = change.positions
    assert position == account.position("LTCUSDT", "BOTH") == account.truth.states[-1]
    assert position.isolated_wallet == 16 + change.balances[0].change
    assert position.update_time == HOUR + DELAY
    assert account.cross_wallet("USDT") == cross


def test_both_sides_of_a_hedge_pay_and_get(new_account: Callable[..., Account]) -> None:
    account = new_account(hedge=True)
    account.fill("LTCUSDT", "LONG", Decimal(2), Decimal(80), time=MORNING)
    account.fill("LTCUSDT", "SHORT", Decimal(-2), Decimal(80), time=MORNING)
    world(account).advance(HOUR + DELAY)
    long, short = account.truth.incomes[-2:]
    assert long.amount == -short.amount != 0
    assert [line.position_side for line in (long, short)] == ["LONG", "SHORT"]
    assert len({change.time for change in changes(account)}) == 1


def test_there_is_none_for_contracts_with_a_delivery_date_and_every_eight_hours_for_others(
    new_account: Callable[..., Account],
) -> None:
    account = new_account()
    for symbol in ("BTCUSDT_270326", "BTCUSDT"):
        account.fill(symbol, "BOTH", Decimal("0.01"), Decimal(90000), time=MORNING)
    world(account).advance(HOUR + timedelta(hours=24))
    assert [(line.symbol, line.time) for line in account.truth.incomes if line.type == "FUNDING_FEE"] == [
        ("BTCUSDT", HOUR + number * timedelta(hours=8)) for number in range(3)
    ]


def test_it_is_booked_after_it_is_due(new_account: Callable[..., Account]) -> None:
    with pytest.raises(ValueError, match="cannot be booked"):
        Funding(new_account(), Market(1), timedelta(0))
