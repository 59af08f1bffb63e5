"""Every fault at length, and what came of it: ``make torture``."""

import argparse
import asyncio
import sys
import tempfile
import traceback
from collections.abc import Sequence
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


async def endure_alone(fault: Fault, times: int, seed: int) -> Outcome:
    """Provoke *fault* on a ground of its own."""
    with tempfile.TemporaryDirectory(prefix="recorder-faults-") as name:
        async with proving_ground(Path(name), seed=seed) as ground:
            await ground.begin([fault])
            return await endure(ground, fault, times, Random(seed))  # noqa: S311 - not secret


def main() -> int:
    """Print a table; return 1 when anything was lost, doubled or invented, or took longer than it may."""
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--only", metavar="NAME", help="faults with this in their name")
    parser.add_argument("--seed", type=int, default=1, help="when and how exactly: another seed, other moments")
    parser.add_argument("--scale", choices=("small", "full"), default="full", help="small: as often as make test does")
    parser.add_argument("--most", type=int, metavar="N", default=None, help="no fault more often than this")
    options = parser.parse_args()
    failed = False
    print(HEADER, flush=True)
    for fault in FAULTS:
        times = fault.times[1] if options.scale == "full" else fault.times[0] or min(SOME, fault.times[1])
        if options.only and options.only not in fault.name:
            continue
        times = min(times, options.most or times)
        try:
            outcome = asyncio.run(endure_alone(fault, times, options.seed))
        except (AssertionError, TimeoutError):
            failed = True
            print(f"{fault.name:<40}{times:>6}  broke off", flush=True)
            traceback.print_exc()
            continue
        failed |= not outcome.ok
        print(_line(outcome), flush=True)
        if not outcome.verdict.ok:
            print(*str(outcome.verdict).splitlines()[:SHOWN], sep="\n", file=sys.stderr, flush=True)
    if not options.only or options.only in SPOILT:
        times = SPOILT_TIMES[options.scale == "full"]
        outcomes = fuzz(times, options.seed)
        print(f"{SPOILT:<40}{times:>6}  " + ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items()))
    return int(failed)


def _line(outcome: Outcome) -> str:
    verdict = outcome.verdict
    counts = f"{len(verdict.lost):>6}{len(verdict.doubled):>9}{len(verdict.invented):>10}"
    return (
        f"{outcome.fault.name:<40}{outcome.times:>6}{verdict.judged:>9}{counts}{outcome.seconds:>12.2f} s"
        f"{outcome.fault.target:>6g} s{'' if outcome.ok else '  FAILED'}"
    )


if __name__ == "__main__":
    sys.exit(main())
