"""The recorder under the load of a desk: 50 accounts with about 20 positions each, every 10 s.

A real ``recorder run`` process in front of a simulated exchange with a weight budget of 2,000, recording into its own
embedded PostgreSQL. Prints what it measured and exits 1 when a slot is missing, a snapshot is not ok, a close of the
simulator's own record is not in the history, or a budget is not kept:

    make soak            or: python -m tests.benchmarks.soak --minutes 5
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg

from recorder.domain.slot import slot_at, slots_between
from recorder.simulator.exchange import Simulator
from recorder.simulator.scenario import Scenario
from recorder.simulator.settings import settings_text
from recorder.simulator.trader import Habits
from recorder.simulator.world import World
from tests.benchmarks.recorder_process import COMMAND, Usage, output, recorder_run, temporary_folder, write_config

EVERY = timedelta(seconds=10)
MILLISECOND = timedelta(milliseconds=1)
ACCOUNTS = 50
POSITIONS = 20
WEIGHT_BUDGET = 2000
COMMITTED_WITHIN = 1.0  # seconds after the slot
MEMORY_MB = 180


async def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    minutes: float = parser.parse_args(arguments).minutes
    began = datetime.now(UTC)
    habits = Habits(positions=POSITIONS, pause=timedelta(seconds=30), rest=timedelta(seconds=25))
    world = Scenario(accounts=ACCOUNTS, habits=habits).world(1, began)
    with temporary_folder("soak") as folder:
        async with Simulator(world) as exchange:
            accounts = settings_text(exchange, world.accounts.values(), folder)
            config = write_config(folder, accounts, every=f"{EVERY.seconds}s", weight_budget=WEIGHT_BUDGET)
            async with recorder_run(config) as recorder:
                await asyncio.sleep(minutes * 60)
                usage = Usage.of(recorder.pid)
                lasted = datetime.now(UTC) - began
                url = (await output(*COMMAND, "db", "url", "--config", str(config))).strip()
                connection = await asyncpg.connect(url)
                last_slot = slot_at(datetime.now(UTC), EVERY)
                await asyncio.sleep(2)
                failures = [
                    *await wrong_slots(connection, world, last_slot),
                    *await _late_commits(connection),
                    *await missing_closes(connection, world, last_slot),
                ]
                await connection.close()
    print(f"resident memory, largest: {usage.peak_mb:.0f} MB (budget {MEMORY_MB})")
    print(f"processor: {100 * usage.cpu_seconds / lasted.total_seconds():.1f} % of a core")
    if usage.peak_mb > MEMORY_MB:
        failures.append("too much memory")
    print("\n".join(f"FAILED: {failure}" for failure in failures) or "all held")
    return 1 if failures else 0


async def wrong_slots(connection: asyncpg.Connection, world: World, last: datetime) -> list[str]:
    """Print how slots were answered, and return what is wrong: each account has one ok snapshot at every slot."""
    rows = await connection.fetch(
        """
        SELECT a.name, s.time, s.outcome, s.detail
        FROM recorder.snapshot s JOIN recorder.account a ON a.id = s.account_id
        WHERE s.kind = 'slot' AND s.time <= $1
        """,
        last,
    )
    answered = {(row["name"], row["time"]) for row in rows}
    first = min(row["time"] for row in rows)
    due = {(name, slot) for name in world.accounts for slot in slots_between(first - EVERY, last, EVERY)}
    failed = [row for row in rows if row["outcome"] != "ok"]
    print(f"snapshots: {len(rows)} of {len(due)} due, {len(failed)} failed")
    print(f"samples: {await connection.fetchval('SELECT count(*) FROM recorder.sample')}")
    failures = [f"no snapshot of {name} at {slot}" for name, slot in sorted(due - answered)]
    return failures + [f"{row['name']} at {row['time']}: {row['outcome']}: {row['detail']}" for row in failed]


async def _late_commits(connection: asyncpg.Connection) -> list[str]:
    """Print how long after their slots snapshots were committed, and return what is wrong with that."""
    rows = await connection.fetch(
        """
        SELECT time, extract(epoch FROM recorded_at - time)::float8 AS delay
        FROM recorder.snapshot WHERE kind = 'slot' ORDER BY delay
        """
    )
    delays = [row["delay"] for row in rows]
    print(
        f"slot to commit: median {delays[len(delays) // 2]:.3f} s, p99 {delays[len(delays) * 99 // 100]:.3f} s, "
        f"largest {delays[-1]:.3f} s (budget {COMMITTED_WITHIN} s)"
    )
    slow = Counter(row["time"] for row in rows if row["delay"] > COMMITTED_WITHIN)
    for slot, count in sorted(slow.items()):
        print(f"  {slot:%H:%M:%S}: {count} snapshots later than {COMMITTED_WITHIN} s")
    return [f"a commit took {delays[-1]:.3f} s"] if slow else []


async def missing_closes(connection: asyncpg.Connection, world: World, last: datetime) -> list[str]:
    """Print how many positions were closed, and return those whose close is not in the history within a slot."""
    rows = await connection.fetch(
        "SELECT account, symbol, position_side, update_time FROM bi.position_history WHERE position_amt = 0"
    )
    recorded: dict[tuple[str, str, str], list[datetime]] = {}
    for row in rows:
        recorded.setdefault((row["account"], row["symbol"], row["position_side"]), []).append(row["update_time"])
    first = dict(
        await connection.fetch("SELECT account, min(taken_at) FROM bi.snapshot WHERE outcome = 'ok' GROUP BY 1")
    )
    closes = [
        (account.name, close.symbol, close.position_side, close.update_time)
        for account in world.accounts.values()
        for close in account.truth.closes
        if close.update_time and first[account.name] < close.update_time < last - EVERY
    ]
    missing = [
        (*key, closed)
        for *key, closed in closes
        # the exchange tells whole milliseconds
        if not any(closed - MILLISECOND < told <= closed + EVERY for told in recorded.get((key[0], key[1], key[2]), []))
    ]
    print(f"closes: {len(closes)} in the simulator's own record, {len(missing)} of them not in the history")
    return [f"close not recorded: {close}" for close in missing]


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
