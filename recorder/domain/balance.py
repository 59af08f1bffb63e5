"""A balance: what the exchange says of one asset of one account at one moment."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """One element of the exchange's answer to ``v2/account.balance``; every amount is in *asset*.

    Attributes:
        account_alias: The exchange's own short code of the account, the same for all of its keys.
        balance: The wallet balance: without unrealised profit.
        cross_wallet_balance: The wallet balance without what is put aside for isolated positions.
        cross_un_pnl: Unrealised profit of cross positions.
        margin_available: Whether the asset counts as margin in multi-assets mode.
        update_time: When the balance last changed; ``NEVER`` for the exchange's 0, ``None`` when it was left out.
    """

    account_alias: str
    asset: str
    balance: Decimal
    cross_wallet_balance: Decimal
    cross_un_pnl: Decimal
    available_balance: Decimal
    max_withdraw_amount: Decimal
    margin_available: bool | None = None
    update_time: datetime | None = None
