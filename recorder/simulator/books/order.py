"""Orders: what an account wants to trade, and how much of it is done."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from recorder.simulator.position import ZERO, PositionSide

OrderKind = Literal["LIMIT", "MARKET", "LIQUIDATION", "ADL"]
Part = tuple[Decimal, Decimal]
"""Signed quantity and price of one of the trades that fill an order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order. A limit order lies open until it is filled or cancelled; every other kind is filled at once.

    Attributes:
        quantity: Signed: positive buys, negative sells.
        price: The limit; 0 if there is none.
        kind: The exchange itself gives those of kind ``LIQUIDATION`` and ``ADL``.
        filled: With the sign of ``quantity``.
        cost: Sum of |quantity| x price of the fills.
    """

    order_id: int
    symbol: str
    position_side: PositionSide
    quantity: Decimal
    price: Decimal
    kind: OrderKind = "LIMIT"
    client_order_id: str = ""
    filled: Decimal = ZERO
    cost: Decimal = ZERO

    @property
    def left(self) -> Decimal:
        return self.quantity - self.filled

    @property
    def average_price(self) -> Decimal:
        """Of what is filled; 0 before the first fill."""
        return self.cost / abs(self.filled) if self.filled else ZERO

    def executed(self, quantity: Decimal, price: Decimal) -> "Order":
        return replace(self, filled=self.filled + quantity, cost=self.cost + abs(quantity) * price)
