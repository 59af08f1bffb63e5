"""What the spool costs and how fast it drains: ``python -m tests.benchmarks.spool``.

Prints the latency of an append with its fsync against SQLite (WAL, ``synchronous=FULL``), how many bytes a snapshot and
an event take, and how fast a long backlog comes from disk into an embedded PostgreSQL.
"""

import asyncio
import json
import os
import sqlite3
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from time import perf_counter

from recorder.domain.event import AccountUpdate, Arrival, BalanceChange, StreamPosition, Told
from recorder.domain.item import Item, size_of
from recorder.domain.position import Position
from recorder.domain.snapshot import Kind, Snapshot
from recorder.metrics import Metrics
from recorder.postgres.database import open_database
from recorder.postgres.partitions import prepare_partitions
from recorder.recording import Recording
from recorder.spool.codec import decode_item, encode_item
from recorder.spool.folder import Folder
from recorder.spool.log import Log
from recorder.spool.opening import open_spool
from recorder.spool.record import OVERHEAD

APPENDS = 2_000
SNAPSHOTS = 3_000
ROWS = 20
ACCOUNTS = 50
START = datetime(2026, 11, 22, 12, tzinfo=UTC)
WINDOW = timedelta(minutes=30)


def digits(chance: Random, whole: int) -> Decimal:
    """A number with up to so many digits before the point and eight behind it, which do not compress."""
    return Decimal(chance.randrange(-(10**whole), 10**whole)) + Decimal(chance.randrange(10**8)).scaleb(-8)


def snapshot(number: int) -> Snapshot:
    """A snapshot whose numbers are as long as the exchange's."""
    chance = Random(number)  # noqa: S311 - to be repeatable
    time = START + timedelta(minutes=number // ACCOUNTS)
    return Snapshot(
        account=f"account-{number % ACCOUNTS}",
        time=time,
        kind=Kind.SLOT,
        taken_at=time + timedelta(milliseconds=number % 997),
        duration=timedelta(milliseconds=12),
        clock_offset=timedelta(milliseconds=3),
        positions=tuple(
            Position(
                symbol=f"COIN{row}USDT",
                position_side="BOTH",
                position_amt=digits(chance, 3),
                entry_price=digits(chance, 4),
                update_time=START - timedelta(days=1, seconds=row),
                break_even_price=digits(chance, 4),
                margin_asset="USDT",
                mark_price=digits(chance, 4),
                unrealized_profit=digits(chance, 3),
                liquidation_price=digits(chance, 4),
                isolated_margin=Decimal(0),
                notional=digits(chance, 5),
                isolated_wallet=Decimal(0),
                initial_margin=(margin := digits(chance, 3)),
                maint_margin=digits(chance, 2),
                position_initial_margin=margin,
                open_order_initial_margin=Decimal(0),
                adl=2,
                bid_notional=Decimal(0),
                ask_notional=Decimal(0),
            )
            for row in range(ROWS)
        ),
    )


def unchanged(number: int) -> Snapshot:
    """A snapshot of positions that the account had all the time; prices and profits are new in every one."""
    now, first = snapshot(number), snapshot(number % ACCOUNTS)
    return replace(
        now,
        positions=tuple(
            replace(
                row,
                position_amt=same.position_amt,
                entry_price=same.entry_price,
                break_even_price=same.break_even_price,
            )
            for row, same in zip(now.positions, first.positions, strict=True)
        ),
    )


def event(number: int) -> Told:
    """An ACCOUNT_UPDATE of one position and one balance, as long as the exchange's."""
    time = START + timedelta(milliseconds=10 * number)
    chance = Random(number)  # noqa: S311 - to be repeatable
    position = StreamPosition(
        symbol="COIN1USDT",
        position_side="BOTH",
        position_amt=digits(chance, 3),
        entry_price=digits(chance, 4),
        break_even_price=digits(chance, 4),
        accumulated_realized=digits(chance, 4),
        unrealized_profit=digits(chance, 3),
        margin_type="cross",
        isolated_wallet=Decimal(0),
        margin_asset="USDT",
    )
    balance = BalanceChange(
        asset="USDT",
        wallet_balance=digits(chance, 6),
        cross_wallet_balance=digits(chance, 5),
        balance_change=Decimal(0),
    )
    update = AccountUpdate(
        time=time,
        event_time=time + timedelta(milliseconds=2),
        reason="ORDER",
        balances=(balance,),
        positions=(position,),
        symbol=None,
        raw=json.dumps({"e": "ACCOUNT_UPDATE", "a": {"B": [asdict(balance)], "P": [asdict(position)]}}, default=str),
    )
    arrival = Arrival(number=number, received_at=time, clock_offset=timedelta(milliseconds=3))
    return Told(f"account-{number % ACCOUNTS}", arrival, update)


def latencies(append: Callable[[bytes], object]) -> str:
    """Append events one after the other; return the percentiles of how long each took to be durable."""
    took = []
    for number in range(APPENDS):
        payload = encode_item(event(number))
        began = perf_counter()
        append(payload)
        took.append((perf_counter() - began) * 1000)
    cuts = statistics.quantiles(took, n=100)
    return f"p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms"


def compare_with_sqlite(folder: Path) -> None:
    Folder(folder / "log").make()
    log = Log(Folder(folder / "log"), limit=2**30, replay_window=WINDOW)
    print(f"append and fsync of one event, this log:      {latencies(lambda data: log.append([data], START))}")
    log.close()
    database = sqlite3.connect(folder / "log.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE record (sequence INTEGER PRIMARY KEY, payload BLOB NOT NULL)")
    insert = "INSERT INTO record (payload) VALUES (?)"
    print(f"append and fsync of one event, SQLite WAL FULL: {latencies(lambda data: database.execute(insert, [data]))}")
    database.close()


def measure_decoding(payloads: list[bytes]) -> float:
    """Return the microseconds that one of *payloads* takes."""
    began = perf_counter()
    for payload in payloads:
        decode_item(payload)
    return (perf_counter() - began) / len(payloads) * 1e6


def measure_sizes() -> None:
    for name, items in (
        (f"snapshot of {ROWS} rows", [snapshot(number) for number in range(200)]),
        ("event", [event(number) for number in range(200)]),
    ):
        began = perf_counter()
        payloads = [encode_item(item) for item in items]
        took = (perf_counter() - began) / len(items) * 1e6
        size = statistics.mean(map(len, payloads)) + OVERHEAD
        print(f"{name}: {size:.0f} bytes, {took:.0f} µs to encode, {measure_decoding(payloads):.0f} µs to decode")


async def drain(folder: Path, name: str, items: Sequence[Item]) -> None:
    """Spool *items* while nobody commits, and measure how fast they come into PostgreSQL afterwards."""
    payloads = [encode_item(item) for item in items]
    async with open_database(None, folder / "data") as engine:
        await prepare_partitions(engine, START, START + timedelta(days=31))
        with open_spool(folder, limit=2**30, replay_window=WINDOW) as log:
            for begin in range(0, len(payloads), 500):
                log.append(payloads[begin : begin + 500], datetime.now(UTC))
            recording = Recording(engine, Metrics(), log, accounts=[], every=timedelta(minutes=1))
            began = perf_counter()
            task = asyncio.create_task(recording.run())
            await recording.drained()
            took = perf_counter() - began
            task.cancel()
            await asyncio.wait({task})
            await recording.close()
    rows = sum(map(size_of, items))
    print(f"drained {rows} rows of {len(items)} {name} in {took:.1f} s: {rows / took:.0f} rows/s")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="recorder-spool-") as path:
        folder = Path(path)
        folder.chmod(0o711)  # started as root, PostgreSQL runs as another user
        print(f"{os.cpu_count()} cores, {folder}")
        compare_with_sqlite(folder)
        measure_sizes()
        for name, items in (
            ("snapshots of positions that stay", [unchanged(number) for number in range(SNAPSHOTS)]),
            ("snapshots of positions that all change", [snapshot(number) for number in range(SNAPSHOTS)]),
            ("events", [event(number) for number in range(20_000)]),
        ):
            own = folder / name.replace(" ", "-")
            own.mkdir(0o711)
            asyncio.run(drain(own, name, items))


if __name__ == "__main__":
    main()
