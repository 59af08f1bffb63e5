"""A fill: one execution of one order of an account."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class FillSource(StrEnum):
    """Who told of the fill: the event stream as it happened, or the exchange's list of trades afterwards."""

    STREAM = "stream"
    REST = "rest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One trade of the account. With the account, symbol and trade id are its identity, whoever told of it.

    Attributes:
        position_side: ``BOTH``, ``LONG`` or ``SHORT``: the position that it changed.
        side: ``BUY`` or ``SELL``.
        price: Quote per base.
        quantity: In base units, never negative.
        realized_profit: In the margin asset, before commission.
        commission: Signed as profit: negative when paid, positive for a rebate. The wire has the opposite sign.
        commission_asset: ``None`` when the exchange told of no commission.
        maker: Whether the order was in the book before the trade.
    """

    symbol: str
    position_side: str
    trade_id: int
    order_id: int
    time: datetime
    side: str
    price: Decimal
    quantity: Decimal
    realized_profit: Decimal
    commission: Decimal
    commission_asset: str | None
    maker: bool
    source: FillSource
