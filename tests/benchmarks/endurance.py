"""Seven days of a service in less than an hour: as many slots, one after the other four times a second, and mishaps.

What a recorder does and keeps, it does and keeps by the slot: 10,080 slots of 250 ms are the seven days of one every
minute, and 1,440 are a day. In them exchange, network and database misbehave at random moments, from a seed. One
process lives through all of them, so that its memory can be watched; then come restarts, half of them by SIGKILL.
Prints what was measured, and exits 1 when a slot has neither row nor gap, when memory grows by 1 MB a day or more,
when open files or connections grow, or when ``recorder verify`` finds something:

    make endurance       or: python -m tests.benchmarks.endurance --slots 10080 --every 250ms --seed 1
"""

import argparse
import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import linear_regression

import asyncpg

from recorder.config.duration import parse_duration
from recorder.postgres.embedded.server import embedded_postgres
from recorder.simulator.exchange import Simulator
from recorder.simulator.scenario import Scenario
from recorder.simulator.settings import settings_text
from recorder.simulator.trader import Habits
from tests.benchmarks.mishaps import Mishaps
from tests.benchmarks.recorder_process import COMMAND, Usage, output, recorder_run, temporary_folder, write_config
from tests.service.proxy import Proxy
from tests.service.tables import Tables

SLOTS_A_DAY = 1440
GROWTH_MB = 1.0  # a day
GROWTH_FILES = 0.5  # a day, of open files and of connections
_WARM_UP = 0.15  # of the slots
_READINGS = 200
_CONNECTIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'position-recorder'
"""
_PLENTY = 1_000_000  # weight a minute; here it is the slots that are many, not the accounts
_SLOTS_OF_A_SHORT_LIFE = 8
_WELL_AGAIN_WITHIN = 120.0  # seconds; the recorder opens 60 connections in five minutes at most
_STOPPING = timedelta(milliseconds=500)
_POLL = 0.1  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is to be gone through.

    Attributes:
        slots: Of the first life, which nothing ends before.
        restarts: Lives after that, each some slots long.
    """

    slots: int
    every: str
    accounts: int = 3
    mishap_every: timedelta = timedelta(seconds=4)
    restarts: int = 10
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the process holds after so many days."""

    days: float
    resident_mb: float
    open_files: int
    connections: int


@dataclass(slots=True)
class Outcome:
    """What came of it.

    Attributes:
        failures: What must not be, in words.
        verified: What ``recorder verify`` said.
    """

    readings: list[Reading] = field(default_factory=list)
    mishaps: Counter[str] = field(default_factory=Counter)
    snapshots: dict[str, int] = field(default_factory=dict)
    gaps: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    verified: str = ""

    def growth(self, what: str) -> float:
        """How much of it comes to a day after the warm-up, by least squares."""
        settled = [each for each in self.readings if each.days >= self.readings[-1].days * _WARM_UP]
        slope, _ = linear_regression([each.days for each in settled], [getattr(each, what) for each in settled])
        return slope


async def endure(course: Course, folder: Path) -> Outcome:
    """Go through *course* with everything in *folder*, and look at what is left in the database."""
    outcome = Outcome()
    habits = Habits(positions=8, pause=timedelta(seconds=4), rest=timedelta(seconds=1))
    world = Scenario(accounts=course.accounts, habits=habits).world(course.seed, datetime.now(UTC))
    async with AsyncExitStack() as stack:
        exchange = await stack.enter_async_context(Simulator(world))
        exchange.meter.limit = _PLENTY
        url = await stack.enter_async_context(embedded_postgres(folder / "server"))
        connection = await asyncpg.connect(url, server_settings={"TimeZone": "UTC"})
        stack.push_async_callback(connection.close)
        proxy = await stack.enter_async_context(Proxy(url))
        accounts = settings_text(exchange, world.accounts.values(), folder)
        more = f'[database]\nurl = "{proxy.url}"\n[ledger]\nevery = "10s"\n'
        config = write_config(folder, accounts, every=course.every, weight_budget=_PLENTY, more=more)
        await output(*COMMAND, "db", "upgrade", "--config", str(config))
        began = datetime.now(UTC)
        mishaps = Mishaps(exchange, proxy, course.seed)
        outcome.mishaps = mishaps.happened
        trouble = asyncio.create_task(mishaps.run(course.mishap_every))
        async with recorder_run(config) as recorder:
            await _first_slot(connection)
            await _watch(recorder, connection, course, outcome)
        for number in range(course.restarts):
            ends_by = signal.SIGKILL if number % 2 else signal.SIGTERM
            async with recorder_run(config, ends_by=ends_by):
                await _next_slots(connection, _SLOTS_OF_A_SHORT_LIFE)
            mishaps.happened[f"restart after {ends_by.name}"] += 1
        trouble.cancel()
        await asyncio.wait({trouble})
        exchange.knobs.clear()
        async with recorder_run(config):
            await _well_again(connection, course.accounts, outcome)
            ended = datetime.now(UTC) - _STOPPING
        await _judge(connection, list(world.accounts), course, (began, ended), outcome)
        await _verify(config, outcome)
    return outcome


async def _first_slot(connection: asyncpg.Connection) -> None:
    await _until(connection, "SELECT count(*) > 0 FROM recorder.snapshot WHERE outcome = 'ok'")


async def _next_slots(connection: asyncpg.Connection, slots: int) -> None:
    newest = await connection.fetchval('SELECT max("time") FROM recorder.snapshot')
    await _until(
        connection, 'SELECT count(DISTINCT "time") >= $2 FROM recorder.snapshot WHERE "time" > $1', newest, slots
    )


async def _well_again(connection: asyncpg.Connection, accounts: int, outcome: Outcome) -> None:
    """Wait until every account is watched without a gap once nothing misbehaves any more."""
    started = datetime.now(UTC)
    try:
        await _until(
            connection,
            "SELECT count(*) = $2 AND NOT EXISTS (SELECT FROM recorder.gap WHERE ended_at IS NULL)"
            " FROM (SELECT account_id FROM recorder.snapshot WHERE outcome = 'ok' AND \"time\" > $1"
            " GROUP BY account_id HAVING count(*) > 2) AS answering",
            started,
            accounts,
        )
    except TimeoutError:
        outcome.failures.append(f"not every account was watched again {_WELL_AGAIN_WITHIN:.0f} s after the last mishap")
        outcome.failures += [
            f"still open: {row['source']} gap of {row['account']} since {row['started_at']}: {row['reason']}"
            for row in await connection.fetch("SELECT * FROM bi.gap WHERE ended_at IS NULL ORDER BY started_at")
        ]


async def _until(connection: asyncpg.Connection, condition: str, *values: object) -> None:
    async with asyncio.timeout(_WELL_AGAIN_WITHIN):
        while not await connection.fetchval(condition, *values):  # noqa: ASYNC110 - no event comes from there
            await asyncio.sleep(_POLL)


async def _watch(recorder: Process, connection: asyncpg.Connection, course: Course, outcome: Outcome) -> None:
    """Take readings while the slots go by."""
    every = parse_duration(course.every)
    began = datetime.now(UTC)
    ends = began + course.slots * every
    while (now := datetime.now(UTC)) < ends:
        if recorder.returncode is not None:
            raise RuntimeError(f"recorder run ended by itself with exit code {recorder.returncode}")
        usage = Usage.of(recorder.pid)
        outcome.readings.append(
            Reading(
                days=(now - began) / every / SLOTS_A_DAY,
                resident_mb=usage.resident_mb,
                open_files=usage.open_files,
                connections=await connection.fetchval(_CONNECTIONS),
            )
        )
        await asyncio.sleep(course.slots * every.total_seconds() / _READINGS)


async def _judge(
    connection: asyncpg.Connection,
    accounts: list[str],
    course: Course,
    span: tuple[datetime, datetime],
    outcome: Outcome,
) -> None:
    tables = Tables(connection)
    for row in await connection.fetch("SELECT outcome, count(*) FROM recorder.snapshot GROUP BY 1 ORDER BY 2 DESC"):
        outcome.snapshots[row["outcome"]] = row["count"]
    for row in await connection.fetch(
        "SELECT source, reason, count(*) FROM recorder.gap GROUP BY 1, 2 ORDER BY 3 DESC"
    ):
        outcome.gaps[f"{row['source']}: {row['reason']}"] = row["count"]
    first = await connection.fetchval("SELECT min(\"time\") FROM recorder.snapshot WHERE kind = 'slot'")
    try:
        await tables.assert_every_slot_is_answered(accounts, max(first, span[0]), span[1], parse_duration(course.every))
    except AssertionError as error:
        outcome.failures.append(f"slots without a row or a gap: {str(error)[:1000]}")
    outcome.failures += [f"{name} never happened" for name, times in outcome.mishaps.items() if not times]
    if outcome.readings[-1].days < 1:
        return  # nothing can be said of growth
    limits = {"resident_mb": GROWTH_MB, "open_files": GROWTH_FILES, "connections": GROWTH_FILES}
    for what, limit in limits.items():
        if outcome.growth(what) >= limit:
            outcome.failures.append(f"{what} grows by {outcome.growth(what):.2f} a day")


async def _verify(config: Path, outcome: Outcome) -> None:
    verify = await asyncio.create_subprocess_exec(
        *COMMAND, "verify", "--config", str(config), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await verify.communicate()
    outcome.verified = said.decode()
    if verify.returncode != 0:
        outcome.failures.append(f"recorder verify ended with exit code {verify.returncode}")


def _print(outcome: Outcome) -> None:
    print(f"{'day':>6} {'resident MB':>12} {'open files':>11} {'connections':>12}")
    readings = outcome.readings
    for reading in readings[:: max(1, len(readings) // 20)]:
        print(f"{reading.days:6.2f} {reading.resident_mb:12.1f} {reading.open_files:11} {reading.connections:12}")
    print(
        f"growth a day after the warm-up: {outcome.growth('resident_mb'):+.2f} MB (below {GROWTH_MB}), "
        f"{outcome.growth('open_files'):+.2f} open files, {outcome.growth('connections'):+.2f} connections"
    )
    for title, counts in (("mishaps", outcome.mishaps), ("snapshots", outcome.snapshots), ("gaps", outcome.gaps)):
        print(f"{title}: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    print(outcome.verified)
    print("\n".join(f"FAILED: {failure}" for failure in outcome.failures) or "all held")


async def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, default=7 * SLOTS_A_DAY)
    parser.add_argument("--every", default="250ms", help="how long a slot is")
    parser.add_argument("--accounts", type=int, default=3)
    parser.add_argument("--mishap-every", default="4s", help="how often something happens, in the mean")
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1, help="of the mishaps and of the market")
    options = parser.parse_args(arguments)
    options.mishap_every = parse_duration(options.mishap_every)
    with temporary_folder("endurance") as folder:
        outcome = await endure(Course(**vars(options)), folder)
    _print(outcome)
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
