"""What one stream has still to send, after its faults have had their way with it. No sockets here."""

from dataclasses import dataclass
from datetime import datetime
from heapq import heappop, heappush
from itertools import count

from recorder.simulator.knobs import Cut, Disconnect, EventFault, Garbage, Late, Repeated, Silence, Swapped

SendFault = Cut | Disconnect | Garbage


@dataclass(frozen=True, slots=True)
class Parcel:
    """One event on its way, and what is to go wrong in sending it."""

    account: str
    type: str
    text: str
    fault: SendFault | None = None


class Outbox:
    """Events in the order of sending. Two that are due at the same moment keep the order in which they came."""

    def __init__(self) -> None:
        self._waiting: list[tuple[datetime, int, Parcel]] = []
        self._numbers = count()
        self._kept_back: Parcel | None = None

    def put(self, parcel: Parcel, due: datetime, fault: EventFault | None = None) -> None:
        """Add an event that is to be sent at *due*, unless *fault* says otherwise."""
        kept_back, self._kept_back = self._kept_back, None
        match fault:
            case Silence():
                pass
            case Swapped():
                self._kept_back = parcel
            case Late(by=by):
                self._add(due + by, parcel)
            case Repeated():
                self._add(due, parcel)
                self._add(due, parcel)
            case Cut() | Disconnect() | Garbage():
                self._add(due, Parcel(parcel.account, parcel.type, parcel.text, fault))
            case None:
                self._add(due, parcel)
        if kept_back is not None:
            self._add(due, kept_back)

    def due(self, now: datetime) -> list[Parcel]:
        """Take out what is to be sent until *now*."""
        parcels = []
        while self._waiting and self._waiting[0][0] <= now:
            parcels.append(heappop(self._waiting)[2])
        return parcels

    def _add(self, due: datetime, parcel: Parcel) -> None:
        heappush(self._waiting, (due, next(self._numbers), parcel))
