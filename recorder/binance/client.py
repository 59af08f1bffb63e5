"""The client of the exchange: asks for positions, for many accounts over one connection."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from recorder.binance.account_requests import AccountRequests
from recorder.binance.allowance import Allowance
from recorder.binance.balances import decode_balances
from recorder.binance.channel import Channel
from recorder.binance.clock import ExchangeClock
from recorder.binance.connection import Reply
from recorder.binance.fields import epoch_milliseconds
from recorder.binance.handshake import require_websocket
from recorder.binance.listen_key import ListenKey
from recorder.binance.messages import decode_positions
from recorder.binance.pause import PauseFile
from recorder.binance.rest import RestClient
from recorder.binance.rest_channel import RestChannel
from recorder.binance.session import Answered, LateAnswer, Refused, Unintelligible
from recorder.binance.signing import Credentials, Params, signed_params
from recorder.binance.status import ClientStatus
from recorder.binance.stream import Deliver, UserStream
from recorder.binance.stream_server import KEYS_PER_CONNECTION, StreamServer
from recorder.binance.timekeeper import Timekeeper
from recorder.binance.weight import BALANCES, POSITIONS, WeightBudget
from recorder.domain.balance import Balance
from recorder.domain.position import Position
from recorder.domain.stream import Coverage
from recorder.exceptions import AnswerTimeout
from recorder.process.supervision import Supervision

_CONNECTION = "exchange connection"
_CLOCK = "exchange clock"
_KEYS_AT_ONCE = 50

_KEYS_OF = {"https://fapi.binance.com": "https://api.binance.com"}
"""Where the exchange tells what a key may do, by where its futures are, if that is not the same place."""


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
        rest: The ledgers of record.
    """

    def __init__(
        self,
        ws_api_url: str,
        weight: WeightBudget,
        *,
        stream_url: str,
        rest_url: str,
        pause_file: PauseFile | None = None,
        clock_measured: Callable[[datetime], None] = lambda _: None,
        answer_timeout: timedelta = timedelta(seconds=5),
        keys_per_connection: int = KEYS_PER_CONNECTION,
        supervision: Supervision | None = None,
    ) -> None:
        """Raises ConfigurationError for a URL that is not one. *answer_timeout* is for measuring the clock, of which
        *clock_measured* is told.

        What runs in the background while the client is entered runs under *supervision*, or under one of its own.

        *stream_url* is the exchange's address, or a whole one with ``{listen_key}`` in it, or ``{listen_keys}``, of
        which up to *keys_per_connection* share a connection.
        """
        require_websocket(ws_api_url, setting="ws_api_url", example="wss://ws-fapi.binance.com/ws-fapi/v1")
        self._weight = weight
        self._clock = ExchangeClock(measured=clock_measured)
        self._allowance = Allowance(weight, self._clock, pause_file)
        self._channel = Channel(ws_api_url, weight, self._clock, self._allowance)
        self._timekeeper = Timekeeper(self._channel, self._clock, answer_timeout)
        self._requests = AccountRequests(self._channel, self._allowance, self._timekeeper)
        self._key_requests = AccountRequests(self._channel, self._allowance, self._timekeeper)
        self._streams = StreamServer(stream_url, self._allowance, keys_per_connection=keys_per_connection)
        self._key_turns = asyncio.Semaphore(_KEYS_AT_ONCE)
        self._rest = RestChannel(rest_url, self._allowance, self._clock)
        self._keys = RestChannel(_KEYS_OF.get(rest_url, rest_url), self._allowance, self._clock)
        self.rest = RestClient(self._rest, self._clock, self._keys)
        self._supervision = supervision or Supervision()

    async def __aenter__(self) -> Self:
        self._allowance.resume_pause()
        self._supervision.start(_CONNECTION, self._channel.supervisor.run)
        self._supervision.start(_CLOCK, self._timekeeper.run)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._supervision.stop(_CONNECTION, _CLOCK)
        await self._rest.aclose()
        await self._keys.aclose()

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

    async def balances(
        self,
        credentials: Credentials,
        timeout: timedelta,  # noqa: ASYNC109 - see positions
        *,
        spare: bool = False,
    ) -> tuple[Balance, ...]:
        """Return the balance of every asset of an account, with the same rules as ``positions``.

        With *spare* only weight is used that the schedule does not need: where there is none, it raises RateLimited.
        """
        result, _ = await self._ask(credentials, "v2/account.balance", BALANCES, timeout, background=spare)
        return decode_balances(result)

    def stream(
        self,
        credentials: Credentials,
        *,
        deliver: Deliver,
        changed: Callable[[Coverage], None],
        learned_secret: Callable[[str], None],
    ) -> UserStream:
        """Return the user data stream of an account, whose ``run`` must be a task while the client is entered."""
        return UserStream(
            credentials.account,
            ListenKey(credentials, self._key_requests, self._key_turns),
            self._streams,
            self._clock,
            deliver=deliver,
            changed=changed,
            learned_secret=learned_secret,
        )

    def reconnect(self) -> None:
        """Give the connection up as dead, as after a sleep: nothing is sent on it any more, and another is opened."""
        self._channel.supervisor.abandon()

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
            paused_until=self._allowance.paused_until,
            clock_offset=self._clock.offset,
            clock_uncertainty=self._clock.uncertainty,
            last_error=self._channel.last_error,
        )

    async def _ask(
        self, credentials: Credentials, method: str, weight: int, allowed: timedelta, *, background: bool = False
    ) -> tuple[bytes, Reply]:
        def params() -> Params:
            return signed_params(credentials, {}, epoch_milliseconds(self._clock.now()))

        return await self._requests.ask(credentials, method, params, weight, allowed, background=background)
