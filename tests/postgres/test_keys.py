"""Of every recorded table it is decided what comes of a second row under its key with other content."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.balance import Balance
from recorder.domain.beginning import Beginning
from recorder.domain.event import AccountUpdate, Arrival, BalanceChange, KeptEvent, StreamPosition, Told
from recorder.domain.fill import Fill, FillSource
from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.domain.income import Income
from recorder.domain.item import Item
from recorder.domain.position import Position
from recorder.domain.snapshot import Kind, Outcome, Snapshot
from recorder.postgres import tables
from recorder.postgres.accounts import take_turn
from recorder.postgres.dead_letters import DeadLetter
from recorder.postgres.engine import create_engine
from recorder.postgres.ledgers import Interval, Ledger, mark_complete, write_fills, write_income
from recorder.postgres.marks import Mark, Writer, take_over
from recorder.postgres.schedules import write_schedule
from recorder.recording import write
from tests.postgres.logins import Login

pytestmark = pytest.mark.every_postgres

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

Put = Callable[[AsyncEngine, int], Awaitable[Any]]
"""Writes row 0, or row 1, which has the same key."""

BY_CONSTRUCTION = {
    "account": "the row is its name; what else it has is pinned by whoever has something to pin",
    "stream": "every column is of the key",
    "unexplained": "every column is of the key",
    "superseded": "the key is a digest of the content",
    "schema_revision": "written by migrations alone",
}
"""The tables in which no second row with other content can be meant."""


def arrival(seconds: float) -> Arrival:
    return Arrival(number=1, received_at=NOON + timedelta(seconds=seconds), clock_offset=None)


def observed(first: Item, other: Item) -> Put:
    async def put(engine: AsyncEngine, turn: int) -> None:
        await write(engine, [(first, other)[turn]])

    return put


def position(price: str) -> Position:
    return Position(
        symbol="SOLUSDT",
        position_side="BOTH",
        position_amt=Decimal(1),
        entry_price=Decimal(price),
        update_time=NOON - MINUTE,
        mark_price=Decimal(price),
        unrealized_profit=Decimal(0),
    )


def wallet(amount: str) -> Balance:
    return Balance(
        account_alias="x",
        asset="USDT",
        balance=Decimal(amount),
        cross_wallet_balance=Decimal(amount),
        cross_un_pnl=Decimal(0),
        available_balance=Decimal(amount),
        max_withdraw_amount=Decimal(amount),
        margin_available=True,
        update_time=NOON,
    )


def snapshot(price: str) -> Snapshot:
    return Snapshot(
        account="main",
        time=NOON,
        kind=Kind.SLOT,
        taken_at=NOON,
        positions=(position(price),),
        balance_outcome=Outcome.OK,
        balances=(wallet(price),),
    )


def update(amount: str, cross: str, seconds: float) -> Told:
    event = AccountUpdate(
        time=NOON,
        event_time=NOON,
        reason="ORDER",
        balances=(
            BalanceChange(
                asset="USDT", wallet_balance=Decimal(5), cross_wallet_balance=Decimal(cross), balance_change=None
            ),
        ),
        positions=(
            StreamPosition(
                symbol="SOLUSDT",
                position_side="BOTH",
                position_amt=Decimal(amount),
                entry_price=Decimal(9),
                break_even_price=None,
                accumulated_realized=Decimal(0),
                unrealized_profit=Decimal(0),
                margin_type="cross",
                isolated_wallet=Decimal(0),
                margin_asset="USDT",
            ),
        ),
        symbol=None,
        raw="{}",
    )
    return Told("main", arrival(seconds), event)


def gap(minutes: int) -> Gap:
    return Gap(
        account="main",
        source=GapSource.STREAM,
        started_at=NOON,
        ended_at=NOON + minutes * MINUTE,
        reason=GapReason.SILENT,
    )


def kept(seconds: float) -> Told:
    return Told("main", arrival(seconds), KeptEvent(kind="MARGIN_CALL", event_time=NOON, raw="{}"))


FILL = Fill(
    symbol="SOLUSDT",
    position_side="BOTH",
    trade_id=1,
    order_id=1,
    time=NOON,
    side="BUY",
    price=Decimal(1),
    quantity=Decimal(1),
    realized_profit=Decimal(0),
    commission=Decimal(0),
    commission_asset=None,
    maker=False,
    source=FillSource.REST,
)
BEGINNING = Beginning(account="main", since=NOON, began=NOON)
LINE = Income(
    time=NOON,
    income_type="TRANSFER",
    symbol=None,
    asset="USDT",
    income=Decimal(1),
    tran_id=1,
    trade_id=None,
    info="",
)


async def fill(engine: AsyncEngine, turn: int) -> None:
    async with engine.begin() as connection:
        number = (await take_turn(connection, ["main"]))["main"]
        told = replace(FILL, price=Decimal(1 + turn))
        await write_fills(connection, number, [told], told_at=NOON + turn * MINUTE)


async def income(engine: AsyncEngine, turn: int) -> None:
    async with engine.begin() as connection:
        number = (await take_turn(connection, ["main"]))["main"]
        told = replace(LINE, income=Decimal(1 + turn))
        await write_income(connection, number, [told], told_at=NOON + turn * MINUTE)


async def ledger(engine: AsyncEngine, turn: int) -> None:
    async with engine.begin() as connection:
        number = (await take_turn(connection, ["main"]))["main"]
        until = NOON + (1 + turn) * MINUTE
        await mark_complete(connection, number, Ledger("income"), Interval(NOON, until))


async def schedule(engine: AsyncEngine, turn: int) -> None:
    async with engine.begin() as connection:
        await write_schedule(connection, ["main"], NOON, (1 + turn) * MINUTE)


async def commit_mark(engine: AsyncEngine, turn: int) -> None:
    writer = Writer(instance="a", process="p", host="here", pid=1)
    async with engine.begin() as connection:
        await take_over(connection, writer, committed=turn, last=1, is_first=True)
    await write(engine, [], mark=Mark(writer=writer, committed=turn, through=1 + turn))


async def dead_letter(engine: AsyncEngine, turn: int) -> None:
    reason = ("first", "other")[turn]
    letter = DeadLetter(account="main", kind="kept", reason=reason, sqlstate="22000", payload=b"{}")
    await write(engine, [], letters=[letter])


# Table: how both are written, what is looked at, what it says after the first, after both, and what is superseded then.
DECIDED: dict[str, tuple[Put, str, Any, Any, int]] = {
    # What is told last stands, and the older one is kept.
    "fill": (fill, "price", 1, 2, 1),
    "income": (income, "income", 1, 2, 1),
    "balance_change": (observed(update("1", "1", 1), update("1", "2", 2)), "cross_wallet_balance", 1, 2, 1),
    # What is told last stands; it is of what goes on, and of nothing that the exchange said.
    "schedule": (schedule, "every", MINUTE, 2 * MINUTE, 0),
    "commit_mark": (commit_mark, "sequence", 1, 2, 0),
    "dead_letter": (dead_letter, "reason", "first", "other", 0),
    # Of two events about one instant the last one stands: the states in between are not in the history.
    "change": (observed(update("1", "1", 1), update("2", "1", 2)), "position_amt", 1, 2, 0),
    # What is known grows.
    "ledger": (ledger, "complete_until", NOON + MINUTE, NOON + 2 * MINUTE, 0),
    # What is covered is covered: the shorter one stands, with the reason that was given first.
    "gap": (observed(gap(5), gap(3)), "ended_at", NOON + 5 * MINUTE, NOON + 3 * MINUTE, 0),
    # The text is the content, and came in when it came first.
    "event": (observed(kept(2), kept(1)), "received_at", NOON + MINUTE / 30, NOON + MINUTE / 60, 0),
    # Of two ok answers for one slot the first committed stands whole, with its samples and its balances.
    "snapshot": (observed(snapshot("9"), replace(snapshot("9"), detail="late")), "detail", None, None, 0),
    "sample": (observed(snapshot("9"), snapshot("8")), "mark_price", 9, 9, 0),
    "balance": (observed(snapshot("9"), snapshot("8")), "wallet_balance", 9, 9, 0),
    # A process begins once at one instant: only a spool that is written again tells of it twice.
    "beginning": (
        observed(
            Beginning(account="main", since=NOON, began=NOON),
            Beginning(account="main", since=NOON + MINUTE, began=NOON),
        ),
        "since",
        NOON,
        NOON,
        0,
    ),
}


def test_of_every_table_it_is_decided_what_comes_of_other_content_under_its_key() -> None:
    assert sorted([*DECIDED, *BY_CONSTRUCTION]) == sorted(table.name for table in tables.METADATA.tables.values())


@pytest.mark.parametrize("table", DECIDED)
async def test_other_content_under_a_key_comes_to_what_was_decided(engine: AsyncEngine, table: str) -> None:
    put, column, first, both, superseded = DECIDED[table]

    async def found() -> list[Any]:
        async with engine.connect() as connection:
            return list(await connection.scalars(text(f"SELECT {column} FROM recorder.{table}")))

    await put(engine, 0)
    assert await found() == [first]
    await put(engine, 1)
    assert await found() == [both]
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM recorder.superseded")) == superseded


async def test_a_writer_may_do_all_that_comes_of_it(writer: Login) -> None:
    engine = create_engine(writer.url)
    try:
        for put, *_ in DECIDED.values():
            await put(engine, 0)
            await put(engine, 1)
    finally:
        await engine.dispose()
