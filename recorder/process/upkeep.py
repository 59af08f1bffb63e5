"""Upkeep: background work that nobody waits for, so that its failures must be told of by themselves."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from recorder.exceptions import RecorderError
from recorder.process.clock import steady

LASTING = timedelta(minutes=1)
"""What fails for longer is shown to whoever asks how the service does; much mends itself before."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Failure:
    """Since when a task fails in a row, what it failed with last, and which causes were told of."""

    since: float
    why: str
    is_urgent: bool
    told: set[tuple[str, str]] = field(default_factory=set)


class Upkeep:
    """Whether each of some tasks does its work: a failure is logged once for each cause, until it works again."""

    def __init__(
        self,
        tasks: Iterable[str],
        failing: Callable[[str, int], None],
        *,
        clock: Callable[[], float] = steady,
    ) -> None:
        """*failing* is told of each task 1 when it fails and 0 when it does not, at first and after each try."""
        self._failing = failing
        self._clock = clock
        self._failures: dict[str, _Failure] = {}
        for task in tasks:
            failing(task, 0)

    def failed(self, task: str, error: RecorderError, *, is_urgent: bool = False) -> None:
        """Note that *task* failed with *error*; one that *is_urgent* is shown before it lasted."""
        why = ": ".join(filter(None, (error.what, error.why)))
        failure = self._failures.setdefault(task, _Failure(self._clock(), why, is_urgent))
        failure.why, failure.is_urgent = why, is_urgent
        cause = error.what, getattr(error, "sqlstate", "") or error.why
        if cause not in failure.told:
            failure.told.add(cause)
            log.warning("%s: %s; it is tried again and again; to mend it: %s", task, why, error.fix or "see why")
        self._failing(task, 1)

    def done(self, task: str) -> None:
        """Note that *task* did its work."""
        if self._failures.pop(task, None):
            log.warning("%s: done after all", task)
        self._failing(task, 0)

    @property
    def reasons(self) -> dict[str, str]:
        """What fails for long, or urgently: the reason by task."""
        now = self._clock()
        return {
            task: failure.why
            for task, failure in self._failures.items()
            if failure.is_urgent or now - failure.since >= LASTING.total_seconds()
        }
