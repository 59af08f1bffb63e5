"""Login roles that are members of a group, and what they find recorded."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from recorder.domain.position import Position
from recorder.domain.snapshot import Kind, Outcome, Snapshot
from recorder.postgres.roles import WRITER_RIGHTS

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FILLED = {
    "position_sample",
    "position_history",
    "position_latest",
    "snapshot",
    "freshness",
    "pnl_curve",
    "pnl_daily",
    "position_episode",
}
"""The views that show something of what the fixture records: positions, without gaps, balances and ledgers."""
VIEWS = (*FILLED, "gap", "account_equity", "fill", "income", "superseded")
TABLES = (*WRITER_RIGHTS, "sample_default", "balance_default")
NO_WRITING = (asyncpg.InsufficientPrivilegeError, asyncpg.ObjectNotInPrerequisiteStateError)  # a view of a join


def held(minute: int, amount: str) -> Snapshot:
    time = NOON + minute * MINUTE
    position = Position(
        symbol="BTCUSDT",
        position_side="BOTH",
        position_amt=Decimal(amount),
        entry_price=Decimal(100),
        update_time=time - MINUTE / 2,
        mark_price=Decimal(101),
        unrealized_profit=Decimal(1),
    )
    return Snapshot(account="main", time=time, kind=Kind.SLOT, taken_at=time, positions=(position,))


def empty(minute: int, outcome: Outcome = Outcome.OK) -> Snapshot:
    time = NOON + minute * MINUTE
    return Snapshot(account="main", time=time, kind=Kind.SLOT, taken_at=time, outcome=outcome)


class Login:
    """A login role of its own that is a member of a group."""

    def __init__(self, url: str, connection: asyncpg.Connection) -> None:
        self.url = url
        self.connection = connection


@asynccontextmanager
async def login(database: str, group: str) -> AsyncIterator[Login]:
    name = f"login_{uuid4().hex}"
    owner = await asyncpg.connect(database)
    await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret' IN ROLE {group}")
    url = make_url(database).set(username=name, password="secret").render_as_string(hide_password=False)
    connection = await asyncpg.connect(url)
    yield Login(url, connection)
    await connection.close()
    await owner.execute(f"DROP ROLE {name}")
    await owner.close()


async def refused(connection: asyncpg.Connection, sql: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(sql)
