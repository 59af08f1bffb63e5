"""Trading fees, and paying them with BNB."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from recorder.simulator.position import ZERO, money

_DISCOUNT = Decimal("0.9")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """What an account pays for a trade.

    Attributes:
        taker, maker: Shares of the traded value; negative when the account is paid.
        bnb_price: Set when the account pays with BNB: what one is worth at a moment, in the margin asset.
    """

    taker: Decimal = Decimal("0.0004")
    maker: Decimal = Decimal("0.0002")
    bnb_price: Callable[[datetime], Decimal] | None = None

    def rate(self, *, maker: bool) -> Decimal:
        return self.maker if maker else self.taker

    def charged(
        self, commission: Decimal, asset: str, wallets: Mapping[str, Decimal], time: datetime
    ) -> tuple[str, Decimal]:
        """Return in which asset the *commission* is paid, and how much: in BNB a tenth less, as long as there is any.

        What the account is paid, it is paid in the margin *asset*.
        """
        if self.bnb_price is not None and commission > 0:
            in_bnb = money(commission * _DISCOUNT / self.bnb_price(time))
            if in_bnb <= wallets.get("BNB", ZERO):
                return "BNB", in_bnb
        return asset, commission


STANDARD = Fees()
