"""A position row: what the exchange says of one symbol and one side of one account at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""The exchange's ``updateTime`` 0: the row has never changed."""

Key = tuple[str, str]
"""Symbol and position side: which position of an account is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionState:
    """What a position *is*, whatever its mark price does: the part of a row that makes a change when it differs.

    Attributes:
        position_side: ``BOTH`` in one-way mode, ``LONG`` or ``SHORT`` in hedge mode.
        position_amt: Signed, in base units; negative is short, on every side.
        update_time: When the position last *changed*, which mark prices do not do; ``NEVER`` for the exchange's 0.
    """

    symbol: str
    position_side: str
    position_amt: Decimal
    entry_price: Decimal
    update_time: datetime
    break_even_price: Decimal | None = None
    margin_asset: str | None = None

    @property
    def key(self) -> Key:
        return self.symbol, self.position_side

    @property
    def is_open(self) -> bool:
        """Whether anything is held; a row with amount 0 is there because of open orders."""
        return self.position_amt != 0

    @property
    def is_dated(self) -> bool:
        """Whether the exchange says since when this state holds."""
        return self.update_time != NEVER

    def same_as(self, other: "PositionState") -> bool:
        """Whether both tell of the same state: amount, prices and margin asset by value, dates aside."""
        return (
            self.position_amt == other.position_amt
            and self.entry_price == other.entry_price
            and self.break_even_price == other.break_even_price
            and self.margin_asset == other.margin_asset
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Position(PositionState):
    """One element of the exchange's answer to ``v2/account.position``.

    Prices are in quote per base, profit and margins in the margin asset. ``None`` stands for a field that the
    exchange left out. Every number has exactly the digits that were sent and is finite: the edge refuses others.

    Attributes:
        mark_price: The mark price of this very row, to which its profit and margins belong.
        liquidation_price: 0 means none.
        adl: Place in the auto-deleverage queue, 0 (safe) to 4.
        extra: Fields this program does not know, as they were sent.
    """

    mark_price: Decimal
    unrealized_profit: Decimal
    liquidation_price: Decimal | None = None
    isolated_margin: Decimal | None = None
    notional: Decimal | None = None
    isolated_wallet: Decimal | None = None
    initial_margin: Decimal | None = None
    maint_margin: Decimal | None = None
    position_initial_margin: Decimal | None = None
    open_order_initial_margin: Decimal | None = None
    adl: int | None = None
    bid_notional: Decimal | None = None
    ask_notional: Decimal | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
