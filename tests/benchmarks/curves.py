"""How long the questions of a chart take: the curves, days and lives of one account of 50 positions, a sample a minute.

    python -m tests.benchmarks.curves --older-years 1

makes an embedded PostgreSQL of its own and records a week in bulk by SQL, with the ledger of trades and funding that
goes with it; before that week, years that nobody asks for.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.postgres.database import open_database
from recorder.postgres.engine import create_unhurried_engine
from recorder.postgres.partitions import prepare_partitions

POSITIONS = 50
TRADE_EVERY = timedelta(hours=6)
UNTIL = datetime(2026, 6, 29, tzinfo=UTC)
SINCE = UNTIL - timedelta(weeks=1)
TIMES = 3  # of which the median is told

# A position trades every six hours and is never flat; funding is paid every eight. Older years have a slot an hour.
MAKE = (
    "INSERT INTO recorder.account (name) VALUES ('main')",
    "INSERT INTO recorder.schedule SELECT id, '{oldest}', '1 minute' FROM recorder.account",
    """
    INSERT INTO recorder.snapshot
      (account_id, time, kind, taken_at, outcome, position_count, duration_ms, balance_outcome)
    SELECT a.id, slot, 'slot', slot + interval '200 milliseconds', 'ok', 0, 80, 'ok'
    FROM recorder.account a
    CROSS JOIN (
      SELECT generate_series('{oldest}'::timestamptz, '{since}'::timestamptz - interval '1 hour', '1 hour') AS slot
      UNION ALL
      SELECT generate_series('{since}'::timestamptz, '{until}'::timestamptz - interval '1 minute', '1 minute')
    ) AS due
    """,
    """
    INSERT INTO recorder.fill (account_id, symbol, trade_id, order_id, time, position_side, side, price, quantity,
      realized_profit, commission, commission_asset, maker, source)
    SELECT a.id, 'COIN' || p || 'USDT', n, n, t + p * interval '7 seconds', 'BOTH',
           CASE WHEN n % 4 > 0 THEN 'BUY' ELSE 'SELL' END, 100.5, CASE WHEN n % 4 > 0 THEN 1 ELSE 3 END,
           CASE WHEN n % 4 > 0 THEN 0 ELSE 1.2345678 END, 0.04, 'USDT', false, 'stream'
    FROM recorder.account a
    CROSS JOIN generate_series(1, {positions}) AS p
    CROSS JOIN generate_series('{oldest}'::timestamptz + interval '1 hour', '{until}', '{trade_every}')
      WITH ORDINALITY AS c (t, n)
    """,
    """
    INSERT INTO recorder.change (account_id, symbol, position_side, update_time, dated_by_exchange, position_amt,
      entry_price, break_even_price, margin_asset, source, observed_at)
    SELECT account_id, symbol, position_side, time, true, 1 + trade_id % 4, 100, 0, 'USDT', 'stream', time
    FROM recorder.fill
    """,
    """
    INSERT INTO recorder.sample
    SELECT c.account_id, 1, s.time, c.update_time, c.symbol, c.position_side, c.position_amt, c.entry_price, 100.5,
           101.25, 1.2345678 * extract(minute FROM s.time) - 30, 50.5, 0, 101.25, 'USDT', 0, 5.06, 0.5, 5.06, 0, 0, 0,
           NULL
    FROM (
      SELECT *, lead(update_time, 1, 'infinity') OVER (PARTITION BY account_id, symbol ORDER BY update_time) AS ends
      FROM recorder.change
    ) AS c
    JOIN recorder.snapshot s ON s.account_id = c.account_id AND s.time > c.update_time AND s.time <= c.ends
    ORDER BY s.time
    """,
    """
    INSERT INTO recorder.income (account_id, income_type, tran_id, asset, symbol, time, income, trade_id)
    SELECT account_id, kind, trade_id, 'USDT', symbol, time,
           CASE kind WHEN 'COMMISSION' THEN -commission ELSE realized_profit END, trade_id
    FROM recorder.fill CROSS JOIN unnest(ARRAY['REALIZED_PNL', 'COMMISSION']) AS kind
    WHERE kind = 'COMMISSION' OR realized_profit <> 0
    UNION ALL
    SELECT a.id, 'FUNDING_FEE', extract(epoch FROM t), 'USDT', 'COIN' || p || 'USDT', t, -0.0123, NULL
    FROM recorder.account a
    CROSS JOIN generate_series(1, {positions}) AS p
    CROSS JOIN generate_series('{oldest}'::timestamptz + interval '8 hours', '{until}', '8 hours') AS t
    """,
    """
    INSERT INTO recorder.balance
      (account_id, time, asset, update_time, wallet_balance, cross_wallet_balance, cross_unrealized_profit)
    SELECT s.account_id, s.time, asset, s.time, 1000, 1000, 0
    FROM recorder.snapshot s CROSS JOIN unnest(ARRAY['USDT', 'BNB']) AS asset
    """,
    """
    INSERT INTO recorder.ledger
    SELECT id, 'income', '', '{oldest}'::timestamptz - interval '1 day', '{until}' FROM recorder.account
    """,
)

WEEK = f"account = 'main' AND time >= '{SINCE.isoformat()}' AND time < '{UNTIL.isoformat()}'"
DAYS = f"account = 'main' AND day >= '{SINCE.date()}' AND day < '{UNTIL.date()}'"
SERIES = f"SELECT * FROM bi.pnl_series('main', {{}}, '{SINCE.isoformat()}', '{UNTIL.isoformat()}', '{{}}')"
CURVE = "SELECT time, asset, sum(unrealized_profit), sum(net_profit) FROM bi.pnl_curve WHERE {} GROUP BY 1, 2"


@dataclass(frozen=True, slots=True)
class Question:
    """What a chart asks for; *budget* in milliseconds."""

    name: str
    sql: str
    budget: float | None = None


QUESTIONS = (
    Question("series of the account, by slot", SERIES.format("NULL", "1 minute"), 300),
    Question("series of one position, by slot", SERIES.format("'COIN7USDT'", "1 minute"), 50),
    Question("series of the account, by hour", SERIES.format("NULL", "1 hour"), 30),
    Question("curve of the account, summed by slot", CURVE.format(WEEK), 300),
    Question("curve of one position", CURVE.format(f"{WEEK} AND symbol = 'COIN7USDT'"), 50),
    Question("curve of the account, its rows counted", f"SELECT count(net_profit) FROM bi.pnl_curve WHERE {WEEK}"),
    Question("days", f"SELECT * FROM bi.pnl_daily WHERE {DAYS}"),
    Question("equity", f"SELECT * FROM bi.account_equity WHERE {WEEK}"),
    Question(
        "history of one position", "SELECT * FROM bi.position_history WHERE account = 'main' AND symbol = 'COIN7USDT'"
    ),
    Question("positions now", "SELECT * FROM bi.position_latest WHERE account = 'main'"),
    Question("gaps", "SELECT * FROM bi.gap WHERE account = 'main'"),
    Question("freshness", "SELECT * FROM bi.freshness"),
)


async def fill(engine: AsyncEngine, older_years: float) -> None:
    """Record the week at a slot a minute, and before it *older_years* at a slot an hour."""
    oldest = SINCE - timedelta(days=int(365 * older_years))
    await prepare_partitions(engine, oldest, UNTIL)
    given = {
        "positions": POSITIONS,
        "oldest": oldest.isoformat(),
        "since": SINCE.isoformat(),
        "until": UNTIL.isoformat(),
        "trade_every": f"{TRADE_EVERY.total_seconds()} seconds",
    }
    for statement in MAKE:
        async with engine.begin() as connection:
            await connection.exec_driver_sql(statement.format(**given))
    async with engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autocommit.exec_driver_sql("VACUUM ANALYZE")  # as autovacuum does


async def ask(engine: AsyncEngine, question: Question) -> tuple[float, int]:
    """Return the median milliseconds until all rows are here, and how many they are."""
    took, rows = [], 0
    async with engine.connect() as connection:
        for _ in range(TIMES):
            began = time.perf_counter()
            rows = len((await connection.exec_driver_sql(question.sql)).all())
            took.append(1000 * (time.perf_counter() - began))
    return sorted(took)[TIMES // 2], rows


def _print(question: Question, milliseconds: float, rows: int) -> None:
    budget = "" if question.budget is None else f"{question.budget:,.0f}"
    verdict = "" if question.budget is None else ("ok" if milliseconds <= question.budget else "FAILED")
    print(f"{question.name:48} {milliseconds:>10,.1f} {budget:>10}  {verdict:6}  ms, {rows:,} rows", flush=True)


async def measure(folder: Path, older_years: float) -> None:
    async with open_database(None, folder, engine_of=create_unhurried_engine) as engine:
        began = time.monotonic()
        await fill(engine, older_years)
        print(f"made in {time.monotonic() - began:.0f} s", file=sys.stderr)
        print(f"{'':48} {'measured':>10} {'budget':>10}")
        for question in QUESTIONS:
            _print(question, *await ask(engine, question))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--older-years", type=float, default=1)
    with tempfile.TemporaryDirectory(prefix="recorder-benchmark-") as name:
        Path(name).chmod(0o711)  # started as root, PostgreSQL runs as another user
        asyncio.run(measure(Path(name) / "data", parser.parse_args().older_years))
