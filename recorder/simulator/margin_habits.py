"""What an account's owner does with margin: seeded, several times a day."""

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from recorder.simulator.account import Account
from recorder.simulator.margin import move_margin, set_isolated, set_leverage
from recorder.simulator.market import Market
from recorder.simulator.position import money

_MILLISECOND = timedelta(milliseconds=1)
_PAUSE = timedelta(minutes=90)  # on average
_LEVERAGES = (3, 5, 10, 20, 50)
_SHARES = (-20, -10, 10, 30, 50)  # per cent of what an isolated position has


class MarginHabits:
    """Changes leverages; for accounts that begin with isolated positions also their margin, and margin types."""

    def __init__(self, account: Account, market: Market, seed: str) -> None:
        self._account = account
        self._symbols = tuple(market.instruments)
        self._random = Random(seed)
        self._actions = (self._set_leverage, self._move_margin, self._set_margin_type)
        self._weights = (1, 2, 1) if account.isolated else (1, 0, 0)

    def next(self, after: datetime) -> datetime:
        return after + _PAUSE * self._random.uniform(0.1, 1.9) // _MILLISECOND * _MILLISECOND

    def act(self, now: datetime) -> None:
        (action,) = self._random.choices(self._actions, self._weights)
        action(now)

    def _set_leverage(self, now: datetime) -> None:
        isolated = {position.symbol for position, _ in self._account.rows() if position.isolated}
        symbol = self._random.choice([symbol for symbol in self._symbols if symbol not in isolated])
        set_leverage(self._account, symbol, self._random.choice(_LEVERAGES), time=now)

    def _move_margin(self, now: datetime) -> None:
        held = [position for position in self._account.open_positions() if position.isolated]
        if held:
            position = self._random.choice(held)
            amount = money(position.isolated_wallet * self._random.choice(_SHARES) / Decimal(100))
            if amount:
                move_margin(self._account, (position.symbol, position.position_side), amount, time=now)

    def _set_margin_type(self, now: datetime) -> None:
        listed = {position.symbol for position, _ in self._account.rows()}
        symbol = self._random.choice([symbol for symbol in self._symbols if symbol not in listed])
        set_isolated(self._account, symbol, isolated=symbol not in self._account.isolated, time=now)
