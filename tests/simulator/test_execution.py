from datetime import UTC, datetime
from decimal import Decimal

import pytest

from recorder.simulator.books.execution import Terms, execute
from recorder.simulator.books.fees import Fees
from recorder.simulator.books.fill import Fill
from recorder.simulator.books.order import Order, OrderKind
from recorder.simulator.instruments import INSTRUMENTS
from recorder.simulator.position import Position

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LTC = next(instrument for instrument in INSTRUMENTS if instrument.symbol == "LTCUSDT")
FEES = Fees(maker=Decimal("-0.0001"), bnb_price=lambda _: Decimal(900))
TERMS = Terms("main", LTC, 10, FEES, {"BNB": Decimal(1)})


def executed(kind: OrderKind) -> tuple[Order, Position, Fill]:
    order = Order(order_id=1, symbol="LTCUSDT", position_side="BOTH", quantity=Decimal(2), price=Decimal(0), kind=kind)
    position = Position(symbol="LTCUSDT", position_side="BOTH")
    return execute(order, position, Decimal(2), Decimal(90), terms=TERMS, trade_id=5, time=NOON)


@pytest.mark.parametrize(
    ("kind", "maker", "asset", "commission"),
    [
        ("LIMIT", True, "USDT", "-0.018"),
        ("MARKET", False, "BNB", "0.000072"),
        ("LIQUIDATION", False, "USDT", "0.072"),
        ("ADL", False, "USDT", "0"),
    ],
)
def test_what_an_order_costs_depends_on_its_kind(kind: OrderKind, maker: bool, asset: str, commission: str) -> None:
    _, _, fill = executed(kind)
    assert (fill.maker, fill.commission_asset, fill.commission) == (maker, asset, Decimal(commission))


def test_order_and_position_go_on_together() -> None:
    order, position, fill = executed("MARKET")
    assert order.filled == position.amount == fill.quantity == 2
    assert order.average_price == position.entry_price == fill.price == 90
    assert (fill.trade_id, fill.order_id, fill.time) == (5, 1, NOON)
