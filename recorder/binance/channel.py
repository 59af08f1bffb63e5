"""One attempt at one request: within the weight budget, on the connection of the moment, refusals as exceptions."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

from recorder.binance.allowance import Allowance
from recorder.binance.clock import ExchangeClock
from recorder.binance.connection import Connection, Reply
from recorder.binance.errors import pause_end
from recorder.binance.session import Answered, Event, LateAnswer, Refused, Unintelligible
from recorder.binance.signing import Params
from recorder.binance.supervisor import Supervisor
from recorder.binance.weight import WeightBudget
from recorder.exceptions import AnswerTimeout, MalformedAnswer
from recorder.process.clock import steady

_log = logging.getLogger(__name__)


class Channel:
    """What all accounts share: the connection, and what comes on it that is no answer.

    Attributes:
        counts: How often each kind of event came, by the name of its class, and ``AnswerTimeout``.
    """

    def __init__(self, url: str, weight: WeightBudget, clock: ExchangeClock, allowance: Allowance) -> None:
        self._clock = clock
        self._allowance = allowance
        self._remark: tuple[float, str] | None = None
        self._answered_at = steady()
        self.counts: Counter[str] = Counter()
        self.supervisor = Supervisor(url, weight, clock, notice=self._notice, rate_limited=allowance.handshake_limited)

    @property
    def last_error(self) -> str:
        """What last went wrong or was said that answers no request; empty once requests are answered again."""
        return self.supervisor.last_error or self._remark_since(self._answered_at)

    async def attempt(
        self,
        subject: str,
        method: str,
        params: Callable[[], Params],
        *,
        weight: int,
        answer_timeout: float,
        deadline: float,
        background: bool = False,
        redact: Callable[[str], str] = str,
    ) -> tuple[bytes, Reply]:
        """Send one request as soon as it may be sent, and return its result as JSON text, with the times.

        Params are made when they are sent, since a signature grows old. *redact* takes secrets out of what the
        exchange says before it is quoted. Waiting is ended by cancellation, or at once where it would be beyond
        *deadline*. Raises an ExchangeError of every kind.
        """
        self._allowance.refuse_if_paused(deadline)
        await self.supervisor.connection()  # holding no weight meanwhile: the handshake needs some
        await self._allowance.reserve(weight, deadline, background=background)
        try:
            connection = await self.supervisor.connection()
            reply = await self._reply(connection, subject, method, params(), answer_timeout)
        finally:
            self._allowance.settle(weight, background=background)
        match reply.event:
            case Answered():
                return reply.event.result, reply
            case Refused():
                raise self._allowance.refused(subject, reply.event.status, reply.event.error, redact)
            case Unintelligible():
                raise MalformedAnswer(f"{subject}: the answer to {method} is not readable: {reply.event.detail}")

    async def _reply(
        self, connection: Connection, subject: str, method: str, params: Params, answer_timeout: float
    ) -> Reply:
        asked_at = steady()
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

    def _notice(self, event: Event) -> None:
        self.counts[type(event).__name__] += 1
        match event:
            case Answered() | LateAnswer():
                self._answered_at = steady()
                self._allowance.observe(event.limits)
            case Refused():
                self._allowance.observe(event.limits)
                if event.id is None:
                    self._refused_as_a_whole(event)
            case Unintelligible():
                self._keep(f"The exchange sent a frame that is not understood: {event.detail}")
            case _:
                pass

    def _refused_as_a_whole(self, refused: Refused) -> None:
        """Take note of a refusal that names no request. Whose it is, only the missing answer will tell."""
        if until := pause_end(refused.status, refused.error, self._clock.now()):
            self._allowance.pause(until)
        # without its text, which could quote a key of an account that is not known here
        self._keep(
            "The exchange refused something on this connection without saying what "
            f"(status {refused.status}, code {refused.error.code})"
        )

    def _keep(self, remark: str) -> None:
        self._remark = (steady(), remark)
        _log.warning("%s", remark)

    def _remark_since(self, moment: float) -> str:
        return self._remark[1] if self._remark and self._remark[0] >= moment else ""
