"""PostgreSQL away for ten minutes, at the load of a desk: 50 accounts with about 20 positions each, every 10 s.

A real ``recorder run`` process and a relay on its way to PostgreSQL, which is cut and mended again. Prints how soon
after that the first commit came and how soon everything was there, and exits 1 when a slot is missing, a snapshot is
not ok, a close of the simulator's own record is not in the history, or a target is missed:

    python -m tests.benchmarks.outage --minutes 10
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import asyncpg

from recorder.domain.slot import slot_at
from recorder.postgres.embedded.server import embedded_postgres
from recorder.simulator.exchange import Simulator
from recorder.simulator.scenario import Scenario
from recorder.simulator.settings import settings_text
from recorder.simulator.trader import Habits
from tests.benchmarks.recorder_process import COMMAND, Usage, output, recorder_run, temporary_folder, write_config
from tests.benchmarks.soak import ACCOUNTS, EVERY, POSITIONS, WEIGHT_BUDGET, missing_closes, wrong_slots
from tests.service.proxy import Proxy

BEFORE = 2.5 * EVERY.total_seconds()
COMMITTED_WITHIN = 5.0  # seconds after PostgreSQL is back
DRAINED_WITHIN = 15.0
MEMORY_MB = 180

_POLL = 0.02  # seconds
_COUNT = "SELECT count(*) FROM recorder.snapshot"
_MORE_THAN = "SELECT count(*) > $1 FROM recorder.snapshot"
_COMPLETE = "SELECT count(*) >= $2 FROM recorder.snapshot WHERE kind = 'slot' AND \"time\" = $1"


def _spool_mb(folder: Path) -> float:
    return sum(file.stat().st_size for file in (folder / "data" / "spool").iterdir()) / 1e6


async def _until(connection: asyncpg.Connection, holds: str, *values: object) -> float:
    """Wait until that is so, and return how many seconds it took."""
    began = monotonic()
    while not await connection.fetchval(holds, *values):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(_POLL)
    return monotonic() - began


async def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    minutes: float = parser.parse_args(arguments).minutes
    habits = Habits(positions=POSITIONS, pause=EVERY, rest=EVERY)
    world = Scenario(accounts=ACCOUNTS, habits=habits).world(1, datetime.now(UTC))
    with temporary_folder("outage") as folder:
        async with Simulator(world) as exchange, embedded_postgres(folder / "server") as url, Proxy(url) as proxy:
            connection = await asyncpg.connect(url)
            config = write_config(
                folder,
                settings_text(exchange, world.accounts.values(), folder),
                every=f"{EVERY.seconds}s",
                weight_budget=WEIGHT_BUDGET,
                more=f'[database]\nurl = "{proxy.url}"\n',
            )
            await output(*COMMAND, "db", "upgrade", "--config", str(config))
            async with recorder_run(config) as recorder:
                await asyncio.sleep(BEFORE)
                proxy.cut()
                await asyncio.sleep(minutes * 60)
                newest = slot_at(datetime.now(UTC), EVERY) - EVERY
                before = await connection.fetchval(_COUNT)
                usage, waiting = Usage.of(recorder.pid), _spool_mb(folder)
                await proxy.mend()
                first = await _until(connection, _MORE_THAN, before)
                drained = first + await _until(connection, _COMPLETE, newest, ACCOUNTS)
                last = slot_at(datetime.now(UTC), EVERY)
                await _until(connection, _COMPLETE, last, ACCOUNTS)
                failures = [*await wrong_slots(connection, world, last), *await missing_closes(connection, world, last)]
            await connection.close()
    print(
        f"PostgreSQL away for {minutes:g} minutes, {waiting:.1f} MB in the spool, {usage.resident_mb:.0f} MB of memory"
    )
    print(f"first commit {first:.2f} s after its return, everything there after {drained:.2f} s")
    for what, took, limit in (("first commit", first, COMMITTED_WITHIN), ("draining", drained, DRAINED_WITHIN)):
        if took > limit:
            failures.append(f"{what} took {took:.2f} s, not {limit:g} s")
    if usage.peak_mb > MEMORY_MB:
        failures.append("too much memory")
    print("\n".join(f"FAILED: {failure}" for failure in failures) or "all held")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
