"""Sampling an account at every slot: each stretch in which no slot was answered is a gap, with the reason."""

from bisect import bisect, bisect_left, insort
from collections.abc import Callable, Sequence
from datetime import datetime
from operator import itemgetter

from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.domain.snapshot import Kind, Outcome, Snapshot
from recorder.recording import Recording
from recorder.watching.gaps import OpenGaps

_REASONS = {
    Outcome.TIMEOUT: GapReason.EXCHANGE_UNAVAILABLE,
    Outcome.UNREACHABLE: GapReason.EXCHANGE_UNAVAILABLE,
    Outcome.RATE_LIMITED: GapReason.WEIGHT_USED_UP,
    Outcome.CLOCK: GapReason.EXCHANGE_REFUSED,
    Outcome.ACCOUNT_REJECTED: GapReason.KEY_REJECTED,
    Outcome.REQUEST_REJECTED: GapReason.EXCHANGE_REFUSED,
    Outcome.MALFORMED: GapReason.EXCHANGE_REFUSED,
    Outcome.MISSED: GapReason.ASLEEP,
    Outcome.STOPPED: GapReason.STOPPED,
}
_REMEMBERED = 1_000  # snapshots, ok or failed


class Sampling:
    """Whether one account's slots are answered.

    Failed slots have rows of their own; the gap is the interval of which nothing is known because of them: from the
    last ok snapshot to the next one. Slots may be over in another order than they were due.
    """

    def __init__(self, account: str, recording: Recording, *, since: datetime, banned: Callable[[], bool]) -> None:
        """*since* is when the first snapshot is due; *banned* tells a pause of the exchange from a budget used up."""
        self._gaps = OpenGaps(account, GapSource.SNAPSHOT, recording)
        self._banned = banned
        self._covered_before = since
        self._ok: list[datetime] = []
        self._failed: list[tuple[datetime, GapReason]] = []

    def take_over(self, gaps: Sequence[Gap], *, last_ok: datetime | None, missed: bool) -> None:
        """Take over what is open in the tables. If no slot was *missed*, a clean stop that is soon over was no gap."""
        self._covered_before = last_ok or self._covered_before
        for gap in gaps:
            self._gaps.take_over(gap, doubtful=gap.reason is GapReason.STOPPED and not missed)

    def not_covered_since(self, last_ok: datetime, reason: GapReason) -> None:
        """Say when the account's last snapshot was before it was watched here, and that slots were missed."""
        self._gaps.add_earlier(last_ok, reason)

    def note(self, snapshot: Snapshot) -> None:
        """Take in what came of asking once, or of not being able to ask."""
        time = snapshot.time
        if snapshot.ok:
            before, after = self._beside(time)
            insort(self._ok, time)
            del self._ok[:-_REMEMBERED]
            if after is None:
                self._gaps.covered(time)
                self._open_after(time)
            else:
                self._look_between(before, time)
                self._look_between(time, after)
        elif snapshot.kind is Kind.SLOT:
            insort(self._failed, (time, self._reason(snapshot.outcome)))
            del self._failed[:-_REMEMBERED]
            before, after = self._beside(time)
            if after is None:
                self._open_after(before)
            else:
                self._look_between(before, after)

    def stop(self) -> None:
        """Say that nobody asks any more, on purpose."""
        if self._ok:
            self._gaps.open(self._ok[-1], GapReason.STOPPED)

    def _beside(self, time: datetime) -> tuple[datetime, datetime | None]:
        """Return when the account was covered last before *time*, and first after it, if at all."""
        place = bisect(self._ok, time)
        before = self._ok[place - 1] if place else min(self._covered_before, time)
        return before, self._ok[place] if place < len(self._ok) else None

    def _open_after(self, covered_until: datetime) -> None:
        if failed := self._failed_from(covered_until):
            self._gaps.open(covered_until, failed[0][1])

    def _look_between(self, before: datetime, after: datetime) -> None:
        reasons = [reason for time, reason in self._failed_from(before) if time < after]
        self._gaps.look_back(before, after, reasons)

    def _failed_from(self, time: datetime) -> list[tuple[datetime, GapReason]]:
        return self._failed[bisect_left(self._failed, time, key=itemgetter(0)) :]

    def _reason(self, outcome: Outcome) -> GapReason:
        if outcome is Outcome.RATE_LIMITED and self._banned():
            return GapReason.BANNED
        return _REASONS.get(outcome, GapReason.INTERNAL_ERROR)
