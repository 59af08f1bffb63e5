"""The history says at the moment of every ok snapshot what the snapshot showed, whatever was written in which order."""

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

from recorder.domain.balance import Balance
from recorder.domain.event import AccountUpdate, Arrival, StreamPosition, Told
from recorder.domain.item import Item
from recorder.domain.position import NEVER, Position
from recorder.domain.snapshot import Kind, Outcome, Snapshot
from recorder.recording import write

pytestmark = pytest.mark.every_postgres

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
DISAGREE = """
    WITH shown AS (
      SELECT s.account, s."time", s.taken_at, p.symbol, p.position_side, p.position_amt, p.entry_price
      FROM bi.snapshot s
      JOIN bi.position_sample p ON p.account = s.account AND p."time" = s."time" AND p.position_amt <> 0
    ), said AS (
      SELECT s.account, s."time", s.taken_at, h.symbol, h.position_side, h.position_amt, h.entry_price
      FROM bi.snapshot s
      CROSS JOIN bi.positions_at(s.taken_at) h
      WHERE s.outcome = 'ok' AND h.account = s.account AND h.position_amt <> 0
    )
    (SELECT 'shown', * FROM shown EXCEPT ALL SELECT 'shown', * FROM said)
    UNION ALL
    (SELECT 'said', * FROM said EXCEPT ALL SELECT 'said', * FROM shown)
"""
CHANGES = """
    SELECT symbol, position_side, update_time, dated_by_exchange, position_amt, entry_price, source, snapshot_time,
           observed_at, contradicted_by
    FROM recorder.change ORDER BY 1, 2, 3, 4
"""
MOMENTS = 'SELECT "time", taken_at FROM bi.snapshot ORDER BY 1'
HISTORY = "SELECT update_time, position_amt, source FROM bi.position_history WHERE symbol = 'BTCUSDT' ORDER BY 1"
BTC = ("BTCUSDT", "BOTH")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def event(seconds: float, amount: str, *, key: tuple[str, str] = BTC, entry: str = "100") -> Told:
    position = StreamPosition(
        symbol=key[0],
        position_side=key[1],
        position_amt=Decimal(amount),
        entry_price=Decimal(entry) if Decimal(amount) else Decimal(0),
        break_even_price=None,
        accumulated_realized=Decimal(0),
        unrealized_profit=Decimal(0),
        margin_type="cross",
        isolated_wallet=Decimal(0),
        margin_asset="USDT",
    )
    update = AccountUpdate(
        time=at(seconds),
        event_time=at(seconds),
        reason="ORDER",
        balances=(),
        positions=(position,),
        symbol=None,
        raw="{}",
    )
    return Told("main", Arrival(number=1, received_at=at(seconds + 0.01), clock_offset=None), update)


def held(amount: str, updated: float | None, *, key: tuple[str, str] = BTC, entry: str = "100") -> Position:
    return Position(
        symbol=key[0],
        position_side=key[1],
        position_amt=Decimal(amount),
        entry_price=Decimal(entry),
        update_time=NEVER if updated is None else at(updated),
        margin_asset="USDT",
        mark_price=Decimal(100),
        unrealized_profit=Decimal(0),
    )


def snapshot(
    slot: float, *rows: Position, taken: float = 0.2, took: float = 0.1, kind: Kind = Kind.SLOT, account: str = "main"
) -> Snapshot:
    return Snapshot(
        account=account,
        time=at(slot),
        kind=kind,
        taken_at=at(slot + taken),
        duration=timedelta(seconds=took),
        positions=rows,
    )


async def rows(engine: AsyncEngine, sql: str) -> list[tuple[Any, ...]]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(sql))]


async def emptied(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE recorder.account, recorder.sample, recorder.balance CASCADE"))


async def written(engine: AsyncEngine, items: Sequence[Item], *, apart: bool) -> None:
    await emptied(engine)
    for batch in [[item] for item in items] if apart else [items]:
        await write(engine, batch)
        assert await rows(engine, DISAGREE) == []


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0), (1, 3, 0, 2)])
@pytest.mark.parametrize("apart", [True, False])
async def test_a_phantom_that_only_the_stream_told_of_is_closed_whenever_the_event_comes(
    engine: AsyncEngine, order: Sequence[int], apart: bool
) -> None:
    story: list[Item] = [snapshot(0), event(3, "4"), snapshot(5), snapshot(10)]
    await written(engine, [story[place] for place in order], apart=apart)
    assert await rows(engine, HISTORY) == [(at(3), 4, "stream"), (at(5), 0, "inferred")]


@pytest.mark.parametrize("after", [0.055, 0.15, 0.5, 0.9, 1.3])
@pytest.mark.parametrize("late", [True, False])
async def test_a_position_that_is_reopened_right_after_the_snapshot_was_closed_at_it(
    engine: AsyncEngine, after: float, late: bool
) -> None:
    story: list[Item] = [
        snapshot(0),
        event(4.5, "4"),
        snapshot(5),
        event(5.2 + after, "4"),
        snapshot(10, held("4", 5.2 + after)),
    ]
    await written(engine, story[::-1] if late else story, apart=True)
    assert await rows(engine, HISTORY) == [
        (at(4.5), 4, "stream"), (at(5), 0, "inferred"), (at(5.2 + after), 4, "stream"),
    ]  # fmt: skip


async def test_a_close_that_the_stream_dates_takes_the_place_of_the_inferred_one(engine: AsyncEngine) -> None:
    await written(engine, [snapshot(0, held("4", -1)), snapshot(5), event(3.5, "0")], apart=True)
    assert await rows(engine, HISTORY) == [(at(-1), 4, "snapshot"), (at(3.5), 0, "stream")]


async def test_a_close_while_the_answer_was_on_its_way_is_before_the_answer_that_shows_it(engine: AsyncEngine) -> None:
    story: list[Item] = [snapshot(0, held("4", -1)), snapshot(5), event(5.24, "0")]
    await written(engine, story, apart=True)
    assert await rows(engine, HISTORY) == [(at(-1), 4, "snapshot"), (at(5.24), 0, "stream")]
    assert await rows(engine, MOMENTS) == [(at(0), at(0.2)), (at(5), at(5.24))]


@pytest.mark.parametrize("updated", [-50, None])
async def test_dates_that_run_backwards_and_stay_there_hide_nothing(engine: AsyncEngine, updated: float | None) -> None:
    story: list[Item] = [
        snapshot(0, held("4", -1)), snapshot(5, held("3", updated)), snapshot(10, held("3", updated)), snapshot(15),
    ]  # fmt: skip
    await written(engine, story, apart=True)
    amounts = [(time, amount) for time, amount, _ in await rows(engine, HISTORY)]
    assert amounts[-3:] == [(at(-1), 4), (at(5), 3), (at(15), 0)]


async def test_the_sides_of_a_hedge_are_closed_apart(engine: AsyncEngine) -> None:
    long, short = ("BTCUSDT", "LONG"), ("BTCUSDT", "SHORT")
    story: list[Item] = [
        snapshot(0),
        event(3, "4", key=long),
        event(3, "-4", key=short),
        snapshot(5, held("-4", 3, key=short)),
    ]
    await written(engine, story, apart=True)
    closed = "SELECT position_side, update_time FROM bi.position_history WHERE source = 'inferred'"
    assert await rows(engine, closed) == [("LONG", at(5))]


async def test_a_failed_snapshot_closes_no_phantom(engine: AsyncEngine) -> None:
    await written(engine, [snapshot(0, account="other"), event(3, "4"), snapshot(5, account="other")], apart=True)
    assert await rows(engine, HISTORY) == [(at(3), 4, "stream")]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 1, 3, 2), (3, 2, 1, 0), (3, 0, 1, 2)])
@pytest.mark.parametrize("both", [True, False])
async def test_positions_that_come_back_with_their_old_date_contradict_their_close(
    engine: AsyncEngine, order: Sequence[int], both: bool
) -> None:
    eth = held("-2", -30, key=("ETHUSDT", "BOTH"))
    whole = (held("4", -1), eth)
    story: list[Item] = [
        snapshot(0, *whole),
        snapshot(5, *(() if both else (eth,))),
        snapshot(10, *whole),
        snapshot(15, *whole),
    ]
    await written(engine, [story[place] for place in order], apart=True)
    closes = "SELECT symbol, update_time, contradicted_by FROM bi.position_history WHERE source = 'inferred' ORDER BY 1"
    expected = [("BTCUSDT", at(5), at(10)), ("ETHUSDT", at(5), at(10))]
    assert await rows(engine, closes) == expected[: 1 + both]


async def test_a_contradicted_close_ends_no_life_has_no_value_and_is_a_gap(engine: AsyncEngine) -> None:
    held_on, other = held("4", -1), held("-2", -30, key=("ETHUSDT", "BOTH"))
    story: list[Item] = [snapshot(slot, *([held_on] * (slot not in (5, 10))), other) for slot in (0, 5, 10, 15)]
    await written(engine, story, apart=True)
    episodes = "SELECT symbol, opened_at, closed_at FROM bi.position_episode ORDER BY 1"
    assert await rows(engine, episodes) == [("BTCUSDT", at(-1), None), ("ETHUSDT", at(-30), None)]
    gaps = "SELECT source, reason, symbol, position_side, started_at, ended_at FROM bi.gap"
    assert await rows(engine, gaps) == [("snapshot", "contradicted", *BTC, at(5), at(15))]
    curve = """SELECT symbol, array_agg(net_profit ORDER BY "time") FROM bi.pnl_curve GROUP BY 1 ORDER BY 1"""
    assert await rows(engine, curve) == [("BTCUSDT", [0, None, None, 0]), ("ETHUSDT", [0, 0, 0, 0])]
    for symbol, expected in (("NULL", [0, None, None, 0]), ("'BTCUSDT'", [0, None, None, 0]), ("'ETHUSDT'", [0] * 4)):
        series = f"""SELECT net_profit FROM bi.pnl_series('main', {symbol}, '{at(0)}', '{at(20)}', '5 seconds')"""
        assert [value for (value,) in await rows(engine, series)] == expected


async def test_equity_is_not_known_where_a_close_was_contradicted(engine: AsyncEngine) -> None:
    usdt = Balance(
        account_alias="alias",
        asset="USDT",
        balance=Decimal(1000),
        cross_wallet_balance=Decimal(1000),
        cross_un_pnl=Decimal(0),
        available_balance=Decimal(1000),
        max_withdraw_amount=Decimal(1000),
    )
    story: list[Item] = [
        replace(each, balance_outcome=Outcome.OK, balances=(usdt,))
        for each in (snapshot(0, held("4", -1)), snapshot(5), snapshot(10, held("4", -1)))
    ]
    await written(engine, story, apart=True)
    equity = 'SELECT wallet_balance, unrealized_profit, equity, net_profit FROM bi.account_equity ORDER BY "time"'
    assert await rows(engine, equity) == [(1000, 0, 1000, 0), (1000, None, None, None), (1000, 0, 1000, 0)]


async def test_a_position_that_comes_back_with_a_new_date_contradicts_nothing(engine: AsyncEngine) -> None:
    await written(engine, [snapshot(0, held("4", -1)), snapshot(5), snapshot(10, held("4", 7))], apart=True)
    assert await rows(engine, "SELECT count(*) FROM recorder.change WHERE contradicted_by IS NOT NULL") == [(0,)]


KEYS = [("A", "BOTH"), ("B", "LONG"), ("B", "SHORT")]
# What one position becomes at each of its instants, and who tells of it. Instants are half a second and more apart.
Move = tuple[int, tuple[str, str], str, bool]
_MOVES = st.lists(
    st.tuples(st.integers(1, 59), st.sampled_from(KEYS), st.sampled_from(["0", "1", "2"]), st.booleans()), max_size=10,
    unique_by=lambda move: move[0],
)  # fmt: skip
_ANSWERS = st.lists(
    st.tuples(
        st.integers(1, 59),
        st.integers(0, 4),  # tenths of a half second between the slot and the answer
        st.sampled_from([0, 0.02, 0.3, 0.9, 2.2]),  # how long it took
        st.sampled_from(["true", "true", "true", "empty", "undated", "backwards"]),
        st.sampled_from([Kind.SLOT, Kind.MANUAL, Kind.IMPORT]),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda answer: answer[0],
)


def told(moves: Sequence[Move]) -> list[Item]:
    return [event(place / 2, amount, key=key) for place, key, amount, heard in moves if heard]


def answered(moves: Sequence[Move], answer: tuple[int, int, float, str, Kind]) -> Item:
    """A snapshot of what was so at some moment between sending and receiving, or of what the exchange made of it."""
    place, after, took, how, kind = answer
    true = place / 2 + 0.1 + after / 20
    last = {key: (moved / 2, amount) for moved, key, amount, _ in sorted(moves) if moved / 2 <= true}
    shown = [
        held(amount, {"undated": None, "backwards": updated - 100}.get(how, updated), key=key)
        for key, (updated, amount) in last.items()
        if amount != "0" and how != "empty"
    ]
    middle = true + took * 0.3  # the answer was true early
    return snapshot(place / 2, *shown, taken=middle - place / 2, took=took, kind=kind)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_interleaving_leaves_one_history_that_agrees_with_every_snapshot(
    engine: AsyncEngine, data: st.DataObject
) -> None:
    moves = data.draw(_MOVES)
    items = [*told(moves), *(answered(moves, answer) for answer in data.draw(_ANSWERS))]
    await written(engine, items, apart=False)
    expected = await rows(engine, CHANGES), await rows(engine, MOMENTS)

    await emptied(engine)
    jumbled = data.draw(st.permutations(items + data.draw(st.lists(st.sampled_from(items), max_size=4))))
    while jumbled:
        size = data.draw(st.integers(1, len(jumbled)))
        await write(engine, jumbled[:size])
        assert await rows(engine, DISAGREE) == []
        jumbled = jumbled[size:]
    assert (await rows(engine, CHANGES), await rows(engine, MOMENTS)) == expected
