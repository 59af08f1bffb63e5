from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from recorder.simulator.account import Account
from recorder.simulator.books.happening import AccountChange, LeverageChange
from recorder.simulator.margin import move_margin, set_isolated, set_leverage

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def account(new_account: Callable[..., Account]) -> Account:
    account = new_account(isolated=["LTCUSDT"])
    account.fill("LTCUSDT", "BOTH", Decimal(10), Decimal(80), time=NOON)
    return account


def test_moving_margin_changes_the_cross_wallet_and_no_balance(account: Account) -> None:
    later = NOON + timedelta(seconds=1)
    wallet, lines = account.wallets["USDT"], len(account.truth.incomes)
    move_margin(account, ("LTCUSDT", "BOTH"), Decimal(20), time=later)
    position = account.position("LTCUSDT", "BOTH")
    assert (position.isolated_wallet, position.update_time) == (Decimal(100), later)  # 800 / 10 + 20
    assert account.wallets["USDT"] == wallet == account.cross_wallet("USDT") + 100
    assert len(account.truth.incomes) == lines
    change = account.truth.happenings[-1]
    assert isinstance(change, AccountChange)
    assert (change.reason, change.positions) == ("MARGIN_TRANSFER", (position,))
    assert (change.balances[0].cross, change.balances[0].change) == (wallet - 100, Decimal(0))


def test_no_more_margin_can_be_taken_back_than_there_is(account: Account) -> None:
    with pytest.raises(ValueError, match="no isolated margin of 81"):
        move_margin(account, ("LTCUSDT", "BOTH"), Decimal(-81), time=NOON)
    with pytest.raises(ValueError, match="XRPUSDT"):
        move_margin(account, ("XRPUSDT", "BOTH"), Decimal(1), time=NOON)


def test_a_leverage_is_told_and_holds_for_what_is_opened_next(account: Account) -> None:
    set_leverage(account, "LTCUSDT", 20, time=NOON)
    assert account.truth.happenings[-1] == LeverageChange(time=NOON, symbol="LTCUSDT", leverage=20)
    account.fill("LTCUSDT", "BOTH", Decimal(10), Decimal(80), time=NOON)
    assert account.position("LTCUSDT", "BOTH").isolated_wallet == 80 + 40


def test_the_margin_type_of_a_flat_symbol_can_change(account: Account) -> None:
    with pytest.raises(ValueError, match="not flat"):
        set_isolated(account, "LTCUSDT", isolated=False, time=NOON)
    later = NOON + timedelta(seconds=1)
    account.fill("LTCUSDT", "BOTH", Decimal(-10), Decimal(80), time=NOON)
    set_isolated(account, "LTCUSDT", isolated=False, time=later)
    change = account.truth.happenings[-1]
    assert isinstance(change, AccountChange)
    assert change.reason == "MARGIN_TYPE_CHANGE"
    assert [(row.isolated, row.update_time) for row in change.positions] == [(False, later)]
    account.fill("LTCUSDT", "BOTH", Decimal(1), Decimal(80), time=later)
    assert account.position("LTCUSDT", "BOTH").isolated_wallet == 0
