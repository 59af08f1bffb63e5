"""One connection's requests and answers: text out, events in, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

import msgspec
from msgspec import UNSET

from recorder.binance.messages import Addressee, Envelope, Notice, RateLimit, WireError

_OK = 200


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a request of this session; *result* is its JSON text."""

    id: str
    result: bytes = field(repr=False)
    limits: tuple[RateLimit, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The exchange would not answer. Without *id* it speaks of the connection and not of any one request."""

    id: str | None
    status: int
    error: WireError
    limits: tuple[RateLimit, ...] = ()


@dataclass(frozen=True, slots=True)
class LateAnswer:
    """An answer to a request that nobody waits for any more, or that was never sent."""

    id: str
    limits: tuple[RateLimit, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerShutdown:
    """The exchange is going to close this connection."""


@dataclass(frozen=True, slots=True)
class Unintelligible:
    """A frame that is not of the known format; *id* names the request it answers, when that much is readable."""

    id: str | None
    detail: str


Event = Answered | Refused | LateAnswer | ServerShutdown | Unintelligible


class Session:
    """Tells which answer belongs to which request.

    Every id is used once: its *prefix* is the connection's, its number is never used again. So an answer that
    comes after its request was given up can not be taken for the answer to another one.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._numbers = count(1)
        self._pending: set[str] = set()

    def request(self, method: str, params: Mapping[str, str | int | bool]) -> tuple[str, str]:
        """Return the id and the text of a new request, whose answer is now waited for."""
        request_id = f"{self._prefix}-{next(self._numbers)}"
        self._pending.add(request_id)
        text = msgspec.json.encode({"id": request_id, "method": method, "params": params}).decode()
        return request_id, text

    def forget(self, request_id: str) -> None:
        """Stop waiting for this answer: when it comes, it is late."""
        self._pending.discard(request_id)

    def receive(self, frame: bytes | str) -> Event:
        """Return what one incoming frame means; whatever its content, nothing is raised."""
        try:
            envelope = msgspec.json.decode(frame, type=Envelope)
        except (ValueError, RecursionError) as exc:
            return self._unintelligible(frame, str(exc))
        if envelope.event is not UNSET:
            return _meaning(envelope.event)
        if envelope.status is UNSET:
            return self._unintelligible(frame, "neither status nor event")
        if envelope.id is None:
            return Refused(None, envelope.status, envelope.error, envelope.rate_limits)
        if not self._take(envelope.id):
            return LateAnswer(str(envelope.id), envelope.rate_limits)
        return _outcome(str(envelope.id), envelope.status, envelope)

    def _unintelligible(self, frame: bytes | str, detail: str) -> Unintelligible:
        try:
            wire_id = msgspec.json.decode(frame, type=Addressee).id
        except (ValueError, RecursionError):
            wire_id = None
        return Unintelligible(str(wire_id) if self._take(wire_id) else None, detail)

    def _take(self, wire_id: int | str | None) -> bool:
        """Whether the id is of a request in flight, which is thereby over. An int is never one of ours."""
        if wire_id not in self._pending:
            return False
        self._pending.remove(str(wire_id))
        return True


def _meaning(notice: Notice) -> Event:
    if notice.name == "serverShutdown":
        return ServerShutdown()
    return Unintelligible(None, f"unknown notice {notice.name[:40]!r}")


def _outcome(request_id: str, status: int, envelope: Envelope) -> Event:
    if status != _OK:
        return Refused(request_id, status, envelope.error, envelope.rate_limits)
    if envelope.result is UNSET:
        return Unintelligible(request_id, "status 200 without a result")
    return Answered(request_id, bytes(envelope.result), envelope.rate_limits)
