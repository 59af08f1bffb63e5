from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from recorder.simulator.account import Account
from recorder.simulator.books.happening import AccountChange, MarginCall, OrderChange
from recorder.simulator.clearing.risk import Risk, deleverage, liquidate, warn
from recorder.simulator.market import Market

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MARKET = Market(1)
PRICE = MARKET.mark_price("LTCUSDT", NOON)


def bought(account: Account, quantity: str, above_the_market: str) -> Account:
    price = (PRICE * (1 + Decimal(above_the_market))).quantize(Decimal("0.01"))
    account.fill("LTCUSDT", account.sides[0], Decimal(quantity), price, time=NOON - timedelta(hours=1))
    return account


def amounts(account: Account, type_: str) -> list[Decimal]:
    return [line.amount for line in account.truth.incomes if line.type == type_]


def test_a_liquidation_is_an_order_of_the_exchange_filled_in_two_trades(new_account: Callable[..., Account]) -> None:
    account = bought(new_account(isolated=["LTCUSDT"]), "3", "0.08")
    liquidate(account, MARKET, account.position("LTCUSDT", "BOTH"), time=NOON)
    orders = [each for each in account.truth.happenings if isinstance(each, OrderChange)][2:]
    assert [each.execution for each in orders] == ["NEW", "CALCULATED", "CALCULATED"]
    assert all(each.order.client_order_id.startswith("autoclose-") for each in orders)
    assert len({each.order.order_id for each in orders}) == 1
    assert not account.open_positions()


def test_what_is_left_of_the_margin_pays_a_fee(new_account: Callable[..., Account]) -> None:
    account = bought(new_account(isolated=["LTCUSDT"]), "3", "0.08")
    account.transfer("USDT", Decimal(1), time=NOON)
    liquidate(account, MARKET, account.position("LTCUSDT", "BOTH"), time=NOON)
    (fee,) = amounts(account, "INSURANCE_CLEAR")
    assert -2 < fee < 0
    change = account.truth.happenings[-1]
    assert isinstance(change, AccountChange)
    assert (change.reason, change.positions) == ("INSURANCE_CLEAR", ())
    assert change.balances[0].wallet == account.wallets["USDT"]


def test_an_isolated_position_loses_no_more_than_its_margin(new_account: Callable[..., Account]) -> None:
    account = bought(new_account(isolated=["LTCUSDT"]), "3", "0.3")  # the margin is 10 %
    cross = account.cross_wallet("USDT")
    liquidate(account, MARKET, account.position("LTCUSDT", "BOTH"), time=NOON)
    (insured,) = amounts(account, "INSURANCE_CLEAR")
    assert insured > 0
    assert account.wallets["USDT"] == account.cross_wallet("USDT") == cross


def test_a_cross_account_loses_no_more_than_its_wallet(new_account: Callable[..., Account]) -> None:
    account = bought(new_account(wallets={"USDT": Decimal(20)}), "3", "0.3")
    liquidate(account, MARKET, account.position("LTCUSDT", "BOTH"), time=NOON)
    assert account.wallets["USDT"] == 0
    assert amounts(account, "INSURANCE_CLEAR")[0] > 0


def test_deleveraging_costs_nothing_and_has_its_own_reason(new_account: Callable[..., Account]) -> None:
    account = bought(new_account(), "3", "-0.1")
    deleverage(account, MARKET, account.position("LTCUSDT", "BOTH"), time=NOON)
    _, change, traded = account.truth.happenings[-3:]
    assert isinstance(change, AccountChange)
    assert change.reason == "ADL"
    assert isinstance(traded, OrderChange)
    assert traded.order.client_order_id == "adl_autoclose"
    assert traded.fill is not None
    assert (traded.fill.commission, traded.execution) == (Decimal(0), "TRADE")
    assert traded.fill.realized_profit > 0


@pytest.mark.parametrize("isolated", [["LTCUSDT"], []])
def test_a_position_is_called_before_it_is_liquidated(new_account: Callable[..., Account], isolated: list[str]) -> None:
    account = bought(new_account(isolated=isolated, wallets={"USDT": Decimal(26)}), "3", "0.11")
    risk = Risk(account, MARKET, "seed", every=timedelta(minutes=5), adl_every=timedelta(days=400))
    risk.act(NOON)
    call = account.truth.happenings[-1]
    assert isinstance(call, MarginCall)
    assert call.positions == (account.position("LTCUSDT", "BOTH"),)
    assert (call.cross is None) == bool(isolated)
    risk.act(NOON + timedelta(milliseconds=1))
    assert not account.open_positions()


def test_whoever_has_margin_is_left_alone(new_account: Callable[..., Account]) -> None:
    account = bought(new_account(), "3", "0.01")
    announced = len(account.truth.happenings)
    Risk(account, MARKET, "seed", every=timedelta(minutes=5), adl_every=timedelta(days=400)).act(NOON)
    assert len(account.truth.happenings) == announced


def test_somebody_is_deleveraged_when_his_turn_comes(new_account: Callable[..., Account]) -> None:
    account = bought(new_account(), "3", "-0.1")
    Risk(account, MARKET, "seed", every=timedelta(minutes=5), adl_every=timedelta(minutes=5)).act(NOON)
    assert not account.open_positions()


def test_a_call_names_the_cross_wallet(new_account: Callable[..., Account]) -> None:
    account = bought(new_account(), "3", "0")
    warn(account, account.open_positions(), Decimal(7), time=NOON)
    call = account.truth.happenings[-1]
    assert isinstance(call, MarginCall)
    assert call.cross == 7
