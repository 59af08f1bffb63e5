"""The views and functions of schema ``bi`` answer, and agree with one another."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.position import NEVER, Position
from recorder.domain.snapshot import Kind, Snapshot
from recorder.postgres import questions
from recorder.recording import write

pytestmark = pytest.mark.every_postgres

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def snapshot(minute: int, *positions: Position, account: str = "main") -> Snapshot:
    time = NOON + minute * MINUTE
    return Snapshot(account=account, time=time, kind=Kind.SLOT, taken_at=time, positions=positions)


def position(symbol: str, amount: str, at: datetime, **fields: Any) -> Position:
    usual: dict[str, Any] = {
        "position_side": "BOTH",
        "entry_price": Decimal(100),
        "mark_price": Decimal(101),
        "unrealized_profit": Decimal(1),
    }
    return Position(symbol=symbol, position_amt=Decimal(amount), update_time=at, **(usual | fields))


async def test_every_view_answers(engine: AsyncEngine) -> None:
    await write(engine, [snapshot(0, position("BTCUSDT", "1", NOON))])
    async with engine.connect() as connection:
        views = list(await connection.scalars(text("SELECT viewname FROM pg_views WHERE schemaname = 'bi'")))
        counts = {view: await connection.scalar(text(f"SELECT count(*) FROM bi.{view}")) for view in views}

    assert counts == {
        "position_sample": 1,
        "superseded": 0,
        "position_history": 1,
        "position_latest": 1,
        "snapshot": 1,
        "freshness": 1,
        "gap": 0,
        "pnl_curve": 1,
        "pnl_daily": 1,
        "position_episode": 1,
        "account_equity": 0,
        "fill": 0,
        "income": 0,
    }


async def test_positions_at_is_the_history_in_force_at_that_instant(engine: AsyncEngine) -> None:
    second = MINUTE / 60
    await write(
        engine,
        [
            snapshot(0, position("BTCUSDT", "1", NOON - second), position("ETHUSDT", "5", NEVER)),
            snapshot(1, position("BTCUSDT", "1", NOON - second), position("ETHUSDT", "6", NEVER)),
            snapshot(2, position("BTCUSDT", "2", NOON + MINUTE), position("ETHUSDT", "6", NEVER)),
            snapshot(3, position("ETHUSDT", "7", NOON + MINUTE)),
            snapshot(4, position("BTCUSDT", "3", NOON + 3 * MINUTE + second)),
            snapshot(4, position("BTCUSDT", "-9", NOON, position_side="SHORT"), account="hedge"),
            snapshot(5),
        ],
    )
    history = await questions.history(engine, None, None, None)
    instants = sorted({row["update_time"] + shift for row in history for shift in (-second, 0 * second, second)})
    assert len(history) >= 8

    async with engine.connect() as connection:
        for instant in instants:
            last: dict[tuple[str, ...], dict[str, Any]] = {}
            for row in history:  # oldest first
                if row["update_time"] <= instant and row["valid_to"] != row["update_time"]:
                    last[row["account"], row["symbol"], row["position_side"]] = row
            found = await connection.execute(text("SELECT * FROM bi.positions_at(:at)"), {"at": instant})
            told = {(row["account"], row["symbol"], row["position_side"]): dict(row) for row in found.mappings()}
            assert told == last, instant
