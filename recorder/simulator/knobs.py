"""Misbehaviour on request: what the exchange is to do wrong, to whom, and how often.

What a fault means for an answer of the WebSocket API, it means as far as it can for one of REST, which does not know
``Swapped`` and ``Maimed``, and for an event of a stream: those have a list of their own.
"""

from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any, Literal

from recorder.simulator.alterations import Alteration


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """Answer with an error instead; without an id when ``anonymous``, as to a connection whose key was revoked."""

    status: int
    code: int
    msg: str
    data: dict[str, Any] | None = None
    anonymous: bool = False


@dataclass(frozen=True, slots=True)
class Ban:
    """Refuse this request, and everything from everybody for ``length``, with 429 or 418."""

    status: int
    length: timedelta


@dataclass(frozen=True, slots=True)
class Silence:
    """Never answer; lose the event."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """Send the event twice."""


@dataclass(frozen=True, slots=True)
class Late:
    """Keep the answer back; other requests are answered in the meantime."""

    by: timedelta


@dataclass(frozen=True, slots=True)
class Swapped:
    """Keep the answer back until the next one with this fault, and send that first. It takes two.

    With ``crossed_ids`` each of the two carries the other's id. An event is sent after the next of its connection,
    whatever that one's fault.
    """

    crossed_ids: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """Send the first half of the answer and close the connection."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """Send this before the answer: as a binary frame, or as a text frame, even if it is not UTF-8."""

    content: bytes
    binary: bool = False


@dataclass(frozen=True, slots=True)
class Webpage:
    """Answer a REST request with HTML, as proxies and firewalls do."""

    status: int = 502
    html: str = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Drop the connection instead of answering, without a closing handshake."""


@dataclass(frozen=True, slots=True)
class Altered:
    """Falsify the position rows."""

    alteration: Alteration


@dataclass(frozen=True, slots=True)
class Maimed:
    """Leave a member of the answer out: ``result``, ``status``, ``id``, ``rateLimits``."""

    without: str


@dataclass(frozen=True, slots=True)
class Closed:
    """Refuse the handshake with an HTTP status, and say in seconds when to come again."""

    status: int
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Slammed:
    """Accept the connection and close it at once."""


RequestFault = Error | Ban | Silence | Late | Swapped | Cut | Garbage | Webpage | Disconnect | Altered | Maimed
EventFault = Silence | Late | Repeated | Swapped | Cut | Garbage | Disconnect
HandshakeFault = Closed | Slammed
Door = Literal["ws-api", "stream", "combined"]
"""Where to knock; ``combined`` is for several listenKeys, which otherwise meet what ``stream`` has in store."""


@dataclass(slots=True)
class _RequestOrder:
    fault: RequestFault
    account: str | None
    method: str | None
    left: int | None


@dataclass(slots=True)
class _EventOrder:
    fault: EventFault
    account: str | None
    event: str | None
    left: int | None
    chance: float


class Knobs:
    """The faults that wait for their occasion. Whatever may meet one meets at most one, the oldest that fits.

    Attributes:
        random: Decides about faults that happen by chance; another seed makes other decisions.
    """

    def __init__(self) -> None:
        self.random = Random(0)
        self._requests: list[_RequestOrder] = []
        self._events: list[_EventOrder] = []
        self._handshakes: dict[Door, list[tuple[HandshakeFault, int | None]]] = {
            "ws-api": [],
            "stream": [],
            "combined": [],
        }

    def on_request(
        self,
        fault: RequestFault,
        *,
        account: str | None = None,
        method: str | None = "v2/account.position",
        times: int | None = 1,
    ) -> None:
        """Do this to the next *times* requests of the account and method; ``None`` means every one.

        The method of a REST request is, for instance, ``GET /fapi/v1/income``.
        """
        self._requests.append(_RequestOrder(fault, account, method, times))

    def on_event(
        self,
        fault: EventFault,
        *,
        account: str | None = None,
        event: str | None = None,
        times: int | None = 1,
        chance: float = 1.0,
    ) -> None:
        """Do this, with a *chance*, to each event of the account and type until it was done *times* times.

        ``None`` means every one: ``Silence()`` for all events is a stream that is open and mute.
        """
        self._events.append(_EventOrder(fault, account, event, times, chance))

    def on_handshake(self, fault: HandshakeFault, *, times: int | None = 1, door: Door = "ws-api") -> None:
        """Do this to the next *times* handshakes; ``None`` means every one."""
        self._handshakes[door].append((fault, times))

    def clear(self) -> None:
        """Behave well from now on. A refusal in force goes on."""
        self._requests.clear()
        self._events.clear()
        for waiting in self._handshakes.values():
            waiting.clear()

    def for_request(self, account: str | None, method: str) -> RequestFault | None:
        """Return the fault that this request meets, and count it."""
        for order in self._requests:
            if order.account in {None, account} and order.method in {None, method}:
                if order.left is not None:
                    order.left -= 1
                    if not order.left:
                        self._requests.remove(order)
                return order.fault
        return None

    def for_event(self, account: str, event: str) -> EventFault | None:
        """Return the fault that this event meets, and count it."""
        for order in self._events:
            if order.account not in {None, account} or order.event not in {None, event}:
                continue
            if order.chance < 1 and self.random.random() >= order.chance:
                continue
            if order.left is not None:
                order.left -= 1
                if not order.left:
                    self._events.remove(order)
            return order.fault
        return None

    def for_handshake(self, door: Door = "ws-api") -> HandshakeFault | None:
        """Return the fault that this handshake meets, and count it."""
        waiting = self._handshakes[door]
        if not waiting:
            return None
        fault, left = waiting.pop(0)
        if left != 1:
            waiting.insert(0, (fault, None if left is None else left - 1))
        return fault
