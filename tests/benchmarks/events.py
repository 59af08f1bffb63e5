"""From an event on the wire to its commit: 50 accounts with 20 positions each, 100 events a second, then 2,000.

A real ``recorder run`` process, its own embedded PostgreSQL, and the simulated exchange in a process of its own, which
notes when it sends each event. Snapshots with balances go on every 10 s as ever. Afterwards every event is looked for
in the tables, with every digit. Prints what it measured and exits 1 when anything is lost or a budget is not kept:

    make bench           or: python -m tests.benchmarks.events --seconds 60 --history 0
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from recorder.postgres.embedded.server import embedded_postgres
from tests.benchmarks.commits import Found, find, flush_times, settle, time_of
from tests.benchmarks.exchange_process import EVENTS_A_TRADE, ExchangeProcess, Load, Sending, exchange_process
from tests.benchmarks.recorder_process import COMMAND, Usage, output, recorder_run, temporary_folder, write_config

ACCOUNTS = 50
POSITIONS = 20
WEIGHT_BUDGET = 2000
STEADY_P50, STEADY_P99, BURST_P99 = 0.015, 0.050, 1.0  # seconds
MEMORY_MB = 180
_BURST = Load(events_per_second=2000, seconds=10)
_STREAMS_WITHIN = 120  # seconds
# What was recorded in the year before, of the kind that comes in now.
_HISTORY = """
    INSERT INTO recorder.change
      (account_id, symbol, position_side, update_time, dated_by_exchange, position_amt, entry_price, break_even_price,
       margin_asset, accumulated_realized, reason, source, observed_at, event_time)
    SELECT c.account_id, c.symbol, c.position_side, at, true, c.position_amt + n, c.entry_price, c.break_even_price,
           c.margin_asset, 0, 'ORDER', 'stream', at, at
    FROM (
      SELECT DISTINCT ON (account_id, symbol, position_side) * FROM recorder.change
      ORDER BY account_id, symbol, position_side, update_time DESC
    ) AS c
    CROSS JOIN LATERAL (
      SELECT n, c.update_time - interval '40 days' - n * interval '5 minutes' AS at
      FROM generate_series(1, $1::integer / (SELECT count(DISTINCT (account_id, symbol, position_side))::integer
                                             FROM recorder.change)) AS n
    ) AS past
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A line of the table: what was measured, and what it may be at most; ``None`` where nothing is promised."""

    name: str
    unit: str
    value: float
    budget: float | None = None

    @property
    def ok(self) -> bool:
        return self.budget is None or self.value <= self.budget


async def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how long there are 100 events a second")
    parser.add_argument("--history", type=int, default=1_000_000, metavar="N", help="changes that are recorded before")
    options = parser.parse_args(arguments)
    with temporary_folder("bench") as folder, exchange_process(accounts=ACCOUNTS, positions=POSITIONS) as exchange:
        # The ledgers would write every fill once more, and with it the time of its commit.
        more = "[ledger]\nenabled = false\n"
        config = write_config(folder, exchange.settings, every="10s", weight_budget=WEIGHT_BUDGET, more=more)
        await _prepare(config, folder / "data", options.history)
        async with embedded_postgres(folder / "data") as url, recorder_run(config) as recorder:
            connection = await asyncpg.connect(url)
            await _until_all_listen(connection)
            steady = Load(events_per_second=100, seconds=options.seconds)
            figures = [
                *await _measure(steady, exchange, connection, url, recorder.pid, budgets=(STEADY_P50, STEADY_P99)),
                *await _measure(_BURST, exchange, connection, url, recorder.pid, budgets=(None, BURST_P99)),
                Figure(
                    name="resident memory, largest", unit="MB", value=Usage.of(recorder.pid).peak_mb, budget=MEMORY_MB
                ),
            ]
            await connection.close()
    _print(figures)
    return 0 if all(figure.ok for figure in figures) else 1


async def _prepare(config: Path, data: Path, history: int) -> None:
    """Make the database, with its accounts and so many changes of their positions; it is stopped, and so at rest."""
    await output(*COMMAND, "snapshot", "--config", str(config), "--json")
    async with embedded_postgres(data) as url:
        if history:
            connection = await asyncpg.connect(url)
            await connection.execute(_HISTORY, history)
            stored = await connection.fetchval("SELECT count(*) FROM recorder.change")
            await connection.close()
            print(f"{stored} changes are recorded before")
    with (data / "postgres" / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write("track_commit_timestamp = on\n")


async def _until_all_listen(connection: asyncpg.Connection) -> None:
    async with asyncio.timeout(_STREAMS_WITHIN):
        while True:
            await asyncio.sleep(1)
            if await connection.fetchval("SELECT count(*) FROM recorder.stream WHERE state = 'connected'") == ACCOUNTS:
                return


async def _measure(
    load: Load,
    exchange: ExchangeProcess,
    connection: asyncpg.Connection,
    url: str,
    pid: int,
    *,
    budgets: tuple[float | None, float],
) -> list[Figure]:
    used = Usage.of(pid).cpu_seconds
    probes = asyncio.create_task(flush_times(url))
    sending = await exchange.send(load)
    began = time_of(sending.events[0].body["T"])
    await settle(connection, began, len(sending.events))
    used = Usage.of(pid).cpu_seconds - used
    probes.cancel()
    found = await find(connection, began, sending.events)
    return _figures(load, sending, found, sorted(await probes), cpu_seconds=used, budgets=budgets)


def _figures(
    load: Load,
    sending: Sending,
    found: Found,
    flushes: list[float],
    *,
    cpu_seconds: float,
    budgets: tuple[float | None, float],
) -> list[Figure]:
    committed, arrived = sorted(found.noted), sorted(found.noted_from_arrival)
    rate = (len(sending.events) - EVENTS_A_TRADE) / sending.took
    at = f"{load.events_per_second}/s: "

    def line(name: str, ordered: Sequence[float], share: float, budget: float | None = None) -> Figure:
        """Of what is noted, and of the flush and answer that come after it."""
        seconds = _share(ordered, share) + _share(flushes, share)
        return Figure(name=at + name, unit="ms", value=1000 * seconds, budget=budget and 1000 * budget)

    return [
        Figure(name=f"{at}events sent", unit="", value=len(sending.events)),
        Figure(name=f"{at}really sent a second", unit="1/s", value=rate),
        Figure(name=f"{at}rows lost", unit="", value=found.lost, budget=0),
        Figure(name=f"{at}rows that differ", unit="", value=found.wrong, budget=0),
        Figure(name=f"{at}rows nobody sent", unit="", value=found.invented, budget=0),
        line("sent to committed, median", committed, 0.5, budgets[0]),
        line("sent to committed, p99", committed, 0.99, budgets[1]),
        line("sent to committed, largest", committed, 1),
        line("arrived to committed, median", arrived, 0.5),
        line("arrived to committed, p99", arrived, 0.99),
        line("of which for flush and answer, median", (), 0.5),
        line("of which for flush and answer, p99", (), 0.99),
        Figure(name=f"{at}processor, recorder", unit="% of a core", value=100 * cpu_seconds / load.seconds),
        Figure(name=f"{at}processor, exchange", unit="% of a core", value=100 * sending.cpu_seconds / load.seconds),
    ]


def _share(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def _print(figures: Sequence[Figure]) -> None:
    print(f"{'':48} {'measured':>10} {'budget':>10}")
    for figure in figures:
        budget = "" if figure.budget is None else f"{figure.budget:,.0f}"
        verdict = "" if figure.budget is None else ("ok" if figure.ok else "FAILED")
        digits = 1 if figure.unit == "ms" else 0
        print(f"{figure.name:48} {figure.value:>10,.{digits}f} {budget:>10}  {verdict:6}  {figure.unit}")


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
