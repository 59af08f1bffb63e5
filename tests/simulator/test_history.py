from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from recorder.simulator.account import Account
from recorder.simulator.clock import epoch_ms
from recorder.simulator.history import income_row, trade_row

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_an_income_row_is_signed_as_profit_and_names_its_trade(new_account: Callable[..., Account]) -> None:
    account = new_account()
    fill = account.fill("LTCUSDT", "BOTH", Decimal(1), Decimal(80), time=NOON)
    account.transfer("USDT", Decimal(5), time=NOON)
    commission, transfer = account.truth.incomes
    assert income_row(commission) == {
        "symbol": "LTCUSDT",
        "incomeType": "COMMISSION",
        "income": "-0.03200000",
        "asset": "USDT",
        "time": epoch_ms(NOON),
        "info": "COMMISSION",
        "tranId": commission.tran_id,
        "tradeId": str(fill.trade_id),
    }
    assert (income_row(transfer)["symbol"], income_row(transfer)["tradeId"]) == ("", "")


def test_a_trade_row_has_a_commission_that_is_positive_when_paid(new_account: Callable[..., Account]) -> None:
    account = new_account()
    fill = account.fill("BTCUSDT_270326", "BOTH", Decimal("-0.01"), Decimal("90000.1"), time=NOON)
    assert trade_row(fill, account.instrument(fill.symbol)) == {
        "symbol": "BTCUSDT_270326",
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "side": "SELL",
        "price": "90000.1",
        "qty": "0.010",
        "realizedPnl": "0",
        "marginAsset": "USDT",
        "quoteQty": "900.001",
        "baseQty": "0",
        "commission": "0.36000040",
        "commissionAsset": "USDT",
        "pair": "BTCUSDT",
        "time": epoch_ms(NOON),
        "positionSide": "BOTH",
        "buyer": False,
        "maker": False,
    }
