"""From the start of the service to the last event stream: some hundreds of accounts.

A real ``recorder run`` process, its own embedded PostgreSQL, and the simulated exchange in a process of its own. Prints
after how many seconds all streams were connected and over how many connections; exits 1 when that took too long:

    python -m tests.benchmarks.streams --accounts 500
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

import asyncpg

from recorder.postgres.embedded.server import embedded_postgres
from tests.benchmarks.exchange_process import exchange_process
from tests.benchmarks.recorder_process import COMMAND, Usage, output, recorder_run, temporary_folder, write_config

WITHIN = 30.0  # seconds
_GIVEN_UP = 600.0  # seconds
_STATES = "SELECT count(*), max(since) - min(since) FROM recorder.stream WHERE state = 'connected'"


async def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=500)
    parser.add_argument("--every", default="5m", help="snapshot.every")
    parser.add_argument("--keys", type=int, default=40, help="stream.keys_per_connection")
    options = parser.parse_args(arguments)
    with temporary_folder("bench") as folder, exchange_process(accounts=options.accounts, positions=5) as exchange:
        more = f"[ledger]\nenabled = false\n[stream]\nkeys_per_connection = {options.keys}\n"
        config = write_config(folder, exchange.settings, every=options.every, weight_budget=2280, more=more)
        await output(*COMMAND, "db", "upgrade", "--config", str(config))
        async with embedded_postgres(folder / "data") as url:
            connection = await asyncpg.connect(url)
            began = time.monotonic()
            async with recorder_run(config) as recorder:
                took = await _until_all_listen(connection, options.accounts, began)
                usage = Usage.of(recorder.pid)
            await connection.close()
    print(f"{options.accounts} streams connected {took:.1f} s after the start of the process (budget {WITHIN:.0f} s)")
    print(f"resident memory, largest: {usage.peak_mb:.0f} MB; processor: {usage.cpu_seconds:.1f} s")
    return 0 if took <= WITHIN else 1


async def _until_all_listen(connection: asyncpg.Connection, accounts: int, began: float) -> float:
    connected, said = 0, 0.0
    while connected < accounts and time.monotonic() - began < _GIVEN_UP:
        await asyncio.sleep(0.2)
        connected, spread = await connection.fetchrow(_STATES)
        if time.monotonic() - said >= 5:
            said = time.monotonic()
            print(f"{said - began:6.1f} s: {connected} connected, {spread} from the first to the last")
    return time.monotonic() - began if connected >= accounts else float("inf")


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
