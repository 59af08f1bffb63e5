"""Writing is idempotent and order-free: what the tables hold depends on what was observed, not on when it came."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.position import NEVER, Position
from recorder.domain.snapshot import Kind, Outcome, Snapshot
from recorder.exceptions import SchemaMismatch, StorageRefused
from recorder.postgres.accounts import take_turn
from recorder.postgres.engine import create_engine, storage_errors
from recorder.postgres.snapshots import write_snapshots

pytestmark = pytest.mark.every_postgres

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
TABLES = {
    "snapshot": "account_id, time, kind, taken_at, outcome, detail, position_count, duration_ms, clock_offset_ms",
    "sample": "*",
    "change": "*",
}


def row(symbol: str = "BTCUSDT", amount: str = "1", at: datetime = NOON - SECOND, **fields: Any) -> Position:
    defaults: dict[str, Any] = {
        "position_side": "BOTH",
        "entry_price": Decimal(100),
        "mark_price": Decimal("101.5"),
        "unrealized_profit": Decimal("1.5"),
    }
    return Position(symbol=symbol, position_amt=Decimal(amount), update_time=at, **(defaults | fields))


def ok(minute: int, *rows: Position, account: str = "main", kind: Kind = Kind.SLOT) -> Snapshot:
    time = NOON + minute * MINUTE
    return Snapshot(account=account, time=time, kind=kind, taken_at=time + SECOND / 5, positions=rows)


def failed(minute: int, account: str = "main") -> Snapshot:
    time = NOON + minute * MINUTE
    return Snapshot(
        account=account, time=time, kind=Kind.SLOT, taken_at=time + SECOND, outcome=Outcome.TIMEOUT, detail="no answer"
    )


async def write(engine: AsyncEngine, *snapshots: Snapshot) -> list[Snapshot]:
    with storage_errors():
        async with engine.begin() as connection:
            ids = await take_turn(connection, (snapshot.account for snapshot in snapshots))
            return await write_snapshots(connection, ids, snapshots)


async def rows(engine: AsyncEngine, sql: str) -> list[tuple[Any, ...]]:
    async with engine.connect() as connection:
        return [tuple(each) for each in await connection.execute(text(sql))]


async def contents(engine: AsyncEngine) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: sorted(await rows(engine, f"SELECT {columns} FROM recorder.{table}"), key=str)
        for table, columns in TABLES.items()
    }


async def emptied(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE recorder.snapshot, recorder.sample, recorder.change"))


async def test_a_snapshot_leaves_its_row_its_samples_and_its_changes(engine: AsyncEngine) -> None:
    await write(engine, ok(0, row(), row("ETHUSDT", "-2")))
    assert await rows(engine, "SELECT account, outcome, position_count FROM bi.snapshot") == [("main", "ok", 2)]
    assert await rows(engine, "SELECT symbol, position_amt FROM bi.position_sample ORDER BY 1") == [
        ("BTCUSDT", Decimal(1)),
        ("ETHUSDT", Decimal(-2)),
    ]
    assert await rows(engine, "SELECT symbol, update_time, valid_to FROM bi.position_history ORDER BY 1") == [
        ("BTCUSDT", NOON - SECOND, None),
        ("ETHUSDT", NOON - SECOND, None),
    ]


async def test_an_unchanged_update_time_adds_a_sample_and_no_change(engine: AsyncEngine) -> None:
    for minute in range(3):
        await write(engine, ok(minute, row(mark_price=Decimal(100 + minute))))
    assert await rows(engine, "SELECT count(*) FROM bi.position_sample") == [(3,)]
    assert await rows(engine, "SELECT count(*) FROM bi.position_history") == [(1,)]


async def test_a_failed_snapshot_closes_nothing_and_says_why(engine: AsyncEngine) -> None:
    await write(engine, ok(0, row()), failed(1), ok(2, row()))
    assert await rows(engine, "SELECT count(*) FROM bi.position_history") == [(1,)]
    assert await rows(engine, "SELECT outcome, detail FROM bi.snapshot ORDER BY time") == [
        ("ok", None),
        ("timeout", "no answer"),
        ("ok", None),
    ]


async def test_a_vanished_position_is_closed_and_no_longer_latest(engine: AsyncEngine) -> None:
    await write(engine, ok(0, row(), row("ETHUSDT")))
    await write(engine, ok(1, row("ETHUSDT")))
    assert await rows(
        engine, "SELECT update_time, position_amt, source FROM bi.position_history WHERE symbol = 'BTCUSDT' ORDER BY 1"
    ) == [(NOON - SECOND, Decimal(1), "snapshot"), (NOON + MINUTE, Decimal(0), "inferred")]
    assert await rows(engine, "SELECT symbol FROM bi.position_latest") == [("ETHUSDT",)]


async def test_an_empty_ok_snapshot_closes_everything(engine: AsyncEngine) -> None:
    await write(engine, ok(0, row(), row("ETHUSDT")))
    await write(engine, ok(1))
    assert await rows(engine, "SELECT count(*) FROM bi.position_history WHERE source = 'inferred'") == [(2,)]
    assert await rows(engine, "SELECT count(*) FROM bi.position_latest") == [(0,)]


async def test_of_two_ok_snapshots_of_a_slot_the_first_stands_whole(engine: AsyncEngine) -> None:
    first, second = ok(0, row()), ok(0, row("ETHUSDT"), row("BTCUSDT", "5"))
    assert await write(engine, first) == [first]
    assert await write(engine, second) == []
    assert await rows(engine, "SELECT symbol, position_amt FROM bi.position_sample") == [("BTCUSDT", Decimal(1))]


async def test_an_ok_snapshot_takes_the_place_of_a_failed_one_and_never_the_reverse(engine: AsyncEngine) -> None:
    await write(engine, ok(0, row()), failed(1))
    await write(engine, ok(1))
    await write(engine, failed(1))
    assert await rows(engine, "SELECT outcome FROM bi.snapshot ORDER BY time") == [("ok",), ("ok",)]
    assert await rows(engine, "SELECT max(update_time) FROM bi.position_history") == [(NOON + MINUTE,)]


async def test_an_account_does_not_touch_another(engine: AsyncEngine) -> None:
    await write(engine, ok(0, row()), ok(0, row("ETHUSDT"), account="other"))
    await write(engine, ok(1, account="other"))
    assert await rows(engine, "SELECT account, symbol FROM bi.position_latest") == [("main", "BTCUSDT")]


async def test_every_digit_arrives(engine: AsyncEngine) -> None:
    texts = ["2.8E-4", "0.123456789012345678901234567890", "-0.00000000", "123456789012345678901234567890.5", "1E+5"]
    for minute, number in enumerate(texts):
        await write(engine, ok(minute, row(mark_price=Decimal(number), break_even_price=Decimal(number))))
    found = await rows(engine, "SELECT mark_price, break_even_price FROM bi.position_sample ORDER BY time")
    assert found == [(Decimal(number), Decimal(number)) for number in texts]


async def test_unknown_fields_are_kept_with_every_digit(engine: AsyncEngine) -> None:
    extra = {"newField": "x", "score": Decimal("0.1234567890123456789"), "nested": {"a": [1, None]}}
    await write(engine, ok(0, row(extra=extra)))
    ((found,),) = await rows(engine, "SELECT extra::text FROM bi.position_sample")
    assert found == '{"score": 0.1234567890123456789, "nested": {"a": [1, null]}, "newField": "x"}'


async def test_a_refused_row_takes_its_whole_snapshot_back(engine: AsyncEngine) -> None:
    with pytest.raises(StorageRefused):
        await write(engine, ok(0, row(), row("NUL\x00USDT")))
    assert await rows(engine, "SELECT count(*) FROM recorder.snapshot") == [(0,)]


async def test_names_are_text_and_never_sql(engine: AsyncEngine) -> None:
    name = "'; DROP TABLE recorder.sample; -- :x %s"
    await write(engine, ok(0, row(symbol="币安人生USDT"), account=name))
    assert await rows(engine, "SELECT account, symbol FROM bi.position_latest") == [(name, "币安人生USDT")]


async def test_a_schema_of_another_revision_is_not_written_to(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE recorder.alembic_version SET version_num = '0000'"))
    with pytest.raises(SchemaMismatch) as refusal:
        await write(engine, ok(0, row()))
    assert refusal.value.fix == "recorder db upgrade"
    assert await rows(engine, "SELECT count(*) FROM recorder.snapshot") == [(0,)]


async def test_two_recorders_at_once_leave_what_one_would(database: str, engine: AsyncEngine) -> None:
    story = [ok(minute, *([row("BTCUSDT", str(minute), NOON + minute * MINUTE - SECOND)] * (minute % 3 > 0)))
             for minute in range(12)]  # fmt: skip
    for snapshot in story:
        await write(engine, snapshot)
    alone = await contents(engine)
    await emptied(engine)

    async def record(order: Sequence[Snapshot]) -> None:
        own = create_engine(database)
        for snapshot in order:
            await write(own, snapshot)
        await own.dispose()

    await asyncio.gather(record(story), record(story[::-1]), record(story[::2] + story[1::2]))
    assert await contents(engine) == alone


# Few symbols, few update times and a short span, so that all of them collide.
_STATES = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["A", "B"]),
        "position_side": st.sampled_from(["BOTH", "LONG"]),
        "amount": st.sampled_from(["0", "1", "2"]),
        "at": st.sampled_from([NEVER, *(NOON + minute * MINUTE - SECOND for minute in range(-1, 6))]),
    }
)
_SNAPSHOTS = st.one_of(
    st.builds(failed, st.integers(0, 5)),
    st.builds(
        lambda minute, states, kind: ok(minute, *(row(**state) for state in states), kind=kind),
        st.integers(0, 5),
        st.lists(_STATES, max_size=4, unique_by=lambda state: (state["symbol"], state["position_side"])),
        st.sampled_from([Kind.SLOT, Kind.IMPORT]),
    ),
)


@given(data=st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_order_repetition_and_batching_leaves_the_same_tables(
    engine: AsyncEngine, data: st.DataObject
) -> None:
    # Two recorders may see different things at one slot; then the first committed stands, and order is what decides.
    observed = data.draw(st.lists(_SNAPSHOTS, min_size=1, max_size=8, unique_by=lambda snapshot: snapshot.time))
    await emptied(engine)
    for snapshot in sorted(observed, key=lambda snapshot: snapshot.time):
        await write(engine, snapshot)
    expected = await contents(engine)

    await emptied(engine)
    failures = [replace(failed(0), time=snapshot.time) for snapshot in observed if snapshot.ok]
    jumbled = data.draw(
        st.permutations(observed + data.draw(st.lists(st.sampled_from(observed + failures), max_size=6)))
    )
    while jumbled:
        size = data.draw(st.integers(1, len(jumbled)))
        await write(engine, *jumbled[:size])
        jumbled = jumbled[size:]
    assert await contents(engine) == expected


async def test_the_earliest_snapshot_that_has_a_state_tells_of_it_whichever_came_first(engine: AsyncEngine) -> None:
    await write(engine, ok(2, row()))
    await write(engine, ok(1, row(), kind=Kind.IMPORT))
    await write(engine, ok(3, row()))
    assert await rows(engine, "SELECT source, snapshot_time FROM recorder.change") == [("import", NOON + MINUTE)]


async def test_a_late_snapshot_moves_the_close_to_where_it_was_first_seen(engine: AsyncEngine) -> None:
    await write(engine, ok(0, row()), ok(3))
    await write(engine, ok(1))
    assert await rows(engine, "SELECT update_time FROM bi.position_history WHERE source = 'inferred'") == [
        (NOON + MINUTE,)
    ]


async def test_snapshots_on_both_sides_of_a_known_one_may_come_at_once_and_tell_the_same_change(
    engine: AsyncEngine,
) -> None:
    await write(engine, ok(1))
    flat = row(amount="0")
    await write(engine, ok(0, flat), ok(2, flat))
    assert await rows(engine, "SELECT update_time, snapshot_time FROM recorder.change") == [(NOON - SECOND, NOON)]
