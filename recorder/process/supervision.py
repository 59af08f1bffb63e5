"""Supervision: endless works, each under a name; one that breaks is started again, counted, and told of.

A work is endless: it ends by cancellation alone. What it meets and knows what to do about, it deals with itself; what
nobody foresaw ends it, and here it is started again after a pause that doubles with each failure in a row. No fault of
one work can stop another, none goes unnoticed, and one that keeps breaking makes the process unwell.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self

from recorder.exceptions import ConfigurationError
from recorder.process.pausing import pause_after

Work = Callable[[], Coroutine[None, None, None]]
"""Starts an endless work; it may be called again after what it returned has ended."""

STABLE = 60.0
"""Seconds after which a work is well again, however often it broke before."""
TRIES = 6
"""So many failures in a row, which take some seconds, make the process unwell."""

_PROVEN = 10.0  # seconds; a work that broke that often and now runs for as long makes the process unwell no more
_BEFORE_RESTART = partial(pause_after, longest=30.0)

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Post:
    """A work and how it does.

    Attributes:
        proven: After how many seconds of running it is well again, if it kept breaking.
        began: Monotonic seconds of its last start.
        failures: In a row: since it last ran for as long as ``STABLE``.
        waiting: Whether it waits to be started again.
        error: The name of what broke it last, never its text, which may quote anything.
        told: What broke it since it was last well: of each the log has a trace.
    """

    work: Work
    proven: float
    began: float
    failures: int = 0
    waiting: bool = False
    error: str = ""
    told: set[str] = field(default_factory=set)

    @property
    def well(self) -> bool:
        return self.failures < TRIES or (not self.waiting and time.monotonic() - self.began >= self.proven)

    @property
    def report(self) -> str:
        if self.waiting:
            return f"broke {self.failures} times in a row and is about to be started again: {self.error}"
        return "running" if self.well else f"started again after {self.failures} failures in a row: {self.error}"


class Supervision:
    """Runs works from ``start`` to ``stop``; what still runs at the end of the context is stopped."""

    def __init__(
        self,
        restarted: Callable[[str, int], None] = lambda *_: None,
        *,
        pause: Callable[[int], float] = _BEFORE_RESTART,
        proven: float = _PROVEN,
    ) -> None:
        """*restarted* is called with a work's name and 0 when it is first started, and with 1 at each restart.

        *pause* tells how many seconds to wait before a restart after so many failures in a row; a work that kept
        breaking is well again when it has run for *proven* seconds.
        """
        self._restarted = restarted
        self._pause = pause
        self._proven = proven
        self._posts: dict[str, _Post] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._fatal: ConfigurationError | None = None
        self._failed = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def start(self, name: str, work: Work) -> None:
        """Run *work* until it is stopped. A name belongs to one work at a time."""
        if name in self._tasks:
            raise ValueError(f"{name} runs already")
        self._restarted(name, 0)
        self._posts[name] = post = _Post(work, self._proven, time.monotonic())
        self._tasks[name] = asyncio.create_task(self._keep(name, post), name=name)

    async def stop(self, *names: str) -> None:
        """Cancel these works, if they run, or all of them, and wait until they have ended."""
        for name in names or list(self._tasks):
            self.leave(name)
        await asyncio.gather(*self._leaving, return_exceptions=True)

    def leave(self, name: str) -> None:
        """Cancel this work, if it runs, and do not wait for its end."""
        if task := self._tasks.pop(name, None):
            del self._posts[name]
            task.cancel()
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def failed(self) -> None:
        """Wait for ever, or raise the ``ConfigurationError`` that a work met: starting that again cannot help."""
        await self._failed.wait()
        if self._fatal is not None:
            raise self._fatal

    @property
    def well(self) -> bool:
        """Whether no work keeps breaking."""
        return all(post.well for post in self._posts.values())

    def report(self) -> Mapping[str, str]:
        """How each work does, by name; none that was started and not stopped is missing."""
        return {name: post.report for name, post in self._posts.items()}

    async def _keep(self, name: str, post: _Post) -> None:
        while True:
            try:
                if post.waiting:  # in here too, or what breaks a pause would end the work for good
                    await asyncio.sleep(self._pause(post.failures))
                    post.waiting, post.began = False, time.monotonic()
                    self._restarted(name, 1)
                await post.work()
                error: BaseException | None = None
            except asyncio.CancelledError as cancelled:
                if (task := asyncio.current_task()) is None or task.cancelling():
                    raise
                error = cancelled  # nobody wants it stopped: something it waited for was cancelled
            except Exception as broken:  # noqa: BLE001 - whatever it is: nothing may end unnoticed, nor for good
                error = broken
            if isinstance(error, Exception) and (fatal := _configuration_error(error)):
                self._fatal = fatal
                self._failed.set()
            if time.monotonic() - post.began >= STABLE:
                post.failures, post.told = 0, set()
            post.failures += 1
            self._tell(name, post, error)
            post.waiting = True

    def _tell(self, name: str, post: _Post, error: BaseException | None) -> None:
        """Log the trace of what is new and a line of what is not: a work that keeps breaking must not fill the log."""
        post.error = "it ended" if error is None else type(error).__name__
        if post.error in post.told:
            _log.error("%s broke again (%s) and is started again", name, post.error)
            return
        post.told.add(post.error)
        _log.error("%s broke (%s) and is started again; please report this", name, post.error, exc_info=error)


def _configuration_error(error: Exception) -> ConfigurationError | None:
    if isinstance(error, ConfigurationError):
        return error
    if isinstance(error, ExceptionGroup):
        return next(filter(None, map(_configuration_error, error.exceptions)), None)
    return None
