"""Income: every change of a wallet is a line of one of these types."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from recorder.simulator.position import PositionSide

IncomeType = Literal[
    "REALIZED_PNL",
    "COMMISSION",
    "FUNDING_FEE",
    "TRANSFER",
    "INSURANCE_CLEAR",
    "REFERRAL_KICKBACK",
    "COMMISSION_REBATE",
    "API_REBATE",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Income:
    """One line of the ledger.

    Attributes:
        amount: Signed as the account's profit: a commission that was paid is negative.
        time: What the exchange says; funding carries the full hour although it is booked some seconds later.
        booked_at: When the wallet changed, and the earliest moment at which the line can be asked for.
        tran_id: Beyond 2**53, and unique only among the account's lines of one type: profit and commission of one fill
            share it, and so do lines that have nothing to do with each other.
        trade_id: Of the fill; ``None`` if there was none.
        position_side: Which side a funding was for. The exchange does not tell.
    """

    account: str
    type: IncomeType
    asset: str
    amount: Decimal
    time: datetime
    booked_at: datetime
    tran_id: int
    symbol: str = ""
    trade_id: int | None = None
    position_side: PositionSide | None = None
