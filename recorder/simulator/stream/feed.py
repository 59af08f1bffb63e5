"""What one connection is to be sent: the events of its subscriptions since each began. No sockets here."""

from dataclasses import dataclass
from datetime import datetime

from recorder.simulator.events import expiry_text
from recorder.simulator.knobs import Knobs
from recorder.simulator.listen_keys import ListenKeys, Standing
from recorder.simulator.stream.address import Address, Subscription
from recorder.simulator.stream.outbox import Outbox, Parcel
from recorder.simulator.world import World

_EXPIRED = "listenKeyExpired"


@dataclass(slots=True)
class _Line:
    """A subscription whose key was valid when it began, and the number of the event that it gets next."""

    subscription: Subscription
    account: str
    next: int

    def wants(self, type_: str) -> bool:
        return self.subscription.events is None or type_ in self.subscription.events


class Feed:
    """The events for one connection. A key that is wrong, or no longer valid, gives none, and nobody is told so."""

    def __init__(self, address: Address, *, world: World, listen_keys: ListenKeys, knobs: Knobs, now: datetime) -> None:
        self.wrapped = address.wrapped
        self._world = world
        self._listen_keys = listen_keys
        self._knobs = knobs
        self._outbox = Outbox()
        self._lines: dict[str, _Line] = {}
        for subscription in address.subscriptions:
            self.subscribe(subscription, now)

    @property
    def listen_keys(self) -> list[str]:
        """The keys that it listens to; those that have expired are gone."""
        return list(self._lines)

    def subscribe(self, subscription: Subscription, now: datetime) -> None:
        """Listen to one more key, from now on."""
        key = subscription.listen_key
        account = self._listen_keys.account(key)
        if account is not None and self._listen_keys.standing(key, now) is Standing.VALID:
            begun = len(self._world.accounts[account].truth.happenings)
            self._lines[key] = _Line(subscription, account, begun)

    def unsubscribe(self, listen_key: str) -> None:
        self._lines.pop(listen_key, None)

    def push(self, account: str, type_: str, text: str, now: datetime) -> None:
        """Add an event of the caller's own making for every subscription of the account that wants its type."""
        for key, line in self._lines.items():
            if line.account == account and line.wants(type_):
                self._put(key, account, type_, text, now)

    def due(self, now: datetime) -> list[Parcel]:
        """Return what is to be sent until *now*, which the world must have reached."""
        for key, line in list(self._lines.items()):
            self._collect(key, line)
            standing = self._listen_keys.standing(key, now)
            if standing is not Standing.VALID:
                del self._lines[key]
                if standing is Standing.EXPIRED and line.wants(_EXPIRED):
                    self._put(key, line.account, _EXPIRED, expiry_text(key, now), now)
        return self._outbox.due(now)

    def _collect(self, key: str, line: _Line) -> None:
        account = self._world.accounts[line.account]
        if line.next == len(account.truth.happenings):
            return
        for event in self._world.events(account, line.next):
            line.next += 1
            if line.wants(event.type):
                self._put(key, line.account, event.type, event.text, event.sent_at)

    def _put(self, key: str, account: str, type_: str, text: str, due: datetime) -> None:
        if self.wrapped:
            text = f'{{"stream":"{key}","data":{text}}}'
        self._outbox.put(Parcel(account, type_, text), due, self._knobs.for_event(account, type_))
