"""The open orders of one account, and the numbers that its orders and trades get."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from itertools import count
from zlib import crc32

from recorder.simulator.books.order import Order, OrderKind
from recorder.simulator.clock import epoch_ms
from recorder.simulator.position import PositionKey, PositionSide

_FIRST_ORDER_ID = 8_389_765_739_703_625_592  # nineteen digits
_FIRST_TRADE_ID_BELOW = 1_000_000_000


class OrderBook:
    """Limit orders that are in the book, oldest first."""

    def __init__(self) -> None:
        self.begin_again()

    def begin_again(self) -> None:
        """Be empty, and give the first numbers out once more."""
        self._orders: dict[int, Order] = {}
        self._order_ids = count(_FIRST_ORDER_ID)
        self._trade_ids: dict[str, Iterator[int]] = {}

    def __iter__(self) -> Iterator[Order]:
        return iter(self._orders.values())

    def __len__(self) -> int:
        return len(self._orders)

    def make(
        self,
        kind: OrderKind,
        symbol: str,
        side: PositionSide,
        *,
        quantity: Decimal,
        price: Decimal,
        time: datetime,
    ) -> Order:
        """Return a new order, which is not in the book yet."""
        order_id = next(self._order_ids)
        match kind:
            case "LIQUIDATION":
                client_order_id = f"autoclose-{epoch_ms(time)}"
            case "ADL":
                client_order_id = "adl_autoclose"
            case "LIMIT" | "MARKET":
                client_order_id = f"sim-{order_id:x}"
        return Order(
            order_id=order_id,
            symbol=symbol,
            position_side=side,
            quantity=quantity,
            price=price,
            kind=kind,
            client_order_id=client_order_id,
        )

    def trade_id(self, symbol: str) -> int:
        """Return a new number, unique within the symbol only."""
        if symbol not in self._trade_ids:
            self._trade_ids[symbol] = count(1 + crc32(symbol.encode()) % _FIRST_TRADE_ID_BELOW)
        return next(self._trade_ids[symbol])

    def get(self, order_id: int) -> Order:
        """Return an order; ``KeyError`` if it is not in the book."""
        return self._orders[order_id]

    def put(self, order: Order) -> None:
        """Add the order, or what it has become; one that is filled leaves the book."""
        if order.left:
            self._orders[order.order_id] = order
        else:
            self._orders.pop(order.order_id, None)

    def remove(self, order_id: int) -> Order:
        """Take an order out; ``KeyError`` if it is not in the book."""
        return self._orders.pop(order_id)

    def by_position(self) -> dict[PositionKey, list[Order]]:
        orders: dict[PositionKey, list[Order]] = defaultdict(list)
        for order in self._orders.values():
            orders[order.symbol, order.position_side].append(order)
        return orders
