"""Sampling an account at every slot: each stretch in which no slot was answered is a gap, with the reason."""

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


class Sampling:
    """Whether one account's slots are answered.

    Failed slots have rows of their own; the gap is the interval of which nothing is known because of them: from the
    last ok snapshot to the next one.
    """

    def __init__(self, account: str, recording: Recording, *, since: datetime, banned: Callable[[], bool]) -> None:
        """*since* is when the first snapshot is due; *banned* tells a pause of the exchange from a budget used up."""
        self._gaps = OpenGaps(account, GapSource.SNAPSHOT, recording)
        self._banned = banned
        self._covered_until = since
        self._answered = False

    def take_over(self, gaps: Sequence[Gap], *, last_ok: datetime | None, missed: bool) -> None:
        """Take over what is open in the tables. If no slot was *missed*, a clean stop that is soon over was no gap."""
        if not self._answered and last_ok is not None:
            self._covered_until = last_ok
        for gap in gaps:
            self._gaps.take_over(gap, doubtful=gap.reason is GapReason.STOPPED and not missed)

    def not_covered_since(self, last_ok: datetime, reason: GapReason) -> None:
        """Say when the account's last snapshot was before it was watched here, and that slots were missed."""
        self._gaps.add_earlier(last_ok, reason)

    def note(self, snapshot: Snapshot) -> None:
        """Take in what came of asking once, or of not being able to ask."""
        if snapshot.ok:
            self._gaps.covered(snapshot.time)
            self._covered_until = max(self._covered_until, snapshot.time) if self._answered else snapshot.time
            self._answered = True
        elif snapshot.kind is Kind.SLOT and (not self._answered or snapshot.time > self._covered_until):
            self._gaps.open(self._covered_until, self._reason(snapshot.outcome))

    def stop(self) -> None:
        """Say that nobody asks any more, on purpose."""
        if self._answered:
            self._gaps.open(self._covered_until, GapReason.STOPPED)

    def _reason(self, outcome: Outcome) -> GapReason:
        if outcome is Outcome.RATE_LIMITED and self._banned():
            return GapReason.BANNED
        return _REASONS.get(outcome, GapReason.INTERNAL_ERROR)
