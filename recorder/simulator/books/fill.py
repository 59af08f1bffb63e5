"""Fills: the trades of an account."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from recorder.simulator.position import PositionSide


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One trade of an account.

    Attributes:
        trade_id: Unique within the symbol.
        quantity: Signed: positive bought, negative sold.
        realized_profit: Before the commission; of the part that closed something; in the margin asset.
        commission: Positive when paid, negative when received; in ``commission_asset``.
    """

    account: str
    symbol: str
    position_side: PositionSide
    trade_id: int
    order_id: int
    time: datetime
    quantity: Decimal
    price: Decimal
    realized_profit: Decimal
    commission: Decimal
    commission_asset: str
    margin_asset: str
    maker: bool
