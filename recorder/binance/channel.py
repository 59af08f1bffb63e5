"""One attempt at one request: within the weight budget, on the connection of the moment, refusals as exceptions."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from recorder.binance.clock import ExchangeClock
from recorder.binance.connection import Connection, Reply
from recorder.binance.errors import LONGEST_BAN, pause_end, rate_limited, refusal, told
from recorder.binance.pause import PauseFile
from recorder.binance.session import Answered, Event, LateAnswer, Refused, Unintelligible
from recorder.binance.signing import Params
from recorder.binance.supervisor import Supervisor
from recorder.binance.weight import WeightBudget
from recorder.exceptions import AnswerTimeout, ExchangeError, MalformedAnswer, RateLimited

_log = logging.getLogger(__name__)


class Channel:
    """What all accounts share: the connection, the weight budget, and the pauses the exchange imposes.

    Attributes:
        counts: How often each kind of event came, by the name of its class, and ``AnswerTimeout``.
    """

    def __init__(self, url: str, weight: WeightBudget, clock: ExchangeClock, pause_file: PauseFile | None) -> None:
        self._weight = weight
        self._clock = clock
        self._pause_file = pause_file
        self._remark: tuple[float, str] | None = None
        self._answered_at = time.monotonic()
        self.counts: Counter[str] = Counter()
        self.supervisor = Supervisor(url, weight, clock, notice=self._notice, rate_limited=self._handshake_limited)

    @property
    def last_error(self) -> str:
        """What last went wrong or was said that answers no request; empty once requests are answered again."""
        return self.supervisor.last_error or self._remark_since(self._answered_at)

    @property
    def paused_until(self) -> datetime | None:
        """In this machine's time; ``None`` when nothing is paused."""
        until = self._weight.paused_until
        if until is None or not self._weight.is_paused(self._clock.now()):
            return None
        return self._clock.local(until)

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

    async def attempt(
        self,
        subject: str,
        method: str,
        params: Callable[[], Params],
        *,
        weight: int,
        answer_timeout: float,
        deadline: float,
        redact: Callable[[str], str] = str,
    ) -> tuple[bytes, Reply]:
        """Send one request as soon as it may be sent, and return its result as JSON text, with the times.

        Params are made when they are sent, since a signature grows old. *redact* takes secrets out of what the
        exchange says before it is quoted. Waiting is ended by cancellation, or at once where it would be beyond
        *deadline*. Raises an ExchangeError of every kind.
        """
        self.refuse_if_paused(deadline)
        await self.supervisor.connection()  # holding no weight meanwhile: the handshake needs some
        await self._reserve(weight, deadline)
        try:
            connection = await self.supervisor.connection()
            reply = await self._reply(connection, subject, method, params(), answer_timeout)
        finally:
            self._weight.settle(weight, self._clock.now())
        match reply.event:
            case Answered():
                return reply.event.result, reply
            case Refused():
                raise self._refused(subject, reply.event, redact)
            case Unintelligible():
                raise MalformedAnswer(f"{subject}: the answer to {method} is not readable: {reply.event.detail}")

    async def _reply(
        self, connection: Connection, subject: str, method: str, params: Params, answer_timeout: float
    ) -> Reply:
        asked_at = time.monotonic()
        try:
            async with asyncio.timeout(answer_timeout):
                return await connection.request(method, params)
        except TimeoutError as exc:
            self.counts[AnswerTimeout.__name__] += 1
            if connection.received_at < asked_at:
                await self.supervisor.replace(connection, patience=answer_timeout / 4)
            raise AnswerTimeout(
                f"{subject}: {method} was not answered within {answer_timeout:g} s",
                why=self._remark_since(asked_at) or "The exchange or the network is slow, or the request was lost.",
                fix="If it lasts: raise snapshot.timeout, or look for announcements of the exchange.",
            ) from exc

    async def _reserve(self, weight: int, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while wait := self._weight.reserve(weight, self._clock.now()):
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

    def _refused(self, subject: str, refused: Refused, redact: Callable[[str], str]) -> ExchangeError:
        error = msgspec.structs.replace(refused.error, msg=redact(refused.error.msg))
        until = pause_end(refused.status, error, self._clock.now())
        if until is None:
            return refusal(subject, refused.status, error)
        return rate_limited(self._clock.local(self._pause(until)), told(refused.status, error))

    def _notice(self, event: Event) -> None:
        self.counts[type(event).__name__] += 1
        match event:
            case Answered() | LateAnswer():
                self._answered_at = time.monotonic()
                self._weight.observe(event.limits, self._clock.now())
            case Refused():
                self._weight.observe(event.limits, self._clock.now())
                if event.id is None:
                    self._refused_as_a_whole(event)
            case Unintelligible():
                self._keep(f"The exchange sent a frame that is not understood: {event.detail}")
            case _:
                pass

    def _refused_as_a_whole(self, refused: Refused) -> None:
        """Take note of a refusal that names no request. Whose it is, only the missing answer will tell."""
        if until := pause_end(refused.status, refused.error, self._clock.now()):
            self._pause(until)
        # without its text, which could quote a key of an account that is not known here
        self._keep(
            "The exchange refused something on this connection without saying what "
            f"(status {refused.status}, code {refused.error.code})"
        )

    def _keep(self, remark: str) -> None:
        self._remark = (time.monotonic(), remark)
        _log.warning("%s", remark)

    def _remark_since(self, moment: float) -> str:
        return self._remark[1] if self._remark and self._remark[0] >= moment else ""

    def _handshake_limited(self, limited: RateLimited) -> None:
        self._pause(self._clock.exchange(limited.until))

    def _pause(self, until: datetime) -> datetime:
        before = self._weight.paused_until
        self._weight.pause(until)
        if before is None or until > before:
            _log.warning("The exchange wants nothing asked from this address until %s", self._clock.local(until))
            if self._pause_file:
                self._pause_file.write(self._clock.local(until))
        return max(until, before or until)
