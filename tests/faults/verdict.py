"""A verdict, and the case of one account that it is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from recorder.simulator.account import Account
from recorder.simulator.events import Event
from recorder.simulator.exchange import Simulator

Interval = tuple[datetime, datetime]


@dataclass(slots=True)
class Verdict:
    """What is wrong, in words; nothing is wrong when all three are empty.

    Attributes:
        judged: How many snapshots, fills, changes and balances were held against the truth.
    """

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    judged: int = 0

    @property
    def ok(self) -> bool:
        return not (self.lost or self.doubled or self.invented)

    def __str__(self) -> str:
        found = {"lost": self.lost, "doubled": self.doubled, "invented": self.invented}
        return "\n".join(f"{kind}: {each}" for kind, all_ in found.items() for each in all_) or "nothing is wrong"


@dataclass(frozen=True, slots=True)
class Case:
    """Everything there is about one account, from *since* to *until*."""

    account: Account
    exchange: Simulator
    since: datetime
    until: datetime
    away: Sequence[Interval]
    gaps: Mapping[str, Sequence[Interval]]
    sent: frozenset[str]

    def is_excused(self, source: str, moment: datetime) -> bool:
        """Whether what is missing could not be seen, and is in a gap of that *source*."""
        return self.was_away(moment) and self.is_in_gap(source, moment)

    def is_excused_event(self, event: Event) -> bool:
        """The same for an event: what was never sent on a stream could not be seen either."""
        return (event.text not in self.sent or self.was_away(event.time)) and self.is_in_gap("stream", event.time)

    def is_in_gap(self, source: str, moment: datetime) -> bool:
        return any(started <= moment <= ended for started, ended in self.gaps[source])

    def was_away(self, moment: datetime) -> bool:
        return any(since <= moment <= until for since, until in self.away)
