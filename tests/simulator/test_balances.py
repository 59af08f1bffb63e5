from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from recorder.simulator.account import Account
from recorder.simulator.balances import account_status, balance_rows
from recorder.simulator.clock import epoch_ms
from recorder.simulator.instruments import INSTRUMENTS
from recorder.simulator.keys import hmac_key
from recorder.simulator.market import Market

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def account() -> Account:
    by_symbol = {instrument.symbol: instrument for instrument in INSTRUMENTS}
    main = Account(
        "main",
        hmac_key("1"),
        by_symbol,
        wallets={"USDT": Decimal(1000), "USDC": Decimal(50)},
        leverage=dict.fromkeys(by_symbol, 10),
    )
    main.fill("LTCUSDT", "BOTH", Decimal(2), Decimal(80), time=NOON)
    main.place("XRPUSDT", "BOTH", Decimal(-10), Decimal(3), time=NOON)
    return main


def test_there_is_a_balance_per_asset_with_the_profit_of_its_own_positions(account: Account) -> None:
    mark = Market(1).mark_price("LTCUSDT", NOON)
    usdt, usdc = balance_rows(account, Market(1), NOON)
    assert usdt["asset"] == "USDT"
    assert usdt["balance"] == usdt["crossWalletBalance"] == "999.93600000"  # 160 x 0.0004 paid
    assert Decimal(usdt["crossUnPnl"]) == (mark - 80) * 2
    assert usdt["updateTime"] == epoch_ms(NOON)
    assert (usdc["balance"], usdc["crossUnPnl"], usdc["updateTime"]) == ("50.00000000", "0.00000000", 0)
    assert usdt["accountAlias"] == usdc["accountAlias"]


def test_what_is_available_is_the_equity_less_the_margins(account: Account) -> None:
    mark = Market(1).mark_price("LTCUSDT", NOON)
    usdt, _ = balance_rows(account, Market(1), NOON)
    available = Decimal("999.936") + (mark - 80) * 2 - mark * 2 / 10 - 3
    assert abs(Decimal(usdt["availableBalance"]) - available) < Decimal("0.00000001")  # the margin is cut


def test_the_status_adds_up(account: Account) -> None:
    status = account_status(account, Market(1), NOON)
    (usdt, _) = status["assets"]
    assert Decimal(usdt["marginBalance"]) == Decimal(usdt["walletBalance"]) + Decimal(usdt["unrealizedProfit"])
    assert Decimal(usdt["initialMargin"]) == Decimal(usdt["positionInitialMargin"]) + Decimal(
        usdt["openOrderInitialMargin"]
    )
    assert status["totalMarginBalance"] == usdt["marginBalance"]
    assert [position["symbol"] for position in status["positions"]] == ["LTCUSDT", "XRPUSDT"]
    assert status["positions"][0]["unrealizedProfit"] == usdt["unrealizedProfit"]
    assert "markPrice" not in status["positions"][0]


def test_what_isolated_positions_have_is_in_the_balance_and_not_in_the_cross_wallet(
    new_account: Callable[..., Account],
) -> None:
    account = new_account(isolated=["LTCUSDT"])
    account.fill("LTCUSDT", "BOTH", Decimal(2), Decimal(80), time=NOON)
    usdt, *_ = balance_rows(account, Market(1), NOON)
    assert (usdt["balance"], usdt["crossWalletBalance"], usdt["crossUnPnl"]) == (
        "999.93600000",
        "983.93600000",
        "0.00000000",
    )
    assert usdt["availableBalance"] == usdt["maxWithdrawAmount"] == "983.93600000"
    status = account_status(account, Market(1), NOON)
    mark = Market(1).mark_price("LTCUSDT", NOON)
    assert Decimal(status["totalMarginBalance"]) == Decimal("999.936") + (mark - 80) * 2
    assert status["totalCrossWalletBalance"] == "983.93600000"
