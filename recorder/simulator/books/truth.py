"""The private record of everything that really happened to an account."""

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from recorder.simulator.books.episode import Episode, episodes_of
from recorder.simulator.books.fill import Fill
from recorder.simulator.books.happening import Happening
from recorder.simulator.books.income import Income
from recorder.simulator.position import ZERO, Position, PositionKey, PositionSide


@dataclass(slots=True)
class Truth:
    """What really happened, for tests to compare with what was recorded. In the order of time, and never cut.

    Attributes:
        incomes: In the order of booking.
        wallets: Per asset each balance with the moment from which it was in force.
        states: Every position after every change of it: fills, margin moved, and the funding of isolated ones.
        happenings: One for each event on the stream.
    """

    incomes: list[Income]
    wallets: dict[str, list[tuple[datetime, Decimal]]]
    fills: list[Fill] = field(default_factory=list)
    states: list[Position] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)

    @property
    def closes(self) -> list[Position]:
        """The states that are flat after one that was not; ``update_time`` is the moment of closing."""
        held: set[PositionKey] = set()
        closes = []
        for state in self.states:
            key = state.symbol, state.position_side
            if state.amount:
                held.add(key)
            elif key in held:
                held.discard(key)
                closes.append(state)
        return closes

    @property
    def episodes(self) -> list[Episode]:
        return episodes_of(self.fills, self.incomes)

    def wallet(self, asset: str, at: datetime) -> Decimal:
        """Return the wallet balance in force at a moment, changes of that very moment included."""
        history = self.wallets.get(asset, [])
        place = bisect_right(history, at, key=lambda entry: entry[0])
        return history[place - 1][1] if place else ZERO

    def position(self, symbol: str, side: PositionSide, at: datetime) -> Position | None:
        """Return the state in force at a moment, changes of that very moment included; ``None`` before the first."""
        found = None
        for state in self.states:
            if (state.symbol, state.position_side) == (symbol, side) and state.update_time is not None:
                if state.update_time > at:
                    break
                found = state
        return found
