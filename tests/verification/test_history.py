"""Snapshots, samples and changes that contradict one another are found, and nothing else is blamed."""

import json

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.verification.damage import A_SLOT, HELD_ON, ITS_CHANGE, MAIN, do, one, places, violated


async def test_a_snapshot_that_counted_other_samples_is_found(month: AsyncConnection) -> None:
    await do(month, f"UPDATE recorder.snapshot SET position_count = position_count + 1 WHERE {A_SLOT}")
    found = await violated(month)
    assert list(found) == ["snapshots"]
    assert [place[:2] for place in places(found["snapshots"])] == [("main", "31 12:00")]


async def test_samples_of_a_failed_snapshot_and_of_none_are_found(month: AsyncConnection) -> None:
    copy = f"""
        INSERT INTO recorder.sample
        SELECT (jsonb_populate_record(NULL::recorder.sample, to_jsonb(p) || '{{{{"time": "{{}}"}}}}')).*
        FROM ({HELD_ON}) AS p
    """
    await do(month, copy.format("2026-03-31T06:00:00Z"), copy.format("2026-03-31T06:01:00Z"))
    found = await violated(month)
    assert list(found) == ["snapshots"]
    assert [each.what for each in found["snapshots"]] == [
        "1 samples of a snapshot that failed: timeout",
        "1 samples and no snapshot",
    ]


async def test_a_deleted_sample_is_found_twice_over(month: AsyncConnection) -> None:
    held = await one(month, HELD_ON)
    await do(
        month,
        f"""DELETE FROM recorder.sample
        WHERE (account_id, time, symbol) IN (SELECT account_id, time, symbol FROM ({HELD_ON}) AS p)""",
    )
    found = await violated(month)
    assert list(found) == ["snapshots", "history"]
    assert places(found["history"]) == [("main", f"{held.time:%d %H:%M}", held.symbol)]
    assert "the snapshot shows nothing, the history says" in found["history"][0].what


@pytest.mark.parametrize("column", ["position_amt", "entry_price"])
async def test_an_altered_sample_contradicts_the_history(month: AsyncConnection, column: str) -> None:
    held = await one(month, HELD_ON)
    await do(
        month,
        f"UPDATE recorder.sample s SET {column} = p.{column} + 1 FROM ({HELD_ON}) AS p"
        " WHERE (s.account_id, s.time, s.symbol) = (p.account_id, p.time, p.symbol)",
    )
    found = await violated(month)
    assert list(found) == ["history"]
    assert places(found["history"]) == [("main", f"{held.time:%d %H:%M}", held.symbol)]


async def test_an_entry_price_that_is_shown_rounded_is_the_same(month: AsyncConnection) -> None:
    held = await one(month, HELD_ON)
    where = f"WHERE account_id = {MAIN} AND symbol = '{held.symbol}' AND update_time = '{held.update_time}'"
    await do(month, f"UPDATE recorder.change SET entry_price = round(entry_price, 2), snapshot_time = NULL {where}")
    assert await violated(month) == {}
    await do(month, f"UPDATE recorder.change SET entry_price = entry_price + 0.01 {where}")
    assert list(await violated(month)) == ["history"]


async def test_a_deleted_change_contradicts_the_samples_that_show_it(month: AsyncConnection) -> None:
    change = await one(month, ITS_CHANGE)
    await do(
        month,
        f"""DELETE FROM recorder.change c USING ({ITS_CHANGE}) AS gone
        WHERE (c.account_id, c.symbol, c.position_side, c.update_time)
          = (gone.account_id, gone.symbol, gone.position_side, gone.update_time)""",
    )
    found = await violated(month)
    assert list(found) == ["history"]
    assert found["history"][0].symbol == change.symbol
    assert found["history"][0].time == change.snapshot_time


async def test_an_invented_change_contradicts_the_samples_after_it(month: AsyncConnection) -> None:
    held = await one(month, HELD_ON)
    invented = {
        "update_time": str(held.time),
        "observed_at": str(held.time),
        "position_amt": 77,
        "source": "stream",
        "snapshot_time": None,
    }
    await do(
        month,
        f"""INSERT INTO recorder.change
        SELECT (jsonb_populate_record(NULL::recorder.change, to_jsonb(c) || '{json.dumps(invented)}')).*
        FROM ({ITS_CHANGE}) AS c""",
    )
    found = await violated(month)
    assert list(found) == ["history"]
    assert found["history"][0].symbol == held.symbol


async def test_a_deleted_close_contradicts_the_snapshots_without_the_position(month: AsyncConnection) -> None:
    close = f"""
        SELECT * FROM recorder.change c WHERE account_id = {MAIN} AND source = 'inferred' AND NOT EXISTS (
          SELECT FROM recorder.change n WHERE n.account_id = c.account_id AND n.symbol = c.symbol
            AND n.update_time > c.update_time AND n.update_time < c.update_time + interval '3 hours')
        ORDER BY update_time LIMIT 1"""
    gone = await one(month, close)
    await do(
        month,
        f"""DELETE FROM recorder.change
        WHERE (account_id, symbol, update_time) IN (SELECT account_id, symbol, update_time FROM ({close}) AS c)""",
    )
    found = await violated(month)
    assert list(found) == ["history"]
    assert places(found["history"])[0] == ("main", f"{gone.update_time:%d %H:%M}", gone.symbol)


async def test_a_change_that_its_snapshot_did_not_show_is_found(month: AsyncConnection) -> None:
    change = await one(month, ITS_CHANGE)
    await do(
        month,
        f"""UPDATE recorder.change c SET snapshot_time = '2026-03-31 06:00Z' FROM ({ITS_CHANGE}) AS its
        WHERE (c.account_id, c.symbol, c.position_side, c.update_time)
          = (its.account_id, its.symbol, its.position_side, its.update_time)""",
    )
    found = await violated(month)
    assert list(found) == ["changes"]
    assert (found["changes"][0].symbol, found["changes"][0].time) == (change.symbol, change.update_time)
    assert "which failed" in found["changes"][0].what


async def test_a_change_of_the_future_is_found(month: AsyncConnection) -> None:
    change = await one(month, ITS_CHANGE)
    await do(
        month,
        f"""UPDATE recorder.change c SET observed_at = c.update_time - interval '1 hour' FROM ({ITS_CHANGE}) AS its
        WHERE (c.account_id, c.symbol, c.update_time) = (its.account_id, its.symbol, its.update_time)""",
    )
    found = await violated(month)
    assert list(found) == ["times"]
    assert found["times"][0].symbol == change.symbol
