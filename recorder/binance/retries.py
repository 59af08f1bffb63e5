"""What one call tries again, and when."""

from secrets import SystemRandom

from recorder.binance.errors import SignatureRejected
from recorder.exceptions import AnswerTimeout, ClockRejected, ExchangeError, ExchangeUnavailable

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
