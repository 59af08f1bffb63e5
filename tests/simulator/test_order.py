from decimal import Decimal

from recorder.simulator.books.order import Order

ORDER = Order(order_id=1, symbol="LTCUSDT", position_side="BOTH", quantity=Decimal(-3), price=Decimal(80))


def test_an_order_knows_what_is_left_and_at_what_price_it_was_filled() -> None:
    assert (ORDER.left, ORDER.average_price) == (Decimal(-3), Decimal(0))
    half = ORDER.executed(Decimal(-1), Decimal(80))
    whole = half.executed(Decimal(-2), Decimal(83))
    assert (half.left, half.average_price) == (Decimal(-2), Decimal(80))
    assert (whole.left, whole.average_price) == (Decimal(0), Decimal(82))
