"""The arithmetic of one position: what a fill does to amount, average entry price, break-even price and profit.

Contracts are linear: one contract is one unit of the base asset, and values are in the margin asset. As on the
exchange, amounts of money have 8 decimals, cut towards zero.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import Literal

PositionSide = Literal["BOTH", "LONG", "SHORT"]
PositionKey = tuple[str, PositionSide]
"""Symbol and side."""
ZERO = Decimal(0)
_MONEY = Decimal("0.00000001")


def money(amount: Decimal) -> Decimal:
    """Cut *amount* to 8 decimals, towards zero."""
    return amount.quantize(_MONEY, ROUND_DOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One symbol and side of one account, from one fill to the next.

    Attributes:
        amount: Signed; negative is short, on every side.
        update_time: Of the last fill, or move of an isolated wallet; ``None`` before the first.
        accumulated_realized: Realised profit before fees since the account began; being flat does not reset it.
        episode_result: Realised profit less commission since the position was last flat or flipped.
        isolated: Whether it has margin of its own instead of the account's.
        isolated_wallet: That margin, without unrealised profit; 0 for a cross position.
    """

    symbol: str
    position_side: PositionSide
    amount: Decimal = ZERO
    entry_price: Decimal = ZERO
    update_time: datetime | None = None
    accumulated_realized: Decimal = ZERO
    episode_result: Decimal = ZERO
    isolated: bool = False
    isolated_wallet: Decimal = ZERO

    @property
    def break_even_price(self) -> Decimal:
        """The price at which closing gives back the commissions paid and the profits taken since the opening.

        Right after opening it is entry·(1 + fee rate) for a long and entry·(1 - fee rate) for a short. 0 when flat.
        """
        if not self.amount:
            return ZERO
        return self.entry_price - self.episode_result / self.amount

    def filled(
        self,
        *,
        quantity: Decimal,
        price: Decimal,
        fee_rate: Decimal,
        time: datetime,
        entry_digits: int = 8,
        leverage: int = 1,
    ) -> tuple["Position", Decimal, Decimal]:
        """Return the position after a fill, the realised profit and the commission, both in the margin asset.

        *quantity* is signed. In one-way mode it may go through zero; what is left over opens the other way. An isolated
        position puts aside value / *leverage* of what is opened and gives back the same share as is closed.

        Raises:
            ValueError: The quantity is 0, or ``LONG`` would become negative or ``SHORT`` positive.
        """
        if not quantity:
            raise ValueError(f"{self.symbol} {self.position_side}: a fill of nothing")
        amount = self.amount + quantity
        if (self.position_side == "LONG" and amount < 0) or (self.position_side == "SHORT" and amount > 0):
            raise ValueError(f"{self.symbol} {self.position_side}: {self.amount} cannot become {amount}")
        commission = money(abs(quantity) * price * fee_rate)
        realized = ZERO
        entry_price = self.entry_price
        episode_result = self.episode_result - commission
        if self.amount * quantity >= 0:
            cost = abs(self.amount) * self.entry_price + abs(quantity) * price
            entry_price = (cost / abs(amount)).quantize(Decimal((0, (1,), -entry_digits)), ROUND_DOWN)
        else:
            closed = min(abs(self.amount), abs(quantity))
            realized = money((price - self.entry_price) * closed.copy_sign(self.amount))
            episode_result += realized
            if not amount:
                entry_price = episode_result = ZERO
            elif amount * self.amount < 0:
                entry_price = price
                episode_result = -money(abs(amount) * price * fee_rate)
        after = replace(
            self,
            amount=amount,
            entry_price=entry_price,
            update_time=time,
            accumulated_realized=self.accumulated_realized + realized,
            episode_result=episode_result,
            isolated_wallet=self._margin_after(quantity, price, leverage) if self.isolated else ZERO,
        )
        return after, realized, commission

    def with_margin(self, change: Decimal, time: datetime) -> "Position":
        """Return the position with more, or less, in its isolated wallet."""
        return replace(self, isolated_wallet=self.isolated_wallet + change, update_time=time)

    def _margin_after(self, quantity: Decimal, price: Decimal, leverage: int) -> Decimal:
        amount = self.amount + quantity
        if self.amount * quantity >= 0:
            return self.isolated_wallet + money(abs(quantity) * price / leverage)
        if amount * self.amount < 0:
            return money(abs(amount) * price / leverage)
        return money(self.isolated_wallet * amount / self.amount)
