"""What one call tries again, and when."""

import asyncio
from collections.abc import Awaitable, Callable
from secrets import SystemRandom
from typing import TypeVar

from recorder.binance.errors import SignatureRejected
from recorder.exceptions import AnswerTimeout, ClockRejected, ExchangeError, ExchangeUnavailable

_T = TypeVar("_T")

_DELAYS = (0.2, 0.4, 0.8, 1.6)
_ONCE = (AnswerTimeout, ClockRejected, SignatureRejected)


class Retries:
    """A time-out, a refused timestamp and a refused signature are tried again once each, faults four times."""

    def __init__(self) -> None:
        self._delays = iter(_DELAYS)
        self._tried: set[type[ExchangeError]] = set()

    def delay(self, error: ExchangeError) -> float | None:
        """Return the seconds after which to try again, or ``None`` when the error is final."""
        if isinstance(error, _ONCE):
            if type(error) in self._tried:
                return None
            self._tried.add(type(error))
            return 0.0
        if isinstance(error, ExchangeUnavailable):
            longest = next(self._delays, None)
            return None if longest is None else SystemRandom().uniform(longest / 2, longest)
        return None


async def with_retries(
    attempt: Callable[[], Awaitable[_T]], measure_clock: Callable[[], Awaitable[None]], *, deadline: float | None = None
) -> _T:
    """Attempt until it works or its error is final; a refused timestamp has the clock measured first.

    Nothing is tried again from *deadline* on, in the event loop's time: the error then tells more than a time-out.
    """
    retries = Retries()
    loop = asyncio.get_running_loop()
    while True:
        try:
            return await attempt()
        except ExchangeError as exc:
            delay = retries.delay(exc)
            if delay is None or (deadline is not None and loop.time() + delay >= deadline):
                raise
            if isinstance(exc, ClockRejected):
                await measure_clock()
        await asyncio.sleep(delay)
