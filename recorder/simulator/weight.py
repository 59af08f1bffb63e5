"""Request weight: the limit that all connections from one address share, and what happens beyond it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from recorder.simulator import errors
from recorder.simulator.errors import ApiError

HANDSHAKE_WEIGHT = 5
_MINUTE = timedelta(minutes=1)
_FIRST_BAN, _LONGEST_BAN = timedelta(minutes=2), timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing is answered before ``until``: with status 429, or 418 when it is a ban."""

    status: int
    until: datetime


class WeightMeter:
    """Counts weight per calendar minute. Whoever goes on beyond the limit is banned, and longer each time.

    Attributes:
        limit: Per minute.
        patience: How many requests beyond the limit are answered with 429 before the ban.
        count: Used in the present minute, the last request included.
    """

    def __init__(self, limit: int, patience: int = 10) -> None:
        self.limit = limit
        self.patience = patience
        self.count = 0
        self._minute: datetime | None = None
        self._beyond = 0
        self._ban = _FIRST_BAN
        self._refusal: Refusal | None = None

    def refusal(self, now: datetime) -> Refusal | None:
        """Return the refusal in force."""
        if self._refusal is not None and now >= self._refusal.until:
            self._refusal = None
        return self._refusal

    def refuse(self, status: int, until: datetime) -> None:
        """Refuse everything from now on, whatever was used."""
        self._refusal = Refusal(status, until)

    def charge(self, weight: int, now: datetime) -> None:
        """Count *weight*, which counts also when it is refused.

        Raises:
            ApiError: 429 or 418.
        """
        minute = now.replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute, self.count, self._beyond = minute, 0, 0
        self.count += weight
        if self.count > self.limit:
            self._go_beyond(now, minute)
        refusal = self.refusal(now)
        if refusal is not None:
            raise self.error(refusal, now)

    def error(self, refusal: Refusal, now: datetime) -> ApiError:
        if refusal.status == HTTPStatus.IM_A_TEAPOT:
            return errors.banned(until=refusal.until, now=now)
        return errors.slow_down(self.limit, until=refusal.until, now=now)

    def _go_beyond(self, now: datetime, minute: datetime) -> None:
        self._beyond += 1
        if self._beyond > self.patience:
            self._beyond = 0
            self.refuse(HTTPStatus.IM_A_TEAPOT, now + self._ban)
            self._ban = min(2 * self._ban, _LONGEST_BAN)
        elif self.refusal(now) is None:
            self.refuse(HTTPStatus.TOO_MANY_REQUESTS, minute + _MINUTE)
