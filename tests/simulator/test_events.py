import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from recorder.simulator.account import Account
from recorder.simulator.books.fees import Fees
from recorder.simulator.clearing.risk import liquidate, warn
from recorder.simulator.clock import epoch_ms
from recorder.simulator.events import event_of, expiry_text
from recorder.simulator.margin import move_margin, set_isolated, set_leverage
from recorder.simulator.market import Market
from recorder.simulator.position import money

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
MARKET = Market(1)


def events(account: Account) -> list[dict[str, Any]]:
    return [json.loads(event_of(each, account, MARKET).text) for each in account.truth.happenings]


def test_an_account_update_tells_wallets_and_the_changed_row(new_account: Callable[..., Account]) -> None:
    account = new_account()
    account.fill("ADAUSDT", "BOTH", Decimal(30), Decimal("0.4000"), time=NOON)
    _, update, _ = events(account)
    profit = money((MARKET.mark_price("ADAUSDT", NOON) - Decimal("0.4")) * 30)
    assert (update["e"], update["T"]) == ("ACCOUNT_UPDATE", epoch_ms(NOON))
    assert 0 <= update["E"] - update["T"] <= 12
    assert update["a"] == {
        "B": [{"a": "USDT", "wb": "999.99520000", "cw": "999.99520000", "bc": "0"}],
        "P": [
            {
                "s": "ADAUSDT",
                "pa": "30",
                "ep": "0.4",
                "bep": "0.40016",
                "cr": "0",
                "up": format(profit, "f"),
                "mt": "cross",
                "iw": "0",
                "ps": "BOTH",
                "ma": "USDT",
            }
        ],
        "m": "ORDER",
    }


def test_an_event_has_the_time_that_it_tells_though_it_happened_between_two_milliseconds(
    new_account: Callable[..., Account],
) -> None:
    account = new_account()
    account.fill("ADAUSDT", "BOTH", Decimal(30), Decimal("0.4000"), time=NOON + timedelta(microseconds=1999))
    told = [event_of(each, account, MARKET) for each in account.truth.happenings]
    assert {each.time for each in told} == {NOON + timedelta(milliseconds=1)}
    assert {json.loads(each.text)["T"] for each in told} == {epoch_ms(NOON) + 1}


def test_an_order_update_tells_the_fill(new_account: Callable[..., Account]) -> None:
    account = new_account()
    account.trade("ADAUSDT", "BOTH", [(Decimal(-10), Decimal("0.4001")), (Decimal(-20), Decimal("0.4"))], time=NOON)
    new, _, first, _, second = events(account)
    assert [each["o"]["X"] for each in (new, first, second)] == ["NEW", "PARTIALLY_FILLED", "FILLED"]
    assert [each["o"]["t"] for each in (new, first, second)] == [
        0,
        *(fill.trade_id for fill in account.truth.fills),
    ]
    assert "n" not in new["o"]
    assert len({each["o"]["i"] for each in (new, first, second)}) == 1
    order = second["o"]
    assert (order["S"], order["q"], order["l"], order["z"], order["L"]) == ("SELL", "30", "20", "30", "0.4")
    assert (order["n"], order["N"], order["m"], order["rp"]) == ("0.00320000", "USDT", False, "0")
    assert Decimal(order["ap"]) == (Decimal("4.001") + 8) / 30


def test_a_limit_order_is_told_when_it_is_placed_cancelled_and_filled(new_account: Callable[..., Account]) -> None:
    account = new_account(fees=Fees(maker=Decimal("-0.0001")))
    order = account.place("ADAUSDT", "BOTH", Decimal(10), Decimal("0.4"), time=NOON)
    other = account.place("ADAUSDT", "BOTH", Decimal(-10), Decimal("0.5"), time=NOON)
    account.cancel(other.order_id, time=LATER)
    account.fill("ADAUSDT", "BOTH", Decimal(4), Decimal("0.4"), time=LATER, order_id=order.order_id)
    placed, ask, cancelled, _, traded = events(account)
    assert (placed["o"]["o"], placed["o"]["p"], placed["o"]["b"], placed["o"]["a"]) == ("LIMIT", "0.4", "4", "0")
    assert (ask["o"]["b"], ask["o"]["a"]) == ("0", "5")
    assert (cancelled["o"]["x"], cancelled["o"]["i"]) == ("CANCELED", other.order_id)
    assert (traded["o"]["X"], traded["o"]["m"], traded["o"]["n"]) == ("PARTIALLY_FILLED", True, "-0.00016000")
    assert [each.left for each in account.orders()] == [6]


def test_a_fee_in_bnb_is_a_second_balance(new_account: Callable[..., Account]) -> None:
    account = new_account(fees=Fees(bnb_price=lambda _: Decimal(900)))
    account.fill("LTCUSDT", "BOTH", Decimal(10), Decimal(90), time=NOON)
    _, update, traded = events(account)
    assert [(row["a"], row["wb"]) for row in update["a"]["B"]] == [("USDT", "1000.00000000"), ("BNB", "0.99964000")]
    assert (traded["o"]["n"], traded["o"]["N"]) == ("0.00036000", "BNB")


def test_in_hedge_mode_only_the_changed_side_is_told_unless_it_is_isolated(
    new_account: Callable[..., Account],
) -> None:
    account = new_account(hedge=True, isolated=["XRPUSDT"])
    account.fill("LTCUSDT", "LONG", Decimal(1), Decimal(80), time=NOON)
    account.fill("LTCUSDT", "SHORT", Decimal(-1), Decimal(80), time=NOON)
    account.fill("XRPUSDT", "SHORT", Decimal(-10), Decimal(2), time=NOON)
    updates = [each["a"]["P"] for each in events(account) if each["e"] == "ACCOUNT_UPDATE"]
    assert [[row["ps"] for row in rows] for rows in updates] == [["LONG"], ["SHORT"], ["BOTH", "LONG", "SHORT"]]
    assert [(row["pa"], row["iw"], row["mt"]) for row in updates[2]] == [
        ("0", "0", "isolated"),
        ("0", "0", "isolated"),
        ("-10", "2.00000000", "isolated"),
    ]


def test_wallet_less_cross_wallet_is_what_isolated_positions_have(new_account: Callable[..., Account]) -> None:
    account = new_account(isolated=["LTCUSDT", "XRPUSDT"])
    account.fill("LTCUSDT", "BOTH", Decimal(1), Decimal(80), time=NOON)
    account.fill("XRPUSDT", "BOTH", Decimal(10), Decimal(2), time=NOON)
    move_margin(account, ("XRPUSDT", "BOTH"), Decimal(5), time=LATER)
    update = events(account)[-1]
    (balance,) = update["a"]["B"]
    assert Decimal(balance["wb"]) - Decimal(balance["cw"]) == 8 + 2 + 5
    assert update["a"]["m"] == "MARGIN_TRANSFER"


def test_transfers_have_an_empty_array_of_positions(new_account: Callable[..., Account]) -> None:
    account = new_account()
    account.transfer("USDT", Decimal("-0.5"), time=NOON)
    (update,) = events(account)
    assert update["a"] == {
        "B": [{"a": "USDT", "wb": "999.50000000", "cw": "999.50000000", "bc": "-0.50000000"}],
        "P": [],
        "m": "WITHDRAW",
    }


def test_funding_names_its_symbol_and_has_no_positions_when_they_are_cross(
    new_account: Callable[..., Account],
) -> None:
    account = new_account()
    account.ledger.book("FUNDING_FEE", "USDT", Decimal("-0.1"), at=NOON)
    account.announce_change("FUNDING_FEE", ["USDT"], time=NOON, change=Decimal("-0.1"), symbol="LTCUSDT")
    (update,) = events(account)
    assert (update["a"]["m"], update["a"]["S"]) == ("FUNDING_FEE", "LTCUSDT")
    assert "P" not in update["a"]


def test_leverage_margin_type_margin_calls_and_liquidations_are_told(new_account: Callable[..., Account]) -> None:
    account = new_account(isolated=["LTCUSDT"])
    set_leverage(account, "LTCUSDT", 7, time=NOON)
    set_isolated(account, "XRPUSDT", isolated=True, time=NOON)
    account.fill("LTCUSDT", "BOTH", Decimal(1), Decimal(80), time=NOON)
    warn(account, account.open_positions(), Decimal(9), time=LATER)
    liquidate(account, MARKET, account.position("LTCUSDT", "BOTH"), time=LATER)
    told = events(account)
    assert told[0]["ac"] == {"s": "LTCUSDT", "l": 7}
    assert (told[1]["a"]["m"], told[1]["a"]["P"][0]["mt"]) == ("MARGIN_TYPE_CHANGE", "isolated")
    call = told[5]
    mark = MARKET.mark_price("LTCUSDT", LATER)
    assert set(call) == {"e", "E", "p"}
    assert call["p"] == [
        {
            "s": "LTCUSDT",
            "ps": "BOTH",
            "pa": "1",
            "mt": "ISOLATED",
            "iw": "11.42857142",
            "mp": format(mark.normalize(), "f"),
            "up": format(money(mark - 80), "f"),
            "mm": format(money(mark * Decimal("0.0065")), "f"),
        }
    ]
    liquidation = next(each["o"] for each in told if each["e"] == "ORDER_TRADE_UPDATE" and each["o"]["R"])
    assert (liquidation["o"], liquidation["f"], liquidation["c"][:10]) == ("LIQUIDATION", "IOC", "autoclose-")


def test_the_time_of_an_expiry_is_sometimes_a_string() -> None:
    times = {type(json.loads(expiry_text(f"key-{number}", NOON))["E"]) for number in range(20)}
    assert times == {int, str}
