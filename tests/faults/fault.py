"""A fault: how it is provoked, how often, and how soon the recorder must be well again."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from time import monotonic

from tests.faults.ground import Ground
from tests.faults.judge import Verdict

Provoke = Callable[[Ground, Random], Awaitable[float]]
"""Provokes a fault once, while the recorder is at work, and heals it. Returns the seconds from then to the first commit.

Raises ``AssertionError`` when the fault did not happen.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        rows: Of the catalogue in docs/faults.md.
        times: How often it is provoked in ``make test`` and in ``make torture``.
        target: Seconds from the end of the fault to the first commit.
        prepare: What the ground needs before the recorder is started.
    """

    name: str
    rows: tuple[int, ...]
    provoke: Provoke
    times: tuple[int, int]
    target: float
    prepare: Callable[[Ground], None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a fault that was provoked so many times.

    Attributes:
        seconds: The longest time to recover.
    """

    fault: Fault
    times: int
    seconds: float
    took: float
    verdict: Verdict

    @property
    def ok(self) -> bool:
        return self.verdict.ok and self.verdict.judged > 0 and self.seconds <= self.fault.target


async def endure(ground: Ground, fault: Fault, times: int, random: Random) -> Outcome:
    """Provoke *fault* so many times on a ground whose recorder is at work, and judge everything since it began."""
    begun, worst = monotonic(), 0.0
    for _ in range(times):
        worst = max(worst, await fault.provoke(ground, random))
        await asyncio.sleep(0)
    verdict = await ground.verdict()
    return Outcome(fault=fault, times=times, seconds=worst, took=monotonic() - begun, verdict=verdict)
