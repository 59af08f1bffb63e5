"""A flood on one position: thousands of events a second of one account, beside others that are snapshotted as ever.

A real ``recorder run`` process, its own embedded PostgreSQL, and a simulated exchange in a process of its own, which
sends account updates of one position as fast as it is told. Prints how late the slots of all accounts were and whether
every event was recorded; exits 1 when a slot was late, or missing, or an event was lost:

    python -m tests.benchmarks.flood --rate 5000 --seconds 60
"""

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection

import asyncpg

from recorder.postgres.embedded.server import embedded_postgres
from recorder.simulator.exchange import Simulator
from recorder.simulator.scenario import Scenario
from recorder.simulator.settings import settings_text
from recorder.simulator.trader import Habits
from tests.benchmarks.recorder_process import COMMAND, Usage, output, recorder_run, temporary_folder, write_config

LATE = 1.0  # seconds after its slot, at which an answer was taken
_NEVER = timedelta(days=3650)
_EVERY = 5  # seconds
_BEAT = 0.02  # seconds
_QUIET = 20.0  # seconds without a new row, after which nothing more is expected
_COUNT = "SELECT count(*) FROM recorder.balance_change WHERE asset = 'FLOOD'"
_SLOTS = """
    SELECT count(*), count(*) FILTER (WHERE outcome = 'ok'), max(extract(epoch FROM taken_at - "time"))
    FROM recorder.snapshot WHERE kind = 'slot' AND "time" > $1 AND "time" <= $2
"""

_LATEST = """
    SELECT "time"::time(0) AS slot, round(extract(epoch FROM taken_at - "time"), 3) AS taken_after,
           duration_ms AS answered_in_ms, clock_offset_ms
    FROM recorder.snapshot WHERE kind = 'slot' AND "time" > $1 ORDER BY taken_at - "time" DESC LIMIT 5
"""


async def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=5000, help="events a second")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--accounts", type=int, default=10)
    options = parser.parse_args(arguments)
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    exchange = context.Process(target=_exchange, args=(its, options.accounts), daemon=True)
    exchange.start()
    its.close()
    try:
        return await _measure(mine, options.rate, options.seconds, options.accounts)
    finally:
        mine.close()
        exchange.join(5)
        exchange.kill()


async def _measure(line: Connection, rate: int, seconds: float, accounts: int) -> int:
    with temporary_folder("flood") as folder:
        more = "[ledger]\nenabled = false\n"
        config = write_config(folder, line.recv(), every=f"{_EVERY}s", weight_budget=2280, more=more)
        await output(*COMMAND, "db", "upgrade", "--config", str(config))
        async with embedded_postgres(folder / "data") as url, recorder_run(config) as recorder:
            connection = await asyncpg.connect(url)
            await _until_all_listen(connection, accounts)
            began, used = datetime.now(UTC), Usage.of(recorder.pid).cpu_seconds
            line.send((rate, seconds))
            sent, took = await asyncio.to_thread(line.recv)
            ended, used = datetime.now(UTC), Usage.of(recorder.pid).cpu_seconds - used
            at_once = await connection.fetchval(_COUNT)
            settled = await _settled(connection, sent)
            due, ok, latest = await connection.fetchrow(_SLOTS, began, ended - timedelta(seconds=_EVERY))
            late = await connection.fetch(_LATEST, began)
            peak = Usage.of(recorder.pid).peak_mb
            stored = await connection.fetchval(_COUNT)
            gaps = await connection.fetchval(
                "SELECT count(*) FROM bi.gap WHERE ended_at IS NULL OR started_at > $1", began
            )
            await connection.close()
    slots = int((ended.timestamp() - _EVERY) // _EVERY - began.timestamp() // _EVERY) * accounts
    print(f"{sent} events sent in {took:.1f} s: {sent / took:.0f} a second")
    print(f"{stored} recorded, {at_once} of them by the end of the flood, all of them {settled:.1f} s later")
    print(f"{ok} of {slots} slots ok ({due} have a row); the latest was taken {latest:.3f} s after its time")
    for each in late:
        print("  " + ", ".join(f"{name} {value}" for name, value in each.items()))
    print(f"{gaps} gaps; processor {100 * used / took:.0f} % of a core; resident memory, largest: {peak:.0f} MB")
    return 0 if stored == sent and ok == slots == due and latest < LATE and not gaps else 1


async def _until_all_listen(connection: asyncpg.Connection, accounts: int) -> None:
    connected = 0
    while connected < accounts:
        await asyncio.sleep(0.5)
        connected = await connection.fetchval("SELECT count(*) FROM recorder.stream WHERE state = 'connected'")


async def _settled(connection: asyncpg.Connection, events: int) -> float:
    """Wait until so many are there, or no more come, and return how many seconds that took."""
    began = last = time.monotonic()
    seen = -1
    while seen < events and time.monotonic() - last < _QUIET:
        stored = await connection.fetchval(_COUNT)
        if stored != seen:
            seen, last = stored, time.monotonic()
        await asyncio.sleep(0.2)
    return last - began


def _exchange(line: Connection, accounts: int) -> None:
    asyncio.run(_serve(line, accounts))


async def _serve(line: Connection, accounts: int) -> None:
    scenario = Scenario(accounts=accounts, names=(), habits=Habits(positions=5, pause=_NEVER))
    world = scenario.world(1, datetime.now(UTC))
    flooded = next(iter(world.accounts))
    async with Simulator(world, kept=10) as exchange:
        line.send(settings_text(exchange, world.accounts.values()))
        with suppress(EOFError):
            while True:
                rate, seconds = await asyncio.to_thread(line.recv)
                line.send(await _flood(exchange, flooded, rate, seconds))


async def _flood(exchange: Simulator, account: str, rate: int, seconds: float) -> tuple[int, float]:
    began = time.monotonic()
    sent = 0
    while (elapsed := time.monotonic() - began) < seconds:
        for number in range(sent, int(elapsed * rate)):
            exchange.push(account, _update(number))
        sent = int(elapsed * rate)
        await asyncio.sleep(_BEAT)
    return sent, time.monotonic() - began


def _update(number: int) -> str:
    now = time.time_ns() // 1_000_000
    position = {
        "s": "FLOODUSDT", "pa": str(number % 1000), "ep": "10", "bep": "10", "cr": str(number), "up": "0",
        "mt": "cross", "iw": "0", "ps": "BOTH", "ma": "USDT",
    }  # fmt: skip
    balance = {"a": "FLOOD", "wb": str(number), "cw": str(number), "bc": "0"}
    update = {"m": "ORDER", "B": [balance], "P": [position]}
    return json.dumps({"e": "ACCOUNT_UPDATE", "E": now, "T": now, "a": update})


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
