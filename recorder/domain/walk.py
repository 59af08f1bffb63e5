"""The walk through the fills of one position: the states between those that snapshots and events told of.

What was told stands; between two told states every fill is known, so that the amounts in between follow, if the fills
add up to the difference. Where they do not, something moved the position that is no fill, or was not told: nothing is
invented there, and the stretch is named as unexplained.

The result depends on nothing but the states and the fills. It is told from the two states around it alone, so that a
walk that begins at a state whose place among the fills is certain comes to the same as one from the beginning.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from itertools import accumulate, groupby, product

TOLERANCE = timedelta(seconds=1)
"""A snapshot's ``updateTime`` and the time of the fill may differ by this much, and an answer may be this old."""

_FLAT = Decimal(0)
_EXACT = 1_000  # digits: no sum of amounts is rounded


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One fill, as far as it moves a position: *quantity* is signed, *realized_profit* is before fees."""

    time: datetime
    quantity: Decimal
    price: Decimal
    realized_profit: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A state of the position that something other than the ledger told of.

    Attributes:
        time: When the state began; if it did not begin then (*begins* is false), when it was in force.
        observed_at: When that was seen.
    """

    time: datetime
    begins: bool
    position_amt: Decimal
    entry_price: Decimal
    accumulated_realized: Decimal | None = None
    margin_asset: str | None = None
    observed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """A state that follows from the fills: in force after the last fill of *update_time*.

    Attributes:
        entry_price: ``None`` where it is an average that the exchange did not tell: how it rounds is not known.
        accumulated_realized: From the nearest of the two told states around that has one; ``None`` if neither does.
        observed_at: When the state was seen from which the walk goes back to this one.
    """

    update_time: datetime
    position_amt: Decimal
    entry_price: Decimal | None
    accumulated_realized: Decimal | None
    margin_asset: str | None
    observed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Unexplained:
    """Between the told states of these two times the position moved by something else than its fills."""

    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Walk:
    """What a walk came to.

    Attributes:
        refuted: The times of told states that were not the last of their instant: the event of the last was lost.
        until: The last told state, when fills after it wait for the next one; ``None``: none do.
    """

    rebuilt: tuple[Rebuilt, ...]
    refuted: tuple[datetime, ...]
    unexplained: tuple[Unexplained, ...]
    until: datetime | None


@dataclass(frozen=True, slots=True)
class _Step:
    """All fills of one instant: the exchange keeps one state of it, the last."""

    time: datetime
    fills: tuple[Execution, ...]

    @property
    def quantity(self) -> Decimal:
        return sum((fill.quantity for fill in self.fills), _FLAT)


def walk(told: Iterable[Told], fills: Iterable[Execution]) -> Walk:
    """Return the states that *told* leaves out. *fills* are all there were, in the order in which they happened."""
    with localcontext(prec=_EXACT):
        return _walk(told, _Path(fills))


def _walk(told: Iterable[Told], path: "_Path") -> Walk:
    rebuilt: list[Rebuilt] = []
    unexplained: list[Unexplained] = []
    partial: list[datetime] = []
    refuted: list[datetime] = []
    anchor: Told | None = None
    places: Sequence[int] = ()
    for state in sorted(told, key=lambda each: (each.time, not each.begins)):
        possible = path.places(state)
        if anchor is None:
            anchor, places = state, possible
            continue
        stretch = path.stretch(anchor, places, state, possible)
        if stretch:
            first, last = stretch
            rebuilt += path.between(anchor, first, state, last)
            refuted += partial
            partial = []
            anchor, places = state, (last,)
        elif path.is_outdated(anchor, places, state, possible):
            continue
        elif path.is_partial(anchor, places, state):
            partial.append(state.time)
        else:
            unexplained.append(Unexplained(started_at=anchor.time, ended_at=state.time))
            partial = []
            anchor, places = state, possible
    waiting = path.length > max(places, default=0)
    until = anchor.time if anchor and waiting else None
    return Walk(tuple(rebuilt), tuple(refuted), tuple(unexplained), until)


class _Path:
    """The fills as steps; a place on it is the number of steps that have been taken."""

    def __init__(self, fills: Iterable[Execution]) -> None:
        self._steps = [_Step(time, tuple(same)) for time, same in groupby(fills, key=lambda fill: fill.time)]
        self._times = [step.time for step in self._steps]
        self._sums = list(accumulate((step.quantity for step in self._steps), initial=_FLAT))
        self.length = len(self._steps)

    def places(self, state: Told) -> Sequence[int]:
        """Where *state* can be, the likeliest first: right after a step of its time, or in force at it."""
        behind = bisect_right(self._times, state.time)
        if state.begins and behind and self._times[behind - 1] == state.time:
            return (behind,)
        lowest = bisect_left(self._times, state.time - TOLERANCE)
        highest = bisect_right(self._times, state.time + TOLERANCE)
        if not state.begins:
            return sorted(range(lowest, highest + 1), key=lambda place: abs(place - behind))
        near = range(lowest + 1, highest + 1)
        nearest = sorted(near, key=lambda place: abs(self._times[place - 1] - state.time))
        return [*nearest, *([] if behind in near else [behind])]

    def stretch(
        self, before: Told, places: Sequence[int], after: Told, possible: Sequence[int]
    ) -> tuple[int, int] | None:
        """The likeliest places of two states between which the fills add up to their difference."""
        moved = after.position_amt - before.position_amt
        closing = (
            (rank + other, first, last)
            for (rank, last), (other, first) in product(enumerate(possible), enumerate(places))
            if first <= last and self._sums[last] - self._sums[first] == moved
        )
        likeliest = min(closing, default=None)
        return likeliest and likeliest[1:]

    def is_outdated(self, before: Told, places: Sequence[int], state: Told, possible: Sequence[int]) -> bool:
        """Whether *state* was over when the one *before* it began: an answer, or its date, can be a moment off."""
        moved = state.position_amt - before.position_amt
        return any(
            last < first and self._sums[last] - self._sums[first] == moved for last, first in product(possible, places)
        )

    def is_partial(self, before: Told, places: Sequence[int], state: Told) -> bool:
        """Whether *state* is one between the fills of an instant: several events told of it, and the last was lost."""
        step = bisect_left(self._times, state.time)
        if not state.begins or step == self.length or self._times[step] != state.time:
            return False
        reached = accumulate(fill.quantity for fill in self._steps[step].fills)
        moved = state.position_amt - before.position_amt
        return any(
            first <= step + 1 and moved == self._sums[step] - self._sums[first] + part
            for part, first in product(reached, places)
        )

    def between(self, before: Told, first: int, after: Told, last: int) -> Iterator[Rebuilt]:
        """Yield the states after each step from *first* to *last*, but not the one that *after* tells of."""
        steps = self._steps[first:last]
        amounts = [before.position_amt + sum_ - self._sums[first] for sum_ in self._sums[first + 1 : last + 1]]
        prices = _entry_prices(before, steps, amounts, after)
        profits = _accumulated(before, steps, after)
        for step, amount, price, profit in zip(steps, amounts, prices, profits, strict=True):
            if step is steps[-1] and after.begins and abs(step.time - after.time) <= TOLERANCE:
                continue
            yield Rebuilt(
                update_time=step.time,
                position_amt=amount,
                entry_price=price,
                accumulated_realized=profit,
                margin_asset=after.margin_asset or before.margin_asset,
                observed_at=after.observed_at,
            )


def _entry_prices(
    before: Told, steps: Sequence[_Step], amounts: Sequence[Decimal], after: Told
) -> list[Decimal | None]:
    """The entry price after each step, as far as it is certain.

    Opening makes it the price of the fill, closing 0, reducing leaves it, and adding only at the very same price does.
    So it is carried on from the state before, and back from the state after as far as the position was but reduced.
    """
    onward: list[Decimal | None] = []
    amount = before.position_amt
    known: Decimal | None = before.entry_price if amount else _FLAT
    for step in steps:
        for fill in step.fills:
            known = _entry_price(amount, known, fill)
            amount += fill.quantity
        onward.append(known)
    backward: list[Decimal | None] = [None] * len(steps)
    known = after.entry_price if after.position_amt else _FLAT
    for place in reversed(range(len(steps))):
        backward[place] = known
        started = amounts[place - 1] if place else before.position_amt
        if not _only_reduces(started, steps[place]):
            break
    return [
        one if other is None or one == other else other if one is None else None
        for one, other in zip(onward, backward, strict=True)
    ]


def _entry_price(amount: Decimal, known: Decimal | None, fill: Execution) -> Decimal | None:
    after = amount + fill.quantity
    if not after:
        return _FLAT
    if not amount or after * amount < 0:
        return fill.price
    if amount * fill.quantity < 0 or known == fill.price:
        return known
    return None


def _only_reduces(amount: Decimal, step: _Step) -> bool:
    """Whether every fill of *step* makes the position smaller and leaves something of it."""
    for fill in step.fills:
        if amount * fill.quantity >= 0 or (amount + fill.quantity) * amount <= 0:
            return False
        amount += fill.quantity
    return True


def _accumulated(before: Told, steps: Sequence[_Step], after: Told) -> list[Decimal | None]:
    """The realised profit after each step: the exchange's own sum goes up by that of each fill."""
    sums = list(accumulate(sum((fill.realized_profit for fill in step.fills), _FLAT) for step in steps))
    if before.accumulated_realized is not None:
        return [before.accumulated_realized + sum_ for sum_ in sums]
    if after.accumulated_realized is not None:
        return [after.accumulated_realized - (sums[-1] - sum_) for sum_ in sums]
    return [None] * len(sums)
