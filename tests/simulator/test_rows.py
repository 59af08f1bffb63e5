import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from recorder.simulator.account import Account
from recorder.simulator.books.order import Order
from recorder.simulator.clock import epoch_ms
from recorder.simulator.instruments import INSTRUMENTS, Instrument
from recorder.simulator.keys import hmac_key
from recorder.simulator.market import Market
from recorder.simulator.position import Position
from recorder.simulator.rows import position_row, position_rows, shortest, value

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIXTURES = Path(__file__).resolve().parents[2] / ".." / "shared" / "exchange" / "fixtures" / "rest"
INSTRUMENT_BY_SYMBOL = {instrument.symbol: instrument for instrument in INSTRUMENTS}
FIELDS = [
    *("symbol", "positionSide", "positionAmt", "entryPrice", "breakEvenPrice", "markPrice", "unRealizedProfit"),
    *("liquidationPrice", "isolatedMargin", "notional", "marginAsset", "isolatedWallet", "initialMargin"),
    *("maintMargin", "positionInitialMargin", "openOrderInitialMargin", "adl", "bidNotional", "askNotional"),
    "updateTime",
]


def account(*, hedge: bool = False) -> Account:
    return Account(
        "main",
        hmac_key("1"),
        INSTRUMENT_BY_SYMBOL,
        hedge=hedge,
        wallets={"USDT": Decimal(1000)},
        leverage=dict.fromkeys(INSTRUMENT_BY_SYMBOL, 20),
    )


def held(symbol: str, quantity: str, price: str) -> Position:
    position, _, _ = Position(symbol=symbol, position_side="BOTH").filled(
        quantity=Decimal(quantity), price=Decimal(price), fee_rate=Decimal("0.0002"), time=NOON
    )
    return position


def test_a_long_row_is_what_pencil_and_paper_give() -> None:
    valued = value(
        held("ADAUSDT", "40", "0.412"), INSTRUMENT_BY_SYMBOL["ADAUSDT"], mark_price=Decimal("0.43718264"), leverage=20
    )
    assert position_row(valued, cover=Decimal(1000)) == {
        "symbol": "ADAUSDT",
        "positionSide": "BOTH",
        "positionAmt": "40",
        "entryPrice": "0.412",
        "breakEvenPrice": "0.4120824",  # 0.412 x 1.0002
        "markPrice": "0.43718264",
        "unRealizedProfit": "1.00730560",  # 0.02518264 x 40
        "liquidationPrice": "0",  # 1000 of cover: no positive price can use that up
        "isolatedMargin": "0",
        "notional": "17.48730560",
        "marginAsset": "USDT",
        "isolatedWallet": "0",
        "initialMargin": "0.87436528",  # a twentieth
        "maintMargin": "0.11366748",  # 0.0065: 0.1136674864 cut
        "positionInitialMargin": "0.87436528",
        "openOrderInitialMargin": "0",
        "adl": 3,  # more than the whole margin earned
        "bidNotional": "0",
        "askNotional": "0",
        "updateTime": epoch_ms(NOON),
    }


def test_a_short_row_is_negative_and_cut_towards_zero() -> None:
    valued = value(
        held("COMPUSDT", "-1.337", "70.5"),
        INSTRUMENT_BY_SYMBOL["COMPUSDT"],
        mark_price=Decimal("71.12345678"),
        leverage=20,
    )
    row = position_row(valued, cover=Decimal(500))
    assert row["positionAmt"] == "-1.337"
    assert row["notional"] == "-95.09206171"  # 95.09206171486
    assert row["unRealizedProfit"] == "-0.83356171"  # 0.83356171486
    assert row["breakEvenPrice"] == "70.4859"  # 70.5 x 0.9998
    assert row["maintMargin"] == "0.95092061"
    assert row["adl"] == 0


def test_a_short_is_liquidated_above_the_mark_where_its_cover_is_used_up() -> None:
    valued = value(
        held("COMPUSDT", "-1", "70"), INSTRUMENT_BY_SYMBOL["COMPUSDT"], mark_price=Decimal("70.00000000"), leverage=20
    )
    # 70 + 50.5 / 1.01 = 120: there 50 are lost and the maintenance margin is 0.5 larger
    assert position_row(valued, cover=Decimal("50.5"))["liquidationPrice"] == "120.00000000"


def test_tiny_and_whole_prices_are_written_as_floating_numbers() -> None:
    assert shortest(Decimal("0.00028")) == "2.8E-4"
    assert shortest(Decimal("0.0003000")) == "3.0E-4"
    assert shortest(Decimal("0.001")) == "0.001"
    assert shortest(Decimal("0.38500000")) == "0.385"
    assert shortest(Decimal(50000)) == "50000.0"
    assert shortest(Decimal(0)) == "0.0"
    assert Decimal(shortest(Decimal("-0.000123456789"))) == Decimal("-0.000123456789")


def test_a_never_traded_symbol_with_an_order_has_amount_0_and_update_time_0() -> None:
    order = Order(order_id=1, symbol="BTCUSDT", position_side="BOTH", quantity=Decimal("0.010"), price=Decimal(50000))
    valued = value(
        Position(symbol="BTCUSDT", position_side="BOTH"),
        INSTRUMENT_BY_SYMBOL["BTCUSDT"],
        mark_price=Decimal("60000.00000000"),
        leverage=20,
        orders=[order],
    )
    row = position_row(valued, cover=Decimal(1000))
    assert Decimal(row["positionAmt"]) == 0
    assert row["updateTime"] == 0
    assert row["bidNotional"] == "500.00000000"
    assert row["initialMargin"] == row["openOrderInitialMargin"] == "25.00000000"
    assert (row["entryPrice"], row["breakEvenPrice"], row["unRealizedProfit"]) == ("0.0", "0.0", "0.00000000")
    assert (row["notional"], row["positionInitialMargin"], row["maintMargin"]) == ("0", "0", "0")


def test_a_row_has_the_documented_fields_in_order_all_text_but_two() -> None:
    main = account()
    main.fill("ETHUSDT", "BOTH", Decimal(1), Decimal(3000), time=NOON)
    (row,) = position_rows(main, Market(1), NOON)
    assert list(row) == FIELDS
    assert [name for name, field in row.items() if not isinstance(field, str)] == ["adl", "updateTime"]


def test_every_row_agrees_with_its_own_mark_price() -> None:
    main = account()
    for number, symbol in enumerate(INSTRUMENT_BY_SYMBOL):
        main.fill(symbol, "BOTH", Decimal((-1) ** number), Market(1).trade_price(symbol, NOON, buy=True), time=NOON)
    rows = position_rows(main, Market(1), NOON + timedelta(hours=5))
    assert len(rows) == len(INSTRUMENT_BY_SYMBOL)
    for row in rows:
        profit = (Decimal(row["markPrice"]) - Decimal(row["entryPrice"])) * Decimal(row["positionAmt"])
        assert abs(Decimal(row["unRealizedProfit"])) <= abs(profit)
        assert abs(Decimal(row["unRealizedProfit"]) - profit) < Decimal("0.00000001")
        assert abs(Decimal(row["notional"]) - Decimal(row["markPrice"]) * Decimal(row["positionAmt"])) < Decimal(
            "0.00000001"
        )


def test_the_mark_price_moves_and_the_update_time_does_not() -> None:
    main = account()
    main.fill("ETHUSDT", "BOTH", Decimal(1), Decimal(3000), time=NOON)
    (early,) = position_rows(main, Market(1), NOON)
    (late,) = position_rows(main, Market(1), NOON + timedelta(days=1))
    assert early["markPrice"] != late["markPrice"]
    assert early["updateTime"] == late["updateTime"] == epoch_ms(NOON)


def test_hedge_mode_lists_only_sides_with_something_in_them() -> None:
    hedge = account(hedge=True)
    hedge.fill("LTCUSDT", "LONG", Decimal(1), Decimal(80), time=NOON)
    assert [row["positionSide"] for row in position_rows(hedge, Market(1), NOON)] == ["LONG"]
    hedge.fill("LTCUSDT", "SHORT", Decimal(-1), Decimal(80), time=NOON)
    hedge.fill("LTCUSDT", "LONG", Decimal(-1), Decimal(80), time=NOON)
    assert [row["positionSide"] for row in position_rows(hedge, Market(1), NOON)] == ["SHORT"]


def test_a_symbol_leaves_the_others_out() -> None:
    main = account()
    main.fill("LTCUSDT", "BOTH", Decimal(1), Decimal(80), time=NOON)
    main.fill("ETHUSDT", "BOTH", Decimal(1), Decimal(3000), time=NOON)
    assert [row["symbol"] for row in position_rows(main, Market(1), NOON, "ETHUSDT")] == ["ETHUSDT"]
    assert position_rows(main, Market(1), NOON, "BTCUSDT") == []


@pytest.mark.skipif(not FIXTURES.exists(), reason="the captured answers are not beside the repository")
def test_a_row_built_from_the_same_facts_is_the_captured_one_to_the_letter() -> None:
    (captured,) = json.loads((FIXTURES / "positionRisk_v3_ltcusdt_hedge_long.json").read_text())
    instrument = Instrument(
        symbol="LTCUSDT",
        price=Decimal("75.6"),
        tick_size=Decimal("0.01"),
        step_size=Decimal("0.001"),
        maint_margin_rate=Decimal("0.0065"),
        volatility=1.0,
        margin_asset="USDT",
    )
    position, _, _ = Position(symbol="LTCUSDT", position_side="LONG").filled(
        quantity=Decimal("0.7"),
        price=Decimal("75.6"),
        fee_rate=Decimal("0.0004"),
        time=datetime.fromtimestamp(1729436057, UTC) + timedelta(milliseconds=76),
    )
    valued = value(position, instrument, mark_price=Decimal("73.18000000"), leverage=5)
    assert position_row(valued, cover=Decimal(100)) == captured


def test_an_isolated_position_has_its_own_margin_and_liquidation_price() -> None:
    instruments = dict.fromkeys(INSTRUMENT_BY_SYMBOL, 20)
    main = Account("main", hmac_key("1"), INSTRUMENT_BY_SYMBOL, wallets={}, leverage=instruments, isolated=["LTCUSDT"])
    main.fill("LTCUSDT", "BOTH", Decimal(10), Decimal(80), time=NOON)
    (row,) = position_rows(main, Market(1), NOON)
    assert row["isolatedWallet"] == "40.00000000"  # 800 / 20
    assert Decimal(row["isolatedMargin"]) == 40 + Decimal(row["unRealizedProfit"])
    # loss and maintenance margin use the wallet up: 10 (80 - p) + 0.065 p = 40
    assert abs(Decimal(row["liquidationPrice"]) - Decimal(760) / Decimal("9.935")) < Decimal("0.000001")


def test_the_time_of_a_row_can_differ_from_that_of_the_event() -> None:
    main = account()
    main.fill("LTCUSDT", "BOTH", Decimal(10), Decimal(80), time=NOON)
    main.update_time_lag = timedelta(milliseconds=3)
    (row,) = position_rows(main, Market(1), NOON)
    assert row["updateTime"] == epoch_ms(NOON) + 3
