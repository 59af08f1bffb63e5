"""When a connection is to be replaced, and when a lost one may be opened again."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from secrets import SystemRandom

STABLE = 60.0
"""Seconds after which a connection counts as a success: only then is the next one opened without delay."""
LIFETIME = timedelta(hours=23)
"""The exchange ends a connection after 24 h."""

_LIFETIME_JITTER = timedelta(minutes=50)

_FIRST = 0.2
_LONGEST = 30.0


class Backoff:
    """Delays with full jitter: none at first, then up to 0.2 s, doubling to 30 s, until ``reset``."""

    def __init__(self, uniform: Callable[[float, float], float] | None = None) -> None:
        self._uniform = uniform or SystemRandom().uniform
        self._ceiling = 0.0

    def delay(self) -> float:
        """Return the seconds to wait before the next attempt."""
        ceiling = self._ceiling
        self._ceiling = min(max(_FIRST, 2 * ceiling), _LONGEST)
        return self._uniform(0, ceiling)

    def reset(self) -> None:
        self._ceiling = 0.0


class ConnectionBudget:
    """At most *limit* new connections in any *period*, however the exchange behaves."""

    def __init__(self, limit: int = 60, period: timedelta = timedelta(minutes=5)) -> None:
        self._period = period.total_seconds()
        self._opened: deque[float] = deque(maxlen=limit)

    def wait(self, now: float) -> timedelta:
        """Return how long after *now*, in steady seconds, the next connection may be opened."""
        if len(self._opened) < (self._opened.maxlen or 0):
            return timedelta(0)
        return timedelta(seconds=max(0.0, self._opened[0] + self._period - now))

    def spend(self, now: float) -> None:
        """Count a connection that is opened now."""
        self._opened.append(now)


def life(lifetime: timedelta = LIFETIME) -> float:
    """Return for how many seconds to use a connection: *lifetime* and up to 50 minutes more, in proportion."""
    longest = SystemRandom().uniform(0, _LIFETIME_JITTER / LIFETIME)
    return (lifetime * (1 + longest)).total_seconds()


async def replacement_due(ending: asyncio.Event, lifetime: timedelta = LIFETIME) -> None:
    """Wait until a connection is *ending*, or has lived its life."""
    with suppress(TimeoutError):
        async with asyncio.timeout(life(lifetime)):
            await ending.wait()
