"""Changes: the history of a position, derived from what snapshots saw.

Two kinds of change follow from the ok snapshots of an account, and both depend on nothing but *which* snapshots there
are, never on the order in which they were written:

* A state that the exchange dates (``updateTime`` > 0) is one change at that time, told by the earliest snapshot
  that has it.
* What the exchange does not date is dated by the snapshot that first saw it, compared with the snapshot before it: a
  position that vanished, a state without ``updateTime``, and a state that contradicts what the snapshot before it said.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from recorder.domain.position import Key, PositionState
from recorder.domain.snapshot import Kind, Snapshot

_FLAT = Decimal(0)
_INSTANT = timedelta(microseconds=1)


class ChangeSource(StrEnum):
    """Who told of the change."""

    SNAPSHOT = "snapshot"
    STREAM = "stream"
    INFERRED = "inferred"
    IMPORT = "import"
    LEDGER = "ledger"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one ok snapshot saw of its account: every position there was. A key that is not in it was flat."""

    time: datetime
    kind: Kind
    taken_at: datetime
    states: Mapping[Key, PositionState]

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Observation":
        if not snapshot.ok:
            raise ValueError(f"{snapshot.account}: nothing was observed at {snapshot.time}")
        return cls(
            time=snapshot.time,
            kind=snapshot.kind,
            taken_at=snapshot.taken_at,
            states={position.key: position for position in snapshot.positions},
        )


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


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What new observations do to the history: first take away *retracted*, then add *added*.

    A key of *added* that exists already and is dated by the exchange keeps the row with the earlier
    ``snapshot_time``. Nothing but changes dated by a snapshot is ever retracted.
    """

    added: tuple[Change, ...]
    retracted: tuple[ChangeKey, ...]


def rewrite(before: Observation | None, run: Sequence[Observation], after: Observation | None) -> Rewrite:
    """Return what the new observations *run* change in an account's history.

    *run* is in order of time; *before* and *after* are the account's known observations right before and right
    after it. Only what *after* was compared with changes for it, so that earlier and later history stays as it is.
    """
    added: dict[ChangeKey, Change] = {}
    previous = before
    for observation in run:
        for change in (
            *_dated_by_exchange(previous, observation),
            *_dated_by_snapshot(previous, observation),
        ):
            added.setdefault(change.key, change)
        previous = observation
    retracted: list[ChangeKey] = []
    if after is not None:
        retracted = [change.key for change in _dated_by_snapshot(before, after)]
        added.update((change.key, change) for change in _dated_by_snapshot(previous, after))
    return Rewrite(tuple(added.values()), tuple(retracted))


def _dated_by_exchange(before: Observation | None, now: Observation) -> Iterator[Change]:
    for key, state in now.states.items():
        known = before.states.get(key) if before else None
        if state.is_dated and not (known and known.update_time == state.update_time):
            yield _change(now, state, state.update_time, dated_by_exchange=True)


def _dated_by_snapshot(before: Observation | None, now: Observation) -> Iterator[Change]:
    for key, state in now.states.items():
        known = before.states.get(key) if before else None
        if _needs_own_date(before, known, state):
            yield _change(now, state, _own_date(now, known, state), dated_by_exchange=False)
    for key, known in before.states.items() if before else ():
        if known.is_open and key not in now.states:
            yield Change(
                symbol=known.symbol,
                position_side=known.position_side,
                update_time=_own_date(now, known),
                dated_by_exchange=False,
                position_amt=_FLAT,
                entry_price=_FLAT,
                break_even_price=_FLAT,
                margin_asset=known.margin_asset,
                source=ChangeSource.INFERRED,
                snapshot_time=now.time,
                observed_at=now.taken_at,
            )


def _needs_own_date(before: Observation | None, known: PositionState | None, state: PositionState) -> bool:
    """Whether the exchange's date alone would leave another state in force than the one that was seen."""
    if not state.is_dated:
        return known is None or not state.same_as(known)
    if before is None or state.update_time > before.time:
        return bool(known and known.update_time == state.update_time and not state.same_as(known))
    if known is None:
        return state.is_open  # said to have been there when the snapshot before did not have it
    # An older date than the one already told is a stale answer: it takes its own place in history, not the last.
    return state.update_time >= known.update_time and not state.same_as(known)


def _own_date(now: Observation, *told: PositionState | None) -> datetime:
    """The snapshot's time, or right after the latest date the exchange told: a late snapshot can show a later one."""
    return max([now.time, *(state.update_time + _INSTANT for state in told if state)])


def _change(now: Observation, state: PositionState, update_time: datetime, *, dated_by_exchange: bool) -> Change:
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
        observed_at=now.taken_at,
    )
