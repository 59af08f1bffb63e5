"""How long `recorder verify` takes: samples made in bulk by SQL, every check measured, and what that means for a year.

    python -m tests.benchmarks.verify --samples 2000000

makes an embedded PostgreSQL of its own. The rows are those of accounts with positions that change some times a day, in
slots of a minute; their history, balances and ledger agree with them.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.cli.proof import print_results
from recorder.postgres.database import open_database
from recorder.postgres.engine import create_unhurried_engine
from recorder.postgres.partitions import prepare_partitions
from recorder.postgres.verification.audit import audit

ACCOUNTS, POSITIONS = 10, 20
CHANGE_EVERY = timedelta(hours=3)
START = datetime(2026, 1, 1, tzinfo=UTC)
YEAR = 365 * 24 * 60 * ACCOUNTS * POSITIONS

# Of each position the state changes every three hours; every fourth state is flat, and its samples are missing.
MAKE = (
    "INSERT INTO recorder.account (name) SELECT 'account-' || n FROM generate_series(1, {accounts}) AS n",
    "INSERT INTO recorder.schedule SELECT id, '{start}', '1 minute' FROM recorder.account",
    """
    INSERT INTO recorder.change (account_id, symbol, position_side, update_time, dated_by_exchange, position_amt,
      entry_price, break_even_price, margin_asset, source, snapshot_time, observed_at)
    SELECT a.id, 'COIN' || p || 'USDT', 'BOTH', at, true, n % 4, (n % 4) * 100, 0, 'USDT',
           CASE WHEN n % 4 = 0 THEN 'stream' ELSE 'snapshot' END,
           CASE WHEN n % 4 > 0 THEN date_bin('1 minute', at, 'epoch') + interval '1 minute' END,
           t + interval '1 hour'
    FROM recorder.account a
    CROSS JOIN generate_series(1, {positions}) AS p
    CROSS JOIN generate_series('{start}'::timestamptz + interval '1 hour', '{until}', '{change_every}')
      WITH ORDINALITY AS c (t, n)
    CROSS JOIN LATERAL (SELECT t + p * interval '7 seconds' AS at) AS moment
    """,
    """
    INSERT INTO recorder.sample
    SELECT c.account_id, 1, slot, c.update_time, c.symbol, c.position_side, c.position_amt, c.entry_price, 100.5,
           101.25, 1.2345678, 50.5, 0, 101.25, 'USDT', 0, 5.06, 0.5, 5.06, 0, 0, 0, NULL
    FROM (
      SELECT *, lead(update_time, 1, '{until}'::timestamptz + interval '1 second') OVER (
        PARTITION BY account_id, symbol ORDER BY update_time
      ) AS ends
      FROM recorder.change
    ) AS c
    CROSS JOIN generate_series(
      date_bin('1 minute', c.update_time, 'epoch') + interval '1 minute', c.ends, '1 minute'
    ) AS slot
    WHERE c.position_amt <> 0 AND slot < c.ends
    ORDER BY slot, c.account_id
    """,
    """
    INSERT INTO recorder.snapshot
      (account_id, time, kind, taken_at, outcome, position_count, duration_ms, balance_outcome)
    SELECT a.id, slot, 'slot', slot + interval '200 milliseconds', 'ok', coalesce(n.samples, 0), 80, 'ok'
    FROM recorder.account a
    CROSS JOIN generate_series('{start}'::timestamptz, '{until}', '1 minute') AS slot
    LEFT JOIN (SELECT account_id, time, count(*) AS samples FROM recorder.sample GROUP BY 1, 2) AS n
      ON n.account_id = a.id AND n.time = slot
    """,
    """
    INSERT INTO recorder.income (account_id, income_type, tran_id, asset, symbol, time, income)
    SELECT a.id, 'REALIZED_PNL', extract(epoch FROM t), 'USDT', 'COIN1USDT', t, 0.5
    FROM recorder.account a
    CROSS JOIN generate_series('{start}'::timestamptz + interval '30 seconds', '{until}', '15 minutes') AS t
    """,
    """
    INSERT INTO recorder.balance
      (account_id, time, asset, update_time, wallet_balance, cross_wallet_balance, cross_unrealized_profit)
    SELECT s.account_id, s.time, asset, s.time, CASE WHEN asset = 'USDT' THEN 1000 + 0.5 * ceil(
             extract(epoch FROM s.time - '{start}'::timestamptz - interval '30 seconds') / 900) ELSE 5 END, 0, 0
    FROM recorder.snapshot s
    CROSS JOIN unnest(ARRAY['USDT', 'BNB']) AS asset
    """,
    """
    INSERT INTO recorder.ledger
    SELECT id, 'income', '', '{start}'::timestamptz - interval '1 day', '{until}' FROM recorder.account
    """,
)


async def fill(engine: AsyncEngine, samples: int) -> None:
    """Record about so many samples; positions are flat a quarter of the time."""
    until = START + timedelta(minutes=samples / (ACCOUNTS * POSITIONS) * 4 / 3)
    await prepare_partitions(engine, START, until)
    await prepare_partitions(engine, datetime.now(UTC), datetime.now(UTC) + timedelta(days=31))
    given = {
        "accounts": ACCOUNTS,
        "positions": POSITIONS,
        "start": START.isoformat(),
        "until": until.replace(second=0, microsecond=0).isoformat(),
        "change_every": f"{CHANGE_EVERY.total_seconds()} seconds",
    }
    for statement in MAKE:
        async with engine.begin() as connection:
            await connection.exec_driver_sql(statement.format(**given))
    async with engine.begin() as connection:
        await connection.exec_driver_sql("ANALYZE")  # as autovacuum does


async def measure(folder: Path, samples: int) -> None:
    async with open_database(None, folder, engine_of=create_unhurried_engine) as engine:
        began = time.monotonic()
        await fill(engine, samples)
        print(f"made in {time.monotonic() - began:.0f} s", file=sys.stderr)
        began = time.monotonic()
        results = await audit(engine)
        seconds = time.monotonic() - began
        print_results(results)
        rows = next(each.answer.checked for each in results if each.check.name == "history")
        print(f"\n{rows:,} samples in {seconds:.1f} s: {rows / seconds:,.0f} a second")
        print(
            f"A year of {ACCOUNTS} accounts with {POSITIONS} positions every minute is {YEAR / 1e6:.0f} million:"
            f" {YEAR / rows * seconds / 60:.0f} min at this pace"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=2_000_000)
    with tempfile.TemporaryDirectory(prefix="recorder-benchmark-") as name:
        Path(name).chmod(0o711)  # started as root, PostgreSQL runs as another user
        asyncio.run(measure(Path(name) / "data", parser.parse_args().samples))
