"""Listening to an account's event stream: every event is recorded, and every moment nobody listened is a gap.

A dead stream and a quiet account look alike. So each snapshot is compared with what the stream told: a position that
moved without an event means that the stream is dead.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from itertools import pairwise

from recorder.domain.event import AccountUpdate, Arrival, Event, ListenKeyExpired, Told
from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.domain.position import Key, PositionState
from recorder.domain.snapshot import Snapshot
from recorder.domain.stream import IN_TRANSIT, Connected, Coverage, Lost, StreamState
from recorder.recording import Recording
from recorder.watching.gaps import OpenGaps

TOLERANCE = timedelta(seconds=1)
"""How far a position's ``updateTime`` may be from the time of the event that told of it."""

PATIENCE = timedelta(seconds=2)
"""How much later than an answer that shows a change its event may come."""

_REMEMBERED = 1_000  # messages of an account
_STATES = 10_000  # of a position, which are all that a flood within one instant may take of the memory

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Told:
    time: datetime
    position_amt: Decimal


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a snapshot showed of a position, and the time of it: one that was not there is not dated by the exchange."""

    position_amt: Decimal
    time: datetime
    is_dated: bool
    taken_at: datetime


class Listening:
    """What one account's stream tells, and whether it tells everything.

    Attributes:
        account: Whose stream it is.
        connected_since: Since when events come in, exchange time; ``None`` while they do not.
    """

    def __init__(
        self,
        account: str,
        recording: Recording,
        *,
        reconnected: Callable[[str], None],
        dated: Callable[[timedelta], None],
    ) -> None:
        """*reconnected* is called when events come in again: a snapshot is due, so that no state is older than the gap.

        *dated* is told how much later the exchange dates a position's row than the event about the same change.
        """
        self.account = account
        self.connected_since: datetime | None = None
        self._recording = recording
        self._reconnected = reconnected
        self._dated = dated
        self._told: dict[Key, deque[_Told]] = {}
        self._before: Mapping[Key, PositionState] = {}
        self._compared_at: datetime | None = None
        self._unexplained: dict[Key, _Seen] = {}
        self._heard: OrderedDict[bytes, None] = OrderedDict()
        self._gaps = OpenGaps(account, GapSource.STREAM, recording)
        self._was_connected = self._ended = False
        self._late = IN_TRANSIT  # how late the last event was

    def take_over(self, gaps: Sequence[Gap]) -> None:
        """Take over what is open in the tables."""
        for gap in gaps:
            self._gaps.take_over(gap)

    def not_covered_since(self, started_at: datetime, reason: GapReason) -> None:
        """Say until when the account was listened to before; until events came in here first, nobody did."""
        self._recording.record_stream_state(StreamState(self.account, reason, started_at))
        self._gaps.add_earlier(started_at, reason)

    def expected_since(self, started_at: datetime) -> None:
        """Say that by now events should come in, which were first asked for at *started_at*."""
        if not self._was_connected:
            self._gaps.open(started_at, GapReason.WAITING_FOR_CONNECTION)

    def stop(self, at: datetime) -> None:
        """Say that nobody listens any more, on purpose."""
        if self._was_connected:
            at = self._surely_told(at)
            self._gaps.open(at, GapReason.STOPPED)
            self._recording.record_stream_state(StreamState(self.account, GapReason.STOPPED, at))
        self.end()

    def end(self) -> None:
        """Take no notice of what the stream does from now on: somebody else listens."""
        self._ended = True

    def deliver(self, event: Event, arrival: Arrival) -> None:
        """Record *event*, and remember what it says of positions. What was told in the same words before is dropped."""
        if self._is_repeated(event):
            return
        if event.event_time is not None:
            self._late = arrival.exchange_time - event.event_time
        if isinstance(event, AccountUpdate):
            for position in event.positions:
                told = self._told.setdefault(position.key, deque(maxlen=_STATES))
                if not told or told[-1].time <= event.time:
                    told.append(_Told(event.time, position.position_amt))
                    _forget(told, event.time - TOLERANCE)
        self._recording.record_event(Told(self.account, arrival, event))

    def _surely_told(self, at: datetime) -> datetime:
        """Return until when everything was told, if nothing was after *at*: more may have been as late as the last."""
        return max(at - max(IN_TRANSIT, self._late), self.connected_since or at)

    def _is_repeated(self, event: Event) -> bool:
        """Whether the same text came before: an older event, told again, must not pass for the newer state."""
        if isinstance(event, ListenKeyExpired):
            return False
        digest = sha256(f"{event.event_time} {event.raw}".encode()).digest()
        if digest in self._heard:
            return True
        self._heard[digest] = None
        if len(self._heard) > _REMEMBERED:
            self._heard.popitem(last=False)
        return False

    def changed(self, coverage: Coverage) -> None:
        """Open a gap when events may be missing, and close it when they come in again."""
        if self._ended:
            return
        match coverage:
            case Lost(at=at, reason=reason, detail=detail):
                log.warning("the stream of %s tells nothing any more: %s %s", self.account, reason, detail)
                at = self._surely_told(at)
                self.connected_since = None
                self._gaps.open(at, GapReason(reason))
                self._recording.record_stream_state(StreamState(self.account, reason, at))
            case Connected(at=at):
                self.connected_since = at
                self._was_connected = True
                self._before, self._unexplained = {}, {}  # what moved before this moment need not be told of
                if self._gaps.covered(at):
                    self._reconnected(self.account)
                self._recording.record_stream_state(StreamState(self.account, "connected", at))

    def is_dead(self, snapshot: Snapshot) -> bool:
        """Whether an ok *snapshot* proves that the stream does not tell what happens.

        It does when a change that a snapshot before showed is still not told of: events may come a little after the
        answer that shows the same. One that is older than the last that was compared proves nothing.
        """
        before, since = self._before, self.connected_since
        if since is None or snapshot.taken_at < max(since, self._compared_at or since):
            return False
        self._before = now = {position.key: position for position in snapshot.positions}
        self._compared_at = snapshot.taken_at
        open_ = {
            key: seen
            for key, seen in self._unexplained.items()
            if not self._explained(key, seen) and not _was_there(now.get(key), seen)
        }
        missed = [key for key, seen in open_.items() if snapshot.taken_at - seen.taken_at >= PATIENCE]
        if missed:
            log.error("%s: %s moved, and the stream did not tell of it", self.account, missed)
        self._unexplained = {} if missed else open_
        for key in before.keys() | now.keys():
            seen = _seen(now.get(key), snapshot.taken_at)
            if _moved(before.get(key), now.get(key), since) and not self._explained(key, seen):
                self._unexplained.setdefault(key, seen)
        return bool(missed)

    def told_flat(self, key: Key) -> bool:
        """Whether the stream told last that a position is closed."""
        told = self._told.get(key)
        return told is not None and told[-1].position_amt == 0

    def _explained(self, key: Key, seen: _Seen) -> bool:
        """Whether the stream told of what was *seen*, or of something later.

        An answer, and its date, can be a moment off: the state may be one that was over by then.
        """
        told = self._told.get(key)
        if not told:
            return False
        last = told[-1]
        if last.position_amt == seen.position_amt and seen.is_dated and abs(seen.time - last.time) <= TOLERANCE:
            self._dated(seen.time - last.time)
        if last.position_amt == seen.position_amt or last.time > seen.time:
            return True
        ended = pairwise(told)
        return any(
            state.position_amt == seen.position_amt and after.time >= seen.time - TOLERANCE for state, after in ended
        )


def _forget(told: deque[_Told], before: datetime) -> None:
    """Drop what was over *before*: each state is looked at once more, however many are told in a second."""
    while len(told) > 1 and told[1].time < before:
        told.popleft()


def _moved(before: PositionState | None, now: PositionState | None, since: datetime) -> bool:
    """Whether a position changed between two snapshots at a time the stream covers."""
    if now is None:
        return before is not None and before.is_open
    if before is not None and now.update_time <= before.update_time:
        return False
    return now.is_dated and now.update_time > since


def _was_there(state: PositionState | None, seen: _Seen) -> bool:
    """Whether a position that was not *seen* is back with a state from before: the answer lacked it, not the stream."""
    return (
        state is not None and state.is_open and state.is_dated and not seen.is_dated and state.update_time < seen.time
    )


def _seen(state: PositionState | None, taken_at: datetime) -> _Seen:
    if state is None:
        return _Seen(Decimal(0), taken_at, is_dated=False, taken_at=taken_at)
    return _Seen(state.position_amt, state.update_time, is_dated=True, taken_at=taken_at)
