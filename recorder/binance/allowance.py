"""What this address may ask: the weight of the minute and the pauses that the exchange imposes, on both channels."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import msgspec

from recorder.binance.clock import ExchangeClock
from recorder.binance.errors import LONGEST_BAN, pause_end, rate_limited, refusal, told
from recorder.binance.messages import RateLimit, WireError
from recorder.binance.pause import PauseFile
from recorder.binance.weight import WeightBudget
from recorder.exceptions import ExchangeError, RateLimited, RequestRejected

_PATIENCE = 90.0
"""Seconds of a pause that a request in the background waits for: it is over with the minute, or it is a ban."""

_log = logging.getLogger(__name__)


class Allowance:
    """Lets requests through, and keeps all of them back while the exchange wants nothing asked."""

    def __init__(self, weight: WeightBudget, clock: ExchangeClock, pause_file: PauseFile | None) -> None:
        self._weight = weight
        self._clock = clock
        self._pause_file = pause_file
        self._turn = asyncio.Lock()

    @property
    def paused_until(self) -> datetime | None:
        """In this machine's time; ``None`` when nothing is paused."""
        until = self._weight.paused_until
        if until is None or not self._weight.is_paused(self._clock.now()):
            return None
        return self._clock.local(until)

    @property
    def pause_left(self) -> timedelta:
        """How long nothing may be asked from now on; zero when nothing is paused."""
        until = self._weight.paused_until
        return timedelta(0) if until is None else max(timedelta(0), until - self._clock.now())

    def resume_pause(self) -> None:
        """Respect a pause that was imposed before this process was started."""
        if self._pause_file and (until := self._pause_file.read()):
            self._weight.pause(min(self._clock.exchange(until), self._clock.now() + LONGEST_BAN))

    def refuse_if_paused(self, deadline: float) -> None:
        """Raise RateLimited when a pause lasts beyond *deadline*, in the event loop's time."""
        until = self._weight.paused_until
        left = timedelta(seconds=deadline - asyncio.get_running_loop().time())
        if until is not None and until - self._clock.now() > left:
            raise rate_limited(self._clock.local(until))

    async def reserve(self, weight: int, deadline: float, *, background: bool = False) -> None:
        """Take *weight*, or raise RateLimited when there is none before *deadline*."""
        loop = asyncio.get_running_loop()
        while wait := self._weight.reserve(weight, self._clock.now(), background=background):
            self.refuse_if_paused(deadline)
            if wait.total_seconds() > deadline - loop.time():
                raise RateLimited(
                    f"The weight that may be used in this minute is used up ({self._weight.budget} by this program)",
                    until=self._clock.local(self._clock.now() + wait),
                    why="More accounts are asked, or more often, than the budget allows; or others behind this "
                    "address use up the exchange's own limit.",
                    fix="Raise exchange.weight_budget, at most to half of the exchange's limit, or ask less often.",
                )
            await asyncio.sleep(wait.total_seconds())

    async def reserve_in_background(self, weight: int) -> None:
        """Take *weight* of what the background may use, in turn with others, however many minutes that takes.

        Raises RateLimited at a pause that outlasts the minute, and RequestRejected when there can never be so much.
        """
        if weight > self._weight.background:
            raise RequestRejected(
                f"A request of weight {weight} is more than may be asked besides the snapshots "
                f"({self._weight.background} of exchange.weight_budget = {self._weight.budget})",
                fix=f"Raise exchange.weight_budget to at least {2 * weight}.",
            )
        async with self._turn:
            while wait := self._weight.reserve(weight, self._clock.now(), background=True):
                self.refuse_if_paused(asyncio.get_running_loop().time() + _PATIENCE)
                await asyncio.sleep(wait.total_seconds())

    def settle(self, weight: int, *, background: bool = False) -> None:
        """Say that reserved weight is counted by the exchange by now, or was never sent."""
        self._weight.settle(weight, self._clock.now(), background=background)

    def observe(self, limits: Iterable[RateLimit]) -> None:
        """Take over the exchange's own count for this address."""
        self._weight.observe(limits, self._clock.now())

    def observe_count(self, count: int) -> None:
        """Take over the exchange's own count from an answer that does not tell the limit."""
        self._weight.observe_count(count, self._clock.now())

    def refused(self, subject: str, status: int, error: WireError, redact: Callable[[str], str] = str) -> ExchangeError:
        """Return the error to raise for a refusal; one that is about this address pauses everything."""
        error = msgspec.structs.replace(error, msg=redact(error.msg))
        until = pause_end(status, error, self._clock.now())
        if until is None:
            return refusal(subject, status, error)
        return rate_limited(self._clock.local(self.pause(until)), told(status, error))

    def handshake_limited(self, limited: RateLimited) -> None:
        """Pause everything because a connection was refused for this address."""
        self.pause(self._clock.exchange(limited.until))

    def pause(self, until: datetime) -> datetime:
        """Have nothing asked before *until*, exchange time, and return the end of the longest pause."""
        before = self._weight.paused_until
        self._weight.pause(until)
        if before is None or until > before:
            _log.warning("The exchange wants nothing asked from this address until %s", self._clock.local(until))
            if self._pause_file:
                self._pause_file.write(self._clock.local(until))
        return max(until, before or until)
