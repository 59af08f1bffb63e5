"""Income: one line of the exchange's own ledger of an account."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Income:
    """Why a wallet balance changed: realised profit, commission, funding, a transfer, and whatever else there is.

    Attributes:
        income_type: As the exchange names it, such as ``FUNDING_FEE``; new types come without notice.
        symbol: ``None`` for what belongs to no symbol, such as a transfer.
        income: In *asset*, signed as profit, as sent: negative when paid.
        tran_id: Unique within one ``income_type`` only: profit and commission of one fill can share it.
        trade_id: ``None`` for what comes from no trade.
        info: The exchange's own remark; empty when there is none.
    """

    time: datetime
    income_type: str
    symbol: str | None
    asset: str
    income: Decimal
    tran_id: int
    trade_id: int | None
    info: str
