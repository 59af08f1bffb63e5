"""A fault: how it is provoked, how often, and how soon the recorder must be well again."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from tests.faults.ground import Ground
from tests.faults.verdict import Verdict

UNTIL_IT_SHOWS = 1.5  # seconds: what is broken may not show before the next slot

Provoke = Callable[[Ground, Random], Awaitable[float]]
"""Provokes a fault once, while the recorder is at work, and heals it; returns the seconds from then to a commit.

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
        afresh: Whether each time needs another process: one that lost a connection a moment ago waits longer.
    """

    name: str
    rows: tuple[int, ...]
    provoke: Provoke
    times: tuple[int, int]
    target: float
    prepare: Callable[[Ground], None] = lambda _: None
    afresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a fault that was provoked so many times.

    Attributes:
        seconds: The longest time to recover.
    """

    fault: Fault
    times: int
    seconds: float
    verdict: Verdict

    @property
    def ok(self) -> bool:
        return self.verdict.ok and self.verdict.judged > 0 and self.seconds <= self.fault.target


async def provoke(ground: Ground, fault: Fault, times: int, random: Random) -> float:
    """Provoke *fault* so many times while the recorder is at work; return the longest time to recover, in seconds."""
    worst = 0.0
    for number in range(times):
        ground.turn = number
        if fault.afresh and number:
            await ground.restart()
        worst = max(worst, await fault.provoke(ground, random))
    return worst


async def endure(ground: Ground, fault: Fault, times: int, random: Random) -> Outcome:
    """Provoke *fault* so many times, and judge everything since the ground's recorder began."""
    seconds = await provoke(ground, fault, times, random)
    await asyncio.sleep(UNTIL_IT_SHOWS)
    return Outcome(fault=fault, times=times, seconds=seconds, verdict=await ground.verdict())
