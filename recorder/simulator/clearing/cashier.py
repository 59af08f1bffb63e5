"""Money that comes and goes without a trade: deposits, withdrawals, kickbacks and rebates."""

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import cycle
from random import Random

from recorder.simulator.account import Account
from recorder.simulator.books.income import IncomeType
from recorder.simulator.position import ZERO, money

_MILLISECOND = timedelta(milliseconds=1)
_FIRST_DEPOSIT, _FIRST_WITHDRAWAL = timedelta(hours=7), timedelta(hours=9)  # the second after the first
_LATER = timedelta(hours=60)  # on average, between two
_ARREARS_AT = 5  # the rebate that is paid in very many lines
_ARREARS = 1_100  # more than a page of income has
_REBATES: tuple[tuple[IncomeType, str], ...] = (
    ("REFERRAL_KICKBACK", "USDT"),
    ("COMMISSION_REBATE", "BNB"),
    ("API_REBATE", "USDT"),
)


class Transfers:
    """Deposits and withdrawals of one account by turns: the first ones on the first day, then every few days."""

    def __init__(self, account: Account, asset: str, seed: str) -> None:
        self._account = account
        self._asset = asset
        self._random = Random(seed)
        self._deposited = ZERO
        self._pauses = iter((_FIRST_DEPOSIT, _FIRST_WITHDRAWAL))

    def next(self, after: datetime) -> datetime:
        pause = next(self._pauses, None) or _LATER * self._random.uniform(0.5, 1.5)
        return after + pause // _MILLISECOND * _MILLISECOND

    def act(self, now: datetime) -> None:
        if self._deposited:
            amount = -self._deposited * self._random.randint(40, 90) / 100
            self._deposited = ZERO
        else:
            amount = self._deposited = Decimal(self._random.randint(2_000_00, 12_000_00)) / 100
        self._account.transfer(self._asset, money(amount), time=now)


class Rebates:
    """What one account gets for the trades of others and for its own, about once a day.

    The fifth comes in more lines of one millisecond than fit on a page.
    """

    def __init__(self, account: Account, seed: str) -> None:
        self._account = account
        self._random = Random(seed)
        self._types = cycle(_REBATES)
        self._paid = 0

    def next(self, after: datetime) -> datetime:
        pause = timedelta(days=1) * self._random.uniform(0.7, 1.3)
        return after + pause // _MILLISECOND * _MILLISECOND

    def act(self, now: datetime) -> None:
        self._paid += 1
        type_, asset = next(self._types)
        lines = _ARREARS if self._paid == _ARREARS_AT else 1
        amounts = [Decimal(self._random.randint(1, 200_000)).scaleb(-8) for _ in range(lines)]
        self._account.credit(type_, asset, amounts, time=now, reason="ADJUSTMENT")
