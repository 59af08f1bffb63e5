"""Misbehaviour on request: what the exchange is to do wrong, to whom, and how often."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

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
    """Never answer."""


@dataclass(frozen=True, slots=True)
class Late:
    """Keep the answer back; other requests are answered in the meantime."""

    by: timedelta


@dataclass(frozen=True, slots=True)
class Swapped:
    """Keep the answer back until the next one with this fault, and send that first. It takes two.

    With ``crossed_ids`` each of the two carries the other's id.
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


RequestFault = Error | Ban | Silence | Late | Swapped | Cut | Garbage | Disconnect | Altered | Maimed
HandshakeFault = Closed | Slammed


@dataclass(slots=True)
class _Order:
    fault: RequestFault
    account: str | None
    method: str | None
    left: int | None


class Knobs:
    """The faults that wait for their occasion. Each request or handshake meets at most one, the oldest that fits."""

    def __init__(self) -> None:
        self._requests: list[_Order] = []
        self._handshakes: list[tuple[HandshakeFault, int | None]] = []

    def on_request(
        self,
        fault: RequestFault,
        *,
        account: str | None = None,
        method: str | None = "v2/account.position",
        times: int | None = 1,
    ) -> None:
        """Do this to the next *times* requests of the account and method; ``None`` means every one."""
        self._requests.append(_Order(fault, account, method, times))

    def on_handshake(self, fault: HandshakeFault, *, times: int | None = 1) -> None:
        """Do this to the next *times* handshakes; ``None`` means every one."""
        self._handshakes.append((fault, times))

    def clear(self) -> None:
        """Behave well from now on. A refusal in force goes on."""
        self._requests.clear()
        self._handshakes.clear()

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

    def for_handshake(self) -> HandshakeFault | None:
        """Return the fault that this handshake meets, and count it."""
        if not self._handshakes:
            return None
        fault, left = self._handshakes.pop(0)
        if left != 1:
            self._handshakes.insert(0, (fault, None if left is None else left - 1))
        return fault
