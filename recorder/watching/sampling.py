"""Sampling an account at every slot: each stretch in which no slot was answered is a gap, with the reason."""

from bisect import bisect, insort
from collections.abc import Callable, Sequence
from datetime import datetime

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
_REMEMBERED = 1_000  # ok snapshots


class Sampling:
    """Whether one account's slots are answered.

    Failed slots have rows of their own; the gap is the interval of which nothing is known because of them: from the
    last ok snapshot to the next one.
    """

    def __init__(self, account: str, recording: Recording, *, since: datetime, banned: Callable[[], bool]) -> None:
        """*since* is when the first snapshot is due; *banned* tells a pause of the exchange from a budget used up."""
        self._gaps = OpenGaps(account, GapSource.SNAPSHOT, recording)
        self._banned = banned
        self._covered_until = self._covered_before = since
        self._ok: list[datetime] = []
        self._failed: tuple[datetime, GapReason] | None = None  # the newest slot of that kind

    def take_over(self, gaps: Sequence[Gap], *, last_ok: datetime | None, missed: bool) -> None:
        """Take over what is open in the tables. If no slot was *missed*, a clean stop that is soon over was no gap."""
        if last_ok is not None:
            self._covered_before = last_ok
            if not self._ok:
                self._covered_until = last_ok
        for gap in gaps:
            self._gaps.take_over(gap, doubtful=gap.reason is GapReason.STOPPED and not missed)

    def not_covered_since(self, last_ok: datetime, reason: GapReason) -> None:
        """Say when the account's last snapshot was before it was watched here, and that slots were missed."""
        self._gaps.add_earlier(last_ok, reason)

    def note(self, snapshot: Snapshot) -> None:
        """Take in what came of asking once, or of not being able to ask, in whatever order the slots are over."""
        if snapshot.ok:
            self._gaps.covered(snapshot.time)
            insort(self._ok, snapshot.time)
            del self._ok[:-_REMEMBERED]
            self._covered_until = self._ok[-1]
            if self._failed and self._failed[0] > self._covered_until:
                self._gaps.open(self._covered_until, self._failed[1])
        elif snapshot.kind is Kind.SLOT:
            reason = self._reason(snapshot.outcome)
            place = bisect(self._ok, snapshot.time)
            if place == len(self._ok):
                self._failed = max(self._failed or (snapshot.time, reason), (snapshot.time, reason))
                self._gaps.open(self._covered_until, reason)
            else:
                before = self._ok[place - 1] if place else min(self._covered_before, snapshot.time)
                self._gaps.add_past(before, self._ok[place], reason)

    def stop(self) -> None:
        """Say that nobody asks any more, on purpose."""
        if self._ok:
            self._gaps.open(self._covered_until, GapReason.STOPPED)

    def _reason(self, outcome: Outcome) -> GapReason:
        if outcome is Outcome.RATE_LIMITED and self._banned():
            return GapReason.BANNED
        return _REASONS.get(outcome, GapReason.INTERNAL_ERROR)
