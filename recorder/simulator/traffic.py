"""What reached the exchange and what left it: the oracle of the tests."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from recorder.simulator.frames import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request that arrived, whatever became of it.

    Attributes:
        received_at: In true time, also when the exchange's clock is off.
        account: The name of the account whose key it carried; ``None`` for a strange key or none.
        request_id: As JSON text.
        refused: Whether it arrived while a 429 or 418 that had been announced before was in force.
    """

    received_at: datetime
    account: str | None
    method: str
    request_id: str
    refused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """An answer that was sent whole.

    Attributes:
        sent_at: In true time.
        rows: The JSON texts of the position rows in it, exactly as sent; ``None`` if it was not about positions.
    """

    sent_at: datetime
    account: str | None
    method: str
    request_id: str
    status: int
    rows: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """An attempt to connect, and the HTTP status it got: 101 when it was let in."""

    received_at: datetime
    status: int
    refused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SentEvent:
    """An event that was sent on one stream.

    Attributes:
        sent_at: In true time.
        text: As sent, with the wrapping of combined streams.
    """

    sent_at: datetime
    account: str
    type: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestCall:
    """A request over HTTP that arrived, and the status it got; ``None`` if it got no answer.

    Attributes:
        method: For instance ``GET /fapi/v1/income``.
        query: With the body of a request that has one.
    """

    received_at: datetime
    account: str | None
    method: str
    query: str
    refused: bool
    status: int | None


class Traffic:
    """A log of the newest requests, answers, handshakes and events.

    Attributes:
        requests, answers, handshakes: Of the WebSocket API.
        streams: Handshakes of user data streams.
        events: What was sent on them.
        rest: What came over HTTP.
    """

    def __init__(self, kept: int = 10_000) -> None:
        self.requests: deque[Received] = deque(maxlen=kept)
        self.answers: deque[Served] = deque(maxlen=kept)
        self.handshakes: deque[Handshake] = deque(maxlen=kept)
        self.streams: deque[Handshake] = deque(maxlen=kept)
        self.events: deque[SentEvent] = deque(maxlen=kept)
        self.rest: deque[RestCall] = deque(maxlen=kept)

    @property
    def connections(self) -> int:
        """How many connections to the WebSocket API were let in."""
        return sum(handshake.status == HTTPStatus.SWITCHING_PROTOCOLS for handshake in self.handshakes)

    @property
    def during_refusal(self) -> int:
        """How many requests and handshakes arrived although everybody had been told to wait."""
        requests = sum(request.refused for request in self.requests) + sum(call.refused for call in self.rest)
        return requests + sum(handshake.refused for handshake in self.handshakes)

    def requests_of(self, account: str) -> list[Received]:
        return [request for request in self.requests if request.account == account]

    def answers_of(self, account: str) -> list[Served]:
        """Return the answers about positions that the account was sent, errors left out."""
        return [answer for answer in self.answers if answer.account == account and answer.rows is not None]

    def sent(self, request: Received, answer: Answer, at: datetime) -> None:
        self.answers.append(
            Served(
                sent_at=at,
                account=request.account,
                method=request.method,
                request_id=answer.request_id,
                status=answer.status,
                rows=answer.rows,
            )
        )
