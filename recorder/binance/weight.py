"""The weight budget: how much may be asked in a minute, by all accounts and connections of this process."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from recorder.binance.messages import RateLimit

HANDSHAKE = 5
POSITIONS = 5
BALANCES = 5
SESSION_STATUS = 2
LISTEN_KEY = 1
INCOME = 30
USER_TRADES = 5
ACCOUNT_CONFIG = 5
KEY_PERMISSIONS = 1
SERVER_TIME = 1

_MINUTE = timedelta(minutes=1)
_KEPT_FREE = 20
"""One part in so many of the exchange's own limit is never used: others behind the address count too."""


class WeightBudget:
    """What this process has used of its own budget, and this address of the exchange's limit.

    Both are counted in windows that begin with each minute of the exchange's clock: every ``now`` is exchange time.
    Weight is *under way* from reserving until settling, since nobody can tell in which minute the exchange counts it;
    it is therefore held against both windows it may fall into.

    Requests *in the background* can wait, such as those of a back-fill: what the others have not used yet of their part
    of the window is left to them.

    Attributes:
        budget: The most this process uses in a window.
        background: The most of it that is used in the background.
        limit: The most the exchange allows this address in a window; ``None`` until an answer told.
        paused_until: The end of the latest pause; ``None`` once it was found to be over.
    """

    def __init__(self, budget: int, background: int | None = None) -> None:
        """*background* is half of the budget unless told otherwise."""
        if budget < max(HANDSHAKE, POSITIONS, BALANCES):
            raise ValueError(f"a weight budget of {budget} does not allow even one request")
        self.budget = budget
        self.background = budget // 2 if background is None else min(background, budget)
        self.limit: int | None = None
        self._used = 0
        self.paused_until: datetime | None = None
        self._counted = 0
        self._under_way = 0
        self._background_used = 0
        self._background_under_way = 0
        self._window: datetime | None = None

    def used(self, now: datetime) -> int:
        """Return own use in the present window."""
        self._roll(now)
        return self._used

    def reserve(self, weight: int, now: datetime, *, background: bool = False) -> timedelta:
        """Take *weight* and return zero, or take nothing and return the time after which to ask again."""
        if self.is_paused(now):
            return self.paused_until - now if self.paused_until else timedelta(0)
        self._roll(now)
        wanted = weight + self._left_to_others() if background else weight
        if self._used + wanted > self.budget or not self._allowed(wanted):
            return _window(now) + _MINUTE - now
        self._used += weight
        self._under_way += weight
        if background:
            self._background_used += weight
            self._background_under_way += weight
        return timedelta(0)

    def settle(self, weight: int, now: datetime, *, background: bool = False) -> None:
        """Say that reserved weight is counted by the exchange by now, or was never sent."""
        self._roll(now)  # before it is settled: what was under way when the minute began can be counted in it
        self._under_way -= weight
        if background:
            self._background_under_way -= weight

    def observe(self, limits: Iterable[RateLimit], now: datetime) -> None:
        """Take over the exchange's own count for this address, which others may use too."""
        for counter in limits:
            if counter.is_weight_per_minute and counter.limit > 0:
                self._roll(now)
                self.limit = counter.limit
                self._counted = max(self._counted, counter.count)

    def observe_count(self, count: int, now: datetime) -> None:
        """Take over the exchange's own count from an answer that does not tell the limit."""
        self._roll(now)
        self._counted = max(self._counted, count)

    def pause(self, until: datetime) -> None:
        """Reserve nothing before *until*. A pause is never shortened."""
        self.paused_until = until if self.paused_until is None else max(until, self.paused_until)

    def is_paused(self, now: datetime) -> bool:
        if self.paused_until is not None and now >= self.paused_until:
            self.paused_until = None  # for good: a clock that is found to be wrong later must not bring it back
        return self.paused_until is not None

    def _left_to_others(self) -> int:
        return max(0, self.budget - self.background - (self._used - self._background_used))

    def _allowed(self, weight: int) -> bool:
        if self.limit is None:
            return True
        return self._counted + self._under_way + weight <= self.limit - self.limit // _KEPT_FREE

    def _roll(self, now: datetime) -> None:
        window = _window(now)
        if self._window is None or window > self._window:
            self._window = window
            self._used = self._under_way
            self._background_used = self._background_under_way
            self._counted = 0
        elif window < self._window - _MINUTE:  # the clock was found to be wrong; a mere correction keeps the window
            self._window = window


def _window(now: datetime) -> datetime:
    return now.replace(second=0, microsecond=0)
