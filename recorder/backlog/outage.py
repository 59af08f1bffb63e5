"""An outage: PostgreSQL does not take what it is given. Said once, then every minute, and once when it is over."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from recorder.exceptions import StorageError
from recorder.postgres.engine import TRY_AT_ONCE
from recorder.process.clock import wall_clock
from recorder.process.pausing import pause_after

_LONGEST_PAUSE = 2.0  # with the time to connect, the first commit comes within 5 s of PostgreSQL
_AT_ONCE = 5  # tries
_REMIND = timedelta(minutes=1)

log = logging.getLogger(__name__)


class Outage:
    """Whether PostgreSQL is away.

    Attributes:
        since: When it was lost; ``None`` while it takes what it is given.
        error: What it failed with last; empty while it does not.
    """

    def __init__(self, clock: Callable[[], datetime] = wall_clock) -> None:
        self._clock = clock
        self.since: datetime | None = None
        self.error = ""
        self._said_at = self._clock()

    def failed(self, error: StorageError, attempt: int, *, waiting: int) -> float:
        """Note that so many attempts in a row failed while so many records wait; return the seconds to pause."""
        if error.sqlstate in TRY_AT_ONCE and attempt <= _AT_ONCE:
            return 0
        self.error = "; ".join(filter(None, (error.what, error.why)))
        now = self._clock()
        if self.since is None:
            self.since = self._said_at = now
            log.error("%s: %s; recording goes on into the spool; to mend it: %s", error.what, error.why, error.fix)
        elif now - self._said_at >= _REMIND:
            self._said_at = now
            away = (now - self.since).total_seconds()
            log.error("PostgreSQL is away for %.0f s, %d records wait: %s", away, waiting, self.error)
        return pause_after(attempt, longest=_LONGEST_PAUSE)

    def end(self, *, waiting: int) -> None:
        """Note that it took what it was given; may be called when it was not away at all."""
        if self.since is not None:
            away = self._clock() - self.since
            log.warning("PostgreSQL is back after %.0f s, %d records were waiting", away.total_seconds(), waiting)
            self.since, self.error = None, ""
