"""The gaps of one account that have not ended: each is written when it opens, and again when it ends."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.recording import Recording

_APART = timedelta(microseconds=1)
_REMEMBERED = 1_000  # gaps


class OpenGaps:
    """What one source does not cover of one account.

    A gap that an earlier process or another instance left open is taken over, and ends like an own one. It may be told
    of late, when PostgreSQL was away: then it ends where the account was first covered here. A gap that ends where it
    began says that it was none; another one from the same moment on begins a microsecond later.
    """

    def __init__(self, account: str, source: GapSource, recording: Recording) -> None:
        self._account = account
        self._source = source
        self._recording = recording
        self._open: list[Gap] = []
        self._doubtful: set[datetime] = set()
        self._known: set[datetime] = set()
        self._told: dict[datetime, Gap] = {}
        self._began_uncovered = False
        self._first_covered: datetime | None = None

    def open(self, started_at: datetime, reason: GapReason) -> None:
        """Say that nothing is covered after *started_at*; while a gap is open anyway, it only goes on."""
        self._doubtful.clear()
        self._began_uncovered = self._began_uncovered or self._first_covered is None
        if not self._open:
            self._write(self._new(started_at, reason))

    def add_earlier(self, started_at: datetime, reason: GapReason) -> None:
        """Say that nothing was covered from *started_at* until it first was here, be that still to come or not."""
        if started_at not in self._known:
            self._write(self._gap(started_at, reason))
            if self._first_covered is not None:
                self._end(self._open.pop(), self._first_covered)

    def look_back(self, before: datetime, after: datetime, reasons: Sequence[GapReason]) -> None:
        """Say that nothing was covered between the two, for the first of *reasons*; without any, that it was.

        What was told of the time after *before* earlier is put right: then less of it was missed.
        """
        gap = self._told.get(before)
        if reasons:
            gap = gap or self._new(before, reasons[0])
            self._known.add(gap.started_at)
            self._end(gap, after)
        elif gap:
            self._end(gap, gap.started_at)

    def take_over(self, gap: Gap, *, doubtful: bool = False) -> None:
        """End *gap*, which the tables say is open, unless it is known here.

        It is *doubtful* when nothing that was due was missed so far: if the account is covered next, it was no gap.
        """
        if gap.started_at in self._known:
            return
        self._known.add(gap.started_at)
        self._told[gap.started_at] = gap
        doubtful = doubtful and not self._began_uncovered
        if self._first_covered is not None:
            self._end(gap, gap.started_at if doubtful else self._first_covered)
            return
        self._open.append(gap)
        if doubtful:
            self._doubtful.add(gap.started_at)

    def covered(self, at: datetime) -> bool:
        """Say that the account is covered from *at* on, or still is; return whether that ended a gap."""
        ended = bool(self._open)
        for gap in self._open:
            self._end(gap, gap.started_at if gap.started_at in self._doubtful else at)
        self._open.clear()
        self._first_covered = self._first_covered or at
        return ended

    def _gap(self, started_at: datetime, reason: GapReason) -> Gap:
        return Gap(account=self._account, source=self._source, started_at=started_at, ended_at=None, reason=reason)

    def _new(self, before: datetime, reason: GapReason) -> Gap:
        started_at = before
        while started_at in self._known:
            started_at += _APART
        if len(self._told) >= _REMEMBERED:
            del self._told[min(self._told)]
        gap = self._told[before] = self._gap(started_at, reason)
        return gap

    def _write(self, gap: Gap) -> None:
        self._known.add(gap.started_at)
        self._open.append(gap)
        self._recording.record_gap(gap)

    def _end(self, gap: Gap, at: datetime) -> None:
        if at <= gap.started_at:
            self._told = {before: told for before, told in self._told.items() if told is not gap}
        self._recording.record_gap(replace(gap, ended_at=max(at, gap.started_at)))
