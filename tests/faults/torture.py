"""Every fault at length, and what came of it: ``make torture``."""

import argparse
import asyncio
import sys
import tempfile
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from tests.faults import database_faults, exchange_faults, process_faults, spool_faults
from tests.faults.fault import Fault, Outcome, endure
from tests.faults.fuzz import fuzz
from tests.faults.ground import proving_ground

FAULTS: Sequence[Fault] = (
    *database_faults.FAULTS,
    *process_faults.FAULTS,
    *spool_faults.FAULTS,
    *exchange_faults.FAULTS,
)
SPOILT, SPOILT_TIMES = "spoilt messages", (20_000, 1_000_000)
SHOWN = 20  # of what is wrong
SOME = 2
"""How often a fault is provoked at the small scale that ``make test`` leaves to others."""

HEADER = (
    f"{'fault':<40}{'times':>6}{'judged':>9}{'lost':>6}{'doubled':>9}{'invented':>10}{'recovered in':>14}{'target':>8}"
)


@dataclass(frozen=True, slots=True)
class Report:
    """What is printed of one fault: its line of the table, and what went wrong."""

    ok: bool
    line: str
    wrong: Sequence[str] = ()


async def endure_alone(fault: Fault, times: int, seed: int) -> Outcome:
    """Provoke *fault* on a ground of its own."""
    with tempfile.TemporaryDirectory(prefix="recorder-faults-") as name:
        async with proving_ground(Path(name), seed=seed) as ground:
            await ground.begin([fault])
            return await endure(ground, fault, times, Random(seed))  # noqa: S311 - not secret


def main() -> int:
    """Print a table; return 1 when anything was lost, doubled or invented, or took longer than it may."""
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--only", metavar="NAME", default="", help="faults with this in their name")
    parser.add_argument("--seed", type=int, default=1, help="when and how exactly: another seed, other moments")
    parser.add_argument("--scale", choices=("small", "full"), default="full", help="small: as often as make test does")
    parser.add_argument("--most", type=int, metavar="N", default=None, help="no fault more often than this")
    parser.add_argument("--jobs", type=int, metavar="N", default=2, help="so many faults at a time, each on its ground")
    options = parser.parse_args()
    full = options.scale == "full"
    works = [
        partial(_torture, fault.name, min(times, options.most or times), options.seed)
        for fault in FAULTS
        if options.only in fault.name
        for times in [fault.times[1] if full else fault.times[0] or min(SOME, fault.times[1])]
    ]
    if options.only in SPOILT:
        works.append(partial(_spoil, SPOILT_TIMES[full], options.seed))
    ok = True
    print(HEADER, flush=True)
    with ProcessPoolExecutor(options.jobs) as pool:
        for done in [pool.submit(work) for work in works]:
            report = done.result()
            ok &= report.ok
            print(report.line, flush=True)
            if report.wrong:
                print(*report.wrong, sep="\n", file=sys.stderr, flush=True)
    return int(not ok)


def _torture(name: str, times: int, seed: int) -> Report:
    fault = next(fault for fault in FAULTS if fault.name == name)
    try:
        outcome = asyncio.run(endure_alone(fault, times, seed))
    except (AssertionError, TimeoutError):
        return Report(ok=False, line=f"{name:<40}{times:>6}  broke off", wrong=traceback.format_exc().splitlines())
    wrong = () if outcome.verdict.ok else str(outcome.verdict).splitlines()[:SHOWN]
    return Report(ok=outcome.ok, line=_line(outcome), wrong=wrong)


def _spoil(times: int, seed: int) -> Report:
    counts = ", ".join(f"{count} {outcome}" for outcome, count in fuzz(times, seed).items())
    return Report(ok=True, line=f"{SPOILT:<40}{times:>6}  {counts}")


def _line(outcome: Outcome) -> str:
    verdict = outcome.verdict
    counts = f"{len(verdict.lost):>6}{len(verdict.doubled):>9}{len(verdict.invented):>10}"
    return (
        f"{outcome.fault.name:<40}{outcome.times:>6}{verdict.judged:>9}{counts}{outcome.seconds:>12.2f} s"
        f"{outcome.fault.target:>6g} s{'' if outcome.ok else '  FAILED'}"
    )


if __name__ == "__main__":
    sys.exit(main())
