"""Letting go: what there is no room for, and from when until when."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.spool.checkpoint import LettingGo

log = logging.getLogger(__name__)


class LetGo:
    """Remembers of each account since when it is not kept, so that the time becomes a gap when it is kept again.

    Attributes:
        total: How many observations were let go.
    """

    def __init__(self, before: Sequence[LettingGo], counted: Callable[[str, GapSource], None]) -> None:
        """*before* is what an earlier process did not get to tell of; *counted* is told of each that is let go."""
        self._since = {(each.account, each.source): each.since for each in before}
        self._kept: dict[tuple[str, GapSource], datetime] = {}
        self._resumed: dict[tuple[str, GapSource], datetime] = {}
        self._counted = counted
        self.total = 0

    @property
    def going_on(self) -> tuple[LettingGo, ...]:
        """What is being let go now."""
        return tuple(
            LettingGo(account=account, source=source, since=since) for (account, source), since in self._since.items()
        )

    def let_go(self, account: str, source: GapSource, time: datetime) -> None:
        """Note that what was observed at *time* is not kept."""
        since = self._since.get((account, source))
        if since is None:
            log.error("no room in the spool: what the %s of %s tells is let go", source, account)
            since = self._kept.get((account, source), time)
        # It may have happened before the last that was kept came in; but not before the end of an earlier gap of this
        # kind, which covers that.
        self._since[account, source] = min(since, max(time, self._resumed.get((account, source), time)))
        self.total += 1
        self._counted(account, source)

    def kept(self, account: str, source: GapSource, time: datetime) -> Gap | None:
        """Note that what was observed at *time* is kept; return the gap that ends there, if one does."""
        self._kept[account, source] = time
        since = self._since.pop((account, source), None)
        if since is None:
            return None
        self._resumed[account, source] = time
        return Gap(
            account=account, source=source, started_at=min(since, time), ended_at=time, reason=GapReason.BUFFER_FULL
        )
