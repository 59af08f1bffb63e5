"""Events are written in any order and any number of times, and what snapshots say of the same change gives way."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.event import AccountUpdate, Arrival, BalanceChange, KeptEvent, StreamPosition, Told, Trade
from recorder.domain.fill import Fill, FillSource
from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.domain.item import Item
from recorder.domain.position import NEVER, Position
from recorder.domain.snapshot import Kind, Snapshot
from recorder.recording import write

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TABLES = (
    "SELECT symbol, update_time, dated_by_exchange, position_amt, entry_price, source, event_time FROM recorder.change",
    'SELECT asset, "time", event_time, wallet_balance FROM recorder.balance_change',
    "SELECT symbol, trade_id, price, source FROM recorder.fill",
    "SELECT kind, body FROM recorder.event",
)
HISTORY = "SELECT update_time, position_amt, source FROM bi.position_history ORDER BY 1"


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def arrival(number: int, seconds: float) -> Arrival:
    return Arrival(number=number, received_at=at(seconds), clock_offset=None)


def update(number: int, seconds: float, amount: str, *, sent_after: float = 0.005, came_after: float = 0.02) -> Told:
    position = StreamPosition(
        symbol="BTCUSDT",
        position_side="BOTH",
        position_amt=Decimal(amount),
        entry_price=Decimal(100) if Decimal(amount) else Decimal(0),
        break_even_price=None,
        accumulated_realized=Decimal(number),
        unrealized_profit=Decimal(0),
        margin_type="cross",
        isolated_wallet=Decimal(0),
        margin_asset="USDT",
    )
    balance = BalanceChange(
        asset="USDT", wallet_balance=Decimal(1000 + number), cross_wallet_balance=None, balance_change=Decimal(0)
    )
    event = AccountUpdate(
        time=at(seconds),
        event_time=at(seconds + sent_after),
        reason="ORDER",
        balances=(balance,),
        positions=(position,),
        symbol=None,
        raw="{}",
    )
    return Told("main", arrival(number, seconds + came_after), event)


def trade(number: int, seconds: float) -> Told:
    fill = Fill(
        symbol="BTCUSDT",
        position_side="BOTH",
        trade_id=number,
        order_id=number,
        time=at(seconds),
        side="BUY",
        price=Decimal(100 + number),
        quantity=Decimal(1),
        realized_profit=Decimal(0),
        commission=Decimal("-0.01"),
        commission_asset="USDT",
        maker=False,
        source=FillSource.STREAM,
    )
    return Told("main", arrival(number, seconds), Trade(fill=fill, event_time=at(seconds), raw="{}"))


def snapshot(slot: float, taken: float, *held: tuple[str, float]) -> Snapshot:
    positions = tuple(
        Position(
            symbol="BTCUSDT",
            position_side="BOTH",
            position_amt=Decimal(amount),
            entry_price=Decimal(100),
            update_time=at(updated),
            margin_asset="USDT",
            mark_price=Decimal(100),
            unrealized_profit=Decimal(0),
        )
        for amount, updated in held
    )
    return Snapshot(account="main", time=at(slot), kind=Kind.SLOT, taken_at=at(taken), positions=positions)


async def rows(engine: AsyncEngine, sql: str) -> list[tuple[Any, ...]]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(sql))]


async def tables(engine: AsyncEngine) -> list[set[tuple[Any, ...]]]:
    return [set(await rows(engine, sql)) for sql in TABLES]


async def test_events_leave_the_same_tables_in_any_order_and_with_any_repetition(engine: AsyncEngine) -> None:
    kept = KeptEvent(kind="MARGIN_CALL", event_time=at(3), raw='{"e":"MARGIN_CALL"}')
    told: list[Item] = [
        update(1, 1, "1"),
        trade(2, 1),
        update(3, 2, "2"),
        update(4, 2, "3", sent_after=0.007),
        trade(5, 2),
        update(6, 2.4, "0"),
        Told("main", arrival(7, 3), kept),
        snapshot(0, 0.1),
        snapshot(2, 2.1, ("3", 2.0)),
        snapshot(5, 5.1),
    ]
    await write(engine, told)
    expected = await tables(engine)
    assert [len(table) for table in expected] == [3, 4, 2, 1]
    random = Random(1)  # noqa: S311 - makes orders, no secrets
    for _ in range(12):
        async with engine.begin() as connection:
            await connection.execute(text("TRUNCATE recorder.account, recorder.sample, recorder.balance CASCADE"))
        mixed = random.choices(told, k=6) + random.sample(told, len(told))
        while mixed:
            batch = [mixed.pop() for _ in range(min(len(mixed), random.randint(1, 4)))]
            await write(engine, batch)
        assert await tables(engine) == expected


async def test_of_two_messages_of_one_instant_the_one_that_came_last_stands_also_after_the_first_is_written_again(
    engine: AsyncEngine,
) -> None:
    # The numbers count from the start of a process: the one that came last may have the smaller number.
    first, last = update(9, 2, "1"), update(1, 2, "2", came_after=0.021)
    for told in ([first, last], [first], [last], [first], [last, first]):
        await write(engine, told)
        amount = await rows(engine, "SELECT position_amt FROM bi.position_history")
        assert amount == [(Decimal(2),)]


@pytest.mark.parametrize("stream_first", [True, False])
@pytest.mark.parametrize("lag", [0, 0.003, -0.003, 0.9])
async def test_a_change_that_both_tell_of_is_the_stream_s(engine: AsyncEngine, stream_first: bool, lag: float) -> None:
    both: list[Item] = [update(1, 10, "1"), snapshot(15, 15.1, ("1", 10 + lag))]
    for item in both if stream_first else reversed(both):
        await write(engine, [item])
    assert await rows(engine, HISTORY) == [(at(10), 1, "stream")]


async def test_equal_states_further_apart_are_two_changes(engine: AsyncEngine) -> None:
    await write(engine, [update(1, 10, "1"), snapshot(15, 15.1, ("1", 11.5))])
    assert await rows(engine, HISTORY) == [(at(10), 1, "stream"), (at(11.5), 1, "snapshot")]


@pytest.mark.parametrize("stream_first", [True, False])
async def test_a_close_between_a_slot_and_its_answer_is_one_close(engine: AsyncEngine, stream_first: bool) -> None:
    await write(engine, [update(1, 1, "1"), snapshot(5, 5.1, ("1", 1))])
    both: list[Item] = [update(2, 10.05, "0"), snapshot(10, 10.1)]
    for item in both if stream_first else reversed(both):
        await write(engine, [item])
    assert await rows(engine, HISTORY) == [(at(1), 1, "stream"), (at(10.05), 0, "stream")]


async def test_a_gap_can_open_and_close_in_one_batch(engine: AsyncEngine) -> None:
    def gap(ended: float | None) -> Gap:
        return Gap(
            account="main",
            source=GapSource.STREAM,
            started_at=at(1),
            ended_at=None if ended is None else at(ended),
            reason=GapReason.SILENT,
        )

    await write(engine, [gap(None), gap(5), gap(3), gap(None)])
    assert await rows(engine, "SELECT started_at, ended_at FROM bi.gap") == [(at(1), at(3))]


@pytest.mark.parametrize("stream_first", [True, False])
async def test_a_snapshot_stands_over_an_event_of_its_instant_that_was_not_the_last(
    engine: AsyncEngine, stream_first: bool
) -> None:
    both: list[Item] = [update(1, 10, "1"), snapshot(15, 15.1, ("3", 10))]
    for item in both if stream_first else reversed(both):
        await write(engine, [item])
    assert await rows(engine, HISTORY) == [(at(10), 3, "snapshot")]
    await write(engine, [update(2, 10, "3")])
    assert await rows(engine, HISTORY) == [(at(10), 3, "stream")]


async def test_a_row_that_an_event_tells_again_is_no_change(engine: AsyncEngine) -> None:
    await write(engine, [update(1, 10, "1"), update(2, 20, "1"), update(3, 30, "0"), update(4, 40, "0")])
    assert await rows(engine, HISTORY) == [(at(10), 1, "stream"), (at(30), 0, "stream")]


async def test_flat_is_the_same_state_whatever_its_entry_price(engine: AsyncEngine) -> None:
    for told in (update(1, 10, "1"), update(2, 20, "0"), snapshot(25, 25.1, ("0", 20.004))):
        await write(engine, [told])
    assert await rows(engine, HISTORY) == [(at(10), 1, "stream"), (at(20), 0, "stream")]
    assert await rows(engine, "SELECT count(*) FROM recorder.change") == [(2,)]
    await write(engine, [snapshot(35, 35.1, ("0", 30.004)), update(3, 30, "0")])
    assert await rows(engine, "SELECT count(*) FROM recorder.change") == [(3,)]


async def test_a_row_that_was_only_there_for_its_orders_is_no_change(engine: AsyncEngine) -> None:
    never = (NEVER - NOON).total_seconds()
    await write(engine, [snapshot(0, 0.1, ("0", never)), snapshot(5, 5.1, ("2", 4))])
    assert await rows(engine, HISTORY) == [(at(4), 2, "snapshot")]
