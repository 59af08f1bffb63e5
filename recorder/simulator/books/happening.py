"""What happens to an account and is announced on its stream. Each value stands for one event."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from recorder.simulator.books.fill import Fill
from recorder.simulator.books.order import Order
from recorder.simulator.position import Position

ExecutionType = Literal["NEW", "CANCELED", "TRADE", "CALCULATED"]
Reason = Literal[
    "ORDER",
    "ADL",
    "FUNDING_FEE",
    "DEPOSIT",
    "WITHDRAW",
    "ADJUSTMENT",
    "INSURANCE_CLEAR",
    "MARGIN_TRANSFER",
    "MARGIN_TYPE_CHANGE",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """A wallet after a change.

    Attributes:
        cross: Without what isolated positions have put aside.
        change: What was moved, other than by profit and commission.
    """

    asset: str
    wallet: Decimal
    cross: Decimal
    change: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChange:
    """Wallets and positions moved: ``ACCOUNT_UPDATE``.

    Attributes:
        positions: After the change; not all of them need have changed.
        symbol: Of a funding.
    """

    time: datetime
    reason: Reason
    balances: tuple[Balance, ...] = ()
    positions: tuple[Position, ...] = ()
    symbol: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChange:
    """An order was placed, cancelled or filled: ``ORDER_TRADE_UPDATE``.

    Attributes:
        order: After the change.
        fill: Only of ``TRADE``, and of ``CALCULATED``, which is how a liquidation is reported.
    """

    time: datetime
    order: Order
    execution: ExecutionType
    fill: Fill | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageChange:
    """``ACCOUNT_CONFIG_UPDATE``."""

    time: datetime
    symbol: str
    leverage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginCall:
    """Positions are about to be liquidated: ``MARGIN_CALL``.

    Attributes:
        cross: The cross wallet, if these are cross positions.
    """

    time: datetime
    positions: tuple[Position, ...]
    cross: Decimal | None = None


Happening = AccountChange | OrderChange | LeverageChange | MarginCall
