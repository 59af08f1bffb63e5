"""Changes: the history of a position, derived from what snapshots saw and what else was told.

A state that the exchange dates (``updateTime`` > 0, or the time of an event) is one change at that time. Everything
else is dated by the snapshot that first saw it: each ok snapshot is held against the *history*, and where it shows
another state than the one in force, that is a change too; a position that it lacks is closed.

What a snapshot changes follows from three things alone: the ok snapshot before it, itself, and the dated changes from
the one to the other. Since the history agrees with every snapshot, nothing older matters; so the history depends on
*what* was observed and never on the order in which it was written, and what comes late is held against the one
snapshot after it.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from enum import StrEnum
from operator import attrgetter

from recorder.domain.position import Key, PositionState
from recorder.domain.snapshot import Kind

CLOCK_ERROR = timedelta(milliseconds=100)
"""How wrong the exchange's time may be known: by so much more an answer may have been true before or after its way."""

AHEAD = timedelta(seconds=1)
"""A row that is dated later than its answer came, by no more than this, shows that the answer is of that time."""

_FLAT = Decimal(0)
_INSTANT = timedelta(microseconds=1)
_EXACT = 1_000  # digits: no price is rounded on the way


class ChangeSource(StrEnum):
    """Who told of the change."""

    SNAPSHOT = "snapshot"
    STREAM = "stream"
    INFERRED = "inferred"
    IMPORT = "import"
    LEDGER = "ledger"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one ok snapshot saw of its account: every position there was. A key that is not in it was flat.

    Attributes:
        taken_at: The middle of sending and receiving.
        duration: From sending to receiving: the answer was true at some moment of it, or of a little more, since the
            exchange's clock, which dates what happens, is not known exactly.
    """

    time: datetime
    kind: Kind
    taken_at: datetime
    duration: timedelta
    states: Mapping[Key, PositionState]

    @property
    def sent_at(self) -> datetime:
        """Since when it may have been true, in the whole milliseconds in which the exchange dates what happens."""
        sent = self.taken_at - self.duration / 2 - CLOCK_ERROR
        return sent.replace(microsecond=sent.microsecond // 1000 * 1000)

    @property
    def received_at(self) -> datetime:
        """Until when it may have been true."""
        received = self.taken_at + self.duration / 2
        dated = (each.update_time for each in self.states.values() if each.update_time <= received + AHEAD)
        return max((received + CLOCK_ERROR, *dated))


ChangeKey = tuple[str, str, datetime, bool]
"""Symbol, side, time, and whether that time is the exchange's: which change of an account is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One state of one position of an account, in force from ``update_time`` until its next change.

    Attributes:
        dated_by_exchange: Whether ``update_time`` is the exchange's ``updateTime``; else it is the time of the
            snapshot that first saw the state. Of two changes at one instant the exchange's is the later.
        snapshot_time: The time of the snapshot that told of it.
        observed_at: That snapshot's ``taken_at``.
    """

    symbol: str
    position_side: str
    update_time: datetime
    dated_by_exchange: bool
    position_amt: Decimal
    entry_price: Decimal
    break_even_price: Decimal | None
    margin_asset: str | None
    source: ChangeSource
    snapshot_time: datetime
    observed_at: datetime

    @property
    def key(self) -> ChangeKey:
        return self.symbol, self.position_side, self.update_time, self.dated_by_exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated:
    """A change that the exchange dated, as far as a snapshot is held against it. No entry price contradicts none."""

    key: Key
    update_time: datetime
    position_amt: Decimal
    entry_price: Decimal | None
    margin_asset: str | None


@dataclass(frozen=True, slots=True)
class Held:
    """What came of holding a snapshot against the history: the moment at which it was true, and what it changes."""

    true_at: datetime
    changes: tuple[Change, ...]


def dated_by_exchange(before: Observation | None, now: Observation) -> Iterator[Change]:
    """Yield the states of a snapshot that the exchange dates, but for those that the one *before* it had as well."""
    for key, state in now.states.items():
        known = before.states.get(key) if before else None
        if state.is_dated and not (known and known.update_time == state.update_time):
            yield _change(now, state, state.update_time, now.taken_at, dated_by_exchange=True)


def hold(before: Observation | None, since: datetime | None, now: Observation, dated: Iterable[Dated]) -> Held:
    """Hold the snapshot *now* against the history.

    *before* is the ok snapshot before it, which was true at *since*; *dated* are the changes after that, up to when
    *now* was received, in order of time.
    """
    history = _History(before, dated)
    true_at = _true_at(history, since, now)
    changes = []
    for key in sorted({*now.states, *history.keys}):
        state, last, known = now.states.get(key), history.last(key, true_at), history.known(key)
        if _agree(last, known, state):
            continue
        earliest = [now.time, *(at + _INSTANT for at in (since, last.update_time if last else None) if at)]
        date = min(max(earliest), true_at)
        if state:
            changes.append(_change(now, state, date, true_at, dated_by_exchange=False))
        else:
            asset = last.margin_asset if last else known.margin_asset if known else None
            changes.append(_close(now, key, date, true_at, asset))
    return Held(true_at, tuple(changes))


class _History:
    """What was in force from the snapshot before on."""

    def __init__(self, before: Observation | None, dated: Iterable[Dated]) -> None:
        self._before: Mapping[Key, PositionState] = before.states if before else {}
        self.dated: dict[Key, list[Dated]] = defaultdict(list)
        for change in dated:
            self.dated[change.key].append(change)
        self.keys = self._before.keys() | self.dated.keys()

    def known(self, key: Key) -> PositionState | None:
        """What the snapshot before showed."""
        return self._before.get(key)

    def last(self, key: Key, at: datetime) -> Dated | None:
        """The last dated change since, up to the instant *at*."""
        changes = self.dated.get(key, [])
        place = bisect_right(changes, at, key=attrgetter("update_time"))
        return changes[place - 1] if place else None


def _true_at(history: _History, since: datetime | None, now: Observation) -> datetime:
    """The moment between sending and receiving at which the answer agrees best with what was dated in between.

    A change of that time is before the answer if the answer shows it, else after it.
    """
    moving = {
        key: times
        for key, changes in history.dated.items()
        if (times := [each.update_time for each in changes if now.sent_at <= each.update_time <= now.received_at])
    }
    if not moving:
        return now.taken_at
    edges = {at for times in moving.values() for time in times for at in (time, time - _INSTANT)}
    possible = {at for at in edges if since is None or at > since} | {now.taken_at}

    def doubt(at: datetime) -> tuple[int, timedelta, datetime]:
        wrong = sum(not _agree(history.last(key, at), history.known(key), now.states.get(key)) for key in moving)
        return wrong, abs(at - now.taken_at), at

    return min(possible, key=doubt)


def _agree(last: Dated | None, known: PositionState | None, state: PositionState | None) -> bool:
    """Whether a snapshot shows the state that was in force: the *last* dated one, else the one *known* before."""
    if last is None and known is not None and state is not None:
        return known.same_as(state) or (not known.is_open and not state.is_open)
    told = last or known
    in_force = told.position_amt if told else _FLAT
    shown = state.position_amt if state else _FLAT
    if in_force != shown or state is None or last is None:
        return in_force == shown
    return shown == 0 or same_price(last.entry_price, state.entry_price)


def same_price(one: Decimal | None, other: Decimal | None) -> bool:
    """Whether both are the same price: the exchange shows them rounded, not everywhere alike."""
    if one is None or other is None or one == other:
        return True
    with localcontext(prec=_EXACT, rounding=ROUND_HALF_UP):
        digits = Decimal((0, (1,), min(0, max(int(one.as_tuple().exponent), int(other.as_tuple().exponent)))))
        return one.quantize(digits) == other.quantize(digits)


def _close(
    now: Observation, key: Key, update_time: datetime, observed_at: datetime, margin_asset: str | None
) -> Change:
    return Change(
        symbol=key[0],
        position_side=key[1],
        update_time=update_time,
        dated_by_exchange=False,
        position_amt=_FLAT,
        entry_price=_FLAT,
        break_even_price=_FLAT,
        margin_asset=margin_asset,
        source=ChangeSource.INFERRED,
        snapshot_time=now.time,
        observed_at=observed_at,
    )


def _change(
    now: Observation, state: PositionState, update_time: datetime, observed_at: datetime, *, dated_by_exchange: bool
) -> Change:
    return Change(
        symbol=state.symbol,
        position_side=state.position_side,
        update_time=update_time,
        dated_by_exchange=dated_by_exchange,
        position_amt=state.position_amt,
        entry_price=state.entry_price,
        break_even_price=state.break_even_price,
        margin_asset=state.margin_asset,
        source=ChangeSource.IMPORT if now.kind is Kind.IMPORT else ChangeSource.SNAPSHOT,
        snapshot_time=now.time,
        observed_at=observed_at,
    )
