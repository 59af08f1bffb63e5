"""The client of the exchange: asks for positions, for many accounts over one connection."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from websockets.exceptions import InvalidURI
from websockets.uri import parse_uri

from recorder.binance.channel import Channel
from recorder.binance.clock import ExchangeClock
from recorder.binance.connection import Reply
from recorder.binance.messages import Balance, decode_balances, decode_positions
from recorder.binance.pause import PauseFile
from recorder.binance.retries import Retries
from recorder.binance.session import Answered, LateAnswer, Refused, Unintelligible
from recorder.binance.signing import Credentials, Params, signed_params
from recorder.binance.status import ClientStatus
from recorder.binance.stopped import StoppedAccounts
from recorder.binance.timekeeper import Timekeeper
from recorder.binance.weight import BALANCES, POSITIONS, WeightBudget
from recorder.domain.position import Position
from recorder.exceptions import (
    AccountRejected,
    AnswerTimeout,
    ClockRejected,
    ConfigurationError,
    ExchangeError,
    ExchangeUnavailable,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionsAnswer:
    """A complete answer for one account.

    Attributes:
        sent_at: Own wall clock.
        received_at: Own wall clock, as long after *sent_at* as it really took even if that clock was set meanwhile.
        clock_offset: Exchange clock minus own clock; ``None`` when it could not be measured yet.
    """

    positions: tuple[Position, ...]
    sent_at: datetime
    received_at: datetime
    clock_offset: timedelta | None

    @property
    def duration(self) -> timedelta:
        return self.received_at - self.sent_at

    @property
    def taken_at(self) -> datetime:
        """The exchange's time at which the rows were true, to within half the duration."""
        return self.sent_at + self.duration / 2 + (self.clock_offset or timedelta(0))


class Client:
    """Asks the exchange on behalf of any number of accounts. One per process: weight is counted per address.

    Attributes:
        tasks: What runs in the background while the client is entered. None of them ends by itself: one that is done
            has met something unforeseen, and the client is of no more use.
    """

    def __init__(
        self,
        ws_api_url: str,
        weight: WeightBudget,
        *,
        pause_file: PauseFile | None = None,
        answer_timeout: timedelta = timedelta(seconds=5),
    ) -> None:
        """Raises ConfigurationError for a URL that is no WebSocket's. *answer_timeout* is for measuring the clock."""
        _require_websocket_url(ws_api_url)
        self._weight = weight
        self._clock = ExchangeClock()
        self._channel = Channel(ws_api_url, weight, self._clock, pause_file)
        self._timekeeper = Timekeeper(self._channel, self._clock, answer_timeout)
        self._stopped = StoppedAccounts()
        self.tasks: tuple[asyncio.Task[None], ...] = ()

    async def __aenter__(self) -> Self:
        self._channel.resume_pause()
        self.tasks = (
            asyncio.create_task(self._channel.supervisor.run(), name="exchange connection"),
            asyncio.create_task(self._timekeeper.run(), name="exchange clock"),
        )
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self.tasks:
            task.cancel()
        for outcome in await asyncio.gather(*self.tasks, return_exceptions=True):
            if isinstance(outcome, Exception) and exc is None:
                raise outcome

    async def positions(self, credentials: Credentials, timeout: timedelta) -> PositionsAnswer:  # noqa: ASYNC109 - it is shared out among retries
        """Return every position row of an account, or raise an ExchangeError, within *timeout*.

        An answer is waited for half of it, and then asked for once more. AccountRejected stops the account: later
        calls raise it again without asking, but for one in an hour.
        """
        result, reply = await self._ask(credentials, "v2/account.position", POSITIONS, timeout)
        received_at = self._clock.wall_at(reply.received)
        return PositionsAnswer(
            positions=decode_positions(result),
            sent_at=received_at - timedelta(seconds=reply.received - reply.sent),
            received_at=received_at,
            clock_offset=self._clock.offset,
        )

    async def balances(self, credentials: Credentials, timeout: timedelta) -> tuple[Balance, ...]:  # noqa: ASYNC109 - see positions
        """Return the balance of every asset of an account, with the same rules as ``positions``."""
        result, _ = await self._ask(credentials, "v2/account.balance", BALANCES, timeout)
        return decode_balances(result)

    async def measure_clock(self) -> None:
        """Measure the exchange's clock now, for ``status`` to tell; raises an ExchangeError."""
        await self._timekeeper.measure()

    def status(self) -> ClientStatus:
        counts = self._channel.counts
        return ClientStatus(
            connected=self._channel.supervisor.connected,
            connections_total=self._channel.supervisor.connections_total,
            answers=counts[Answered.__name__],
            refusals=counts[Refused.__name__],
            timeouts=counts[AnswerTimeout.__name__],
            late_answers=counts[LateAnswer.__name__],
            unintelligible=counts[Unintelligible.__name__],
            weight_used=self._weight.used(self._clock.now()),
            weight_budget=self._weight.budget,
            weight_limit=self._weight.limit,
            paused_until=self._channel.paused_until,
            clock_offset=self._clock.offset,
            clock_uncertainty=self._clock.uncertainty,
            last_error=self._channel.last_error,
        )

    async def _ask(self, credentials: Credentials, method: str, weight: int, allowed: timedelta) -> tuple[bytes, Reply]:
        self._stopped.check(credentials.account)
        deadline = asyncio.get_running_loop().time() + allowed.total_seconds()
        try:
            async with asyncio.timeout_at(deadline):
                answer = await self._answer(credentials, method, weight, allowed.total_seconds(), deadline)
        except TimeoutError as exc:
            self._channel.refuse_if_paused(deadline)  # it may have been imposed while this call waited
            raise self._overdue(credentials, method, allowed) from exc
        except AccountRejected as exc:
            self._stopped.stop(credentials.account, exc)
            raise
        self._stopped.release(credentials.account)
        return answer

    async def _answer(
        self, credentials: Credentials, method: str, weight: int, allowed: float, deadline: float
    ) -> tuple[bytes, Reply]:
        def params() -> Params:
            return signed_params(credentials, {}, round(self._clock.now().timestamp() * 1000))

        retries = Retries()
        self._channel.refuse_if_paused(deadline)
        await self._timekeeper.tried.wait()
        while True:
            try:
                return await self._channel.attempt(
                    f"Account {credentials.account}",
                    method,
                    params,
                    weight=weight,
                    answer_timeout=allowed / 2,
                    deadline=deadline,
                    redact=credentials.redacted,
                )
            except ExchangeError as exc:
                delay = retries.delay(exc)
                if delay is None or asyncio.get_running_loop().time() + delay >= deadline:
                    raise
                if isinstance(exc, ClockRejected):
                    await self._timekeeper.measure()
            await asyncio.sleep(delay)

    def _overdue(self, credentials: Credentials, method: str, allowed: timedelta) -> ExchangeError:
        seconds = allowed.total_seconds()
        if not self._channel.supervisor.connected:
            return ExchangeUnavailable(
                f"Account {credentials.account}: there was no connection to the exchange for {seconds:g} s",
                why=self._channel.last_error or "The exchange did not complete the handshake.",
                fix="It is tried again and again; see that exchange.ws_api_url is reachable from this machine.",
            )
        return AnswerTimeout(
            f"Account {credentials.account}: {method} was not answered within {seconds:g} s",
            why=self._channel.last_error or "The exchange or the network is slow.",
            fix="If it lasts: raise snapshot.timeout, or look for announcements of the exchange.",
        )


def _require_websocket_url(url: str) -> None:
    try:
        parse_uri(url)
    except (InvalidURI, ValueError):
        raise ConfigurationError(
            "exchange.ws_api_url is not the address of a WebSocket",
            why="It begins with wss:// and names a host.",
            fix='Set it to "wss://ws-fapi.binance.com/ws-fapi/v1", which is the live exchange.',
        ) from None  # the original quotes the URL, which may have a password in it
