from datetime import UTC, datetime
from decimal import Decimal

import pytest

from recorder.simulator.books.order import Order, OrderKind
from recorder.simulator.books.order_book import OrderBook

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def order(book: OrderBook, kind: OrderKind = "LIMIT") -> Order:
    return book.make(kind, "LTCUSDT", "BOTH", quantity=Decimal(2), price=Decimal(80), time=NOON)


def test_order_ids_have_nineteen_digits_and_fit_into_64_bits() -> None:
    book = OrderBook()
    one, other = order(book), order(book)
    assert one.order_id != other.order_id
    assert len(str(one.order_id)) == 19
    assert one.order_id < 2**63


@pytest.mark.parametrize(
    ("kind", "client_order_id"),
    [("LIQUIDATION", "autoclose-1772366400000"), ("ADL", "adl_autoclose"), ("MARKET", "sim-")],
)
def test_orders_that_the_exchange_gives_itself_are_known_by_their_name(kind: OrderKind, client_order_id: str) -> None:
    assert order(OrderBook(), kind).client_order_id.startswith(client_order_id)


def test_an_order_leaves_the_book_when_it_is_filled_or_removed() -> None:
    book = OrderBook()
    first, second = order(book), order(book)
    book.put(first)
    book.put(second)
    assert list(book) == [first, second]
    half = first.executed(Decimal(1), Decimal(80))
    book.put(half)
    assert book.by_position() == {("LTCUSDT", "BOTH"): [half, second]}
    book.put(half.executed(Decimal(1), Decimal(80)))
    book.remove(second.order_id)
    assert len(book) == 0
    with pytest.raises(KeyError):
        book.get(second.order_id)


def test_trade_ids_are_unique_within_a_symbol() -> None:
    book = OrderBook()
    ids = [book.trade_id("LTCUSDT") for _ in range(3)]
    assert ids == [ids[0], ids[0] + 1, ids[0] + 2]
    assert OrderBook().trade_id("LTCUSDT") == ids[0]
    assert book.trade_id("XRPUSDT") != ids[0] + 3
