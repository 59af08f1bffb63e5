"""What is written today costs the same whether a day or a year is recorded already."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recorder.domain.event import AccountUpdate, Arrival, StreamPosition, Told
from recorder.domain.position import Position
from recorder.domain.snapshot import Kind, Snapshot
from recorder.postgres.accounts import take_turn
from recorder.postgres.events import write_events
from recorder.postgres.ledgers import traded_symbols
from recorder.postgres.snapshots import write_snapshots

pytestmark = pytest.mark.every_postgres

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ACCOUNTS = [f"account-{number}" for number in range(10)]
SYMBOLS = [f"SYMBOL{number}USDT" for number in range(50)]
POSITIONS = len(ACCOUNTS) * len(SYMBOLS)
HISTORY = 200  # changes of each position
REMEMBER = """
    INSERT INTO recorder.change (account_id, symbol, position_side, update_time, dated_by_exchange, position_amt,
                                 entry_price, source, observed_at)
    SELECT account.id, symbol, 'BOTH', at, n % 10 <> 0, n % 10, 100,
           CASE WHEN n % 10 = 0 THEN 'inferred' ELSE 'stream' END, at
    FROM recorder.account, unnest(CAST(:symbols AS text[])) AS symbol, generate_series(1, :history) AS n,
         LATERAL (SELECT CAST(:noon AS timestamptz) - n * interval '1 hour' AS at) AS past
"""
EARN = """
    INSERT INTO recorder.income (account_id, income_type, tran_id, asset, symbol, "time", income)
    SELECT account.id, 'COMMISSION', row_number() OVER (ORDER BY symbol, n), 'USDT', symbol,
           CAST(:noon AS timestamptz) + interval '1 minute' - n * interval '1 hour', -1
    FROM recorder.account, unnest(CAST(:symbols AS text[])) AS symbol, generate_series(1, :history) AS n
"""
ROWS_READ = """
    SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables
    WHERE relid IN ('recorder.change'::regclass, 'recorder.income'::regclass)
"""


@pytest.fixture
async def ids(engine: AsyncEngine) -> dict[str, int]:
    """The accounts, each with a long history of many positions."""
    async with engine.begin() as connection:
        ids = await take_turn(connection, ACCOUNTS)
        await connection.execute(text(REMEMBER), {"symbols": SYMBOLS, "history": HISTORY, "noon": NOON})
    async with engine.begin() as connection:
        await connection.execute(text("ANALYZE recorder.change"))
    return ids


def told(account: str, symbol: str) -> Told:
    position = StreamPosition(
        symbol=symbol,
        position_side="BOTH",
        position_amt=Decimal(0),
        entry_price=Decimal(0),
        break_even_price=None,
        accumulated_realized=Decimal(0),
        unrealized_profit=Decimal(0),
        margin_type="cross",
        isolated_wallet=Decimal(0),
        margin_asset="USDT",
    )
    update = AccountUpdate(
        time=NOON, event_time=NOON, reason="ORDER", balances=(), positions=(position,), symbol=None, raw="{}"
    )
    return Told(account, Arrival(number=1, received_at=NOON, clock_offset=None), update)


def snapshot(account: str) -> Snapshot:
    positions = tuple(
        Position(
            symbol=symbol,
            position_side="BOTH",
            position_amt=Decimal(1),
            entry_price=Decimal(100),
            update_time=NOON,
            mark_price=Decimal(100),
            unrealized_profit=Decimal(0),
        )
        for symbol in SYMBOLS
    )
    return Snapshot(account=account, time=NOON, kind=Kind.SLOT, taken_at=NOON + SECOND, positions=positions)


async def rows_read(connection: AsyncConnection) -> int:
    rows: int = (await connection.execute(text(ROWS_READ))).scalar_one()
    return rows


async def test_an_event_does_not_read_the_history_of_its_position(engine: AsyncEngine, ids: dict[str, int]) -> None:
    async with engine.begin() as connection:
        before = await rows_read(connection)
        await write_events(connection, ids, [told(account, symbol) for account in ACCOUNTS for symbol in SYMBOLS])
        assert await rows_read(connection) - before <= 2 * POSITIONS


async def test_a_round_of_snapshots_does_not_read_the_history(engine: AsyncEngine, ids: dict[str, int]) -> None:
    async with engine.begin() as connection:
        before = await rows_read(connection)
        await write_snapshots(connection, ids, [snapshot(account) for account in ACCOUNTS])
        assert await rows_read(connection) - before <= 2 * POSITIONS


async def test_which_symbols_were_traded_is_found_without_reading_their_history(
    engine: AsyncEngine, ids: dict[str, int]
) -> None:
    earned = [*SYMBOLS[10:], "EARNEDUSDT"]
    async with engine.begin() as connection:
        await connection.execute(text(EARN), {"symbols": ["", *earned], "history": HISTORY, "noon": NOON})
        await connection.execute(text("ANALYZE recorder.income"))
    async with engine.begin() as connection:
        before = await rows_read(connection)
        traded = await traded_symbols(connection, ids[ACCOUNTS[0]])
        assert await rows_read(connection) - before <= 10 * len(SYMBOLS)
    newest = NOON - timedelta(hours=1)
    assert traded == dict.fromkeys(SYMBOLS[:10], newest) | dict.fromkeys(earned, newest + timedelta(minutes=1))
