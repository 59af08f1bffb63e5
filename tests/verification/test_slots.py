"""Slots, streams, gaps and times: what breaks their promises is found, with its place, and nothing else is blamed."""

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.postgres.verification.audit import audit_in
from tests.verification.damage import A_SLOT, MAIN, do, places, violated

GAP = f"INSERT INTO recorder.gap (account_id, source, started_at, ended_at, reason, repaired_by) SELECT {MAIN}, "


async def test_a_slot_without_a_row_is_found(month: AsyncConnection) -> None:
    await do(month, "DELETE FROM recorder.snapshot WHERE outcome = 'timeout'")
    found = await violated(month)
    assert list(found) == ["slots"]
    assert places(found["slots"]) == [("main", "31 06:00", None)]


async def test_slots_in_a_gap_are_answered_for_and_those_at_its_edges_are_not(month: AsyncConnection) -> None:
    await do(
        month,
        "DELETE FROM recorder.snapshot WHERE outcome = 'timeout'",
        f"""INSERT INTO recorder.gap (account_id, source, started_at, ended_at, reason)
        SELECT {MAIN}, 'snapshot', '2026-03-31 05:30Z', '2026-03-31 06:30Z', 'not_running'""",
    )
    assert await violated(month) == {}
    await do(month, "UPDATE recorder.gap SET ended_at = '2026-03-31 06:00Z'")
    assert list(await violated(month)) == ["slots"]
    await do(
        month, "UPDATE recorder.gap SET ended_at = '2026-03-31 07:00Z', source = 'stream', repaired_by = 'ledgers'"
    )
    assert list(await violated(month)) == ["slots"]


async def test_each_schedule_has_its_own_slots(month: AsyncConnection) -> None:
    await do(
        month,
        f"INSERT INTO recorder.schedule SELECT {MAIN}, '2026-04-01Z', '1 hour'",
        f"INSERT INTO recorder.schedule SELECT {MAIN}, '2026-04-01 12:00Z', '15 minutes'",
        f"INSERT INTO recorder.schedule SELECT {MAIN}, '2026-04-01 13:00Z', '30 minutes'",
    )
    found = await violated(month)
    assert list(found) == ["slots"]
    assert places(found["slots"]) == [("main", "01 12:15", None), ("main", "01 12:45", None)]


async def test_what_comes_after_the_newest_snapshot_is_told_but_breaks_no_promise(month: AsyncConnection) -> None:
    (notice,) = (each for each in await audit_in(month) if each.check.name == "open end")
    assert (notice.answer.found, notice.is_violated) == (4, False)


async def test_time_in_which_nobody_listened_needs_a_gap(month: AsyncConnection) -> None:
    await do(
        month,
        f"INSERT INTO recorder.stream SELECT {MAIN}, '2026-03-31 10:00Z', 'silent'",
        f"INSERT INTO recorder.stream SELECT {MAIN}, '2026-03-31 11:00Z', 'connected'",
    )
    found = await violated(month)
    assert list(found) == ["stream"]
    assert places(found["stream"]) == [("main", "31 10:00", None)]

    await do(month, f"{GAP} 'stream', '2026-03-31 10:00Z', '2026-03-31 10:40Z', 'silent', 'ledgers'")
    assert places((await violated(month))["stream"]) == [("main", "31 10:40", None)]
    await do(month, "UPDATE recorder.gap SET ended_at = '2026-03-31 11:00Z'")
    assert await violated(month) == {}


async def test_a_stream_that_is_gone_for_good_needs_an_open_gap(month: AsyncConnection) -> None:
    await do(month, f"INSERT INTO recorder.stream SELECT {MAIN}, '2026-03-31 10:00Z', 'connection_lost'")
    assert list(await violated(month)) == ["stream"]
    await do(month, f"INSERT INTO recorder.gap SELECT {MAIN}, 'stream', '2026-03-31 10:00Z', NULL, 'connection_lost'")
    assert await violated(month) == {}


@pytest.mark.parametrize(
    "damage",
    [
        f"UPDATE recorder.snapshot SET recorded_at = taken_at - interval '1 hour' WHERE {A_SLOT}",
        f"UPDATE recorder.snapshot SET clock_offset_ms = -7200000 WHERE {A_SLOT}",
        f"UPDATE recorder.snapshot SET clock_offset_ms = 30000 WHERE {A_SLOT}",
    ],
)
async def test_a_snapshot_at_an_impossible_time_is_found(month: AsyncConnection, damage: str) -> None:
    await do(month, damage)
    found = await violated(month)
    assert list(found) == ["times"]
    assert places(found["times"]) == [("main", "31 12:00", None)]


async def test_gaps_that_overlap_or_run_backwards_are_found(month: AsyncConnection) -> None:
    await do(
        month,
        f"{GAP} 'stream', '2026-03-31 10:00Z', '2026-03-31 11:00Z', 'silent', 'ledgers'",
        f"{GAP} 'stream', '2026-03-31 10:30Z', '2026-03-31 11:30Z', 'silent', 'ledgers'",
        f"{GAP} 'stream', '2026-03-31 11:20Z', '2026-03-31 11:50Z', 'buffer_full', 'ledgers'",
    )
    found = await violated(month)
    assert list(found) == ["gaps"]
    assert places(found["gaps"]) == [("main", "31 10:30", None), ("main", "31 11:20", None)]

    await do(
        month,
        "DELETE FROM recorder.gap",
        "ALTER TABLE recorder.gap DROP CONSTRAINT gap_ends_after_start_check",
        f"{GAP} 'stream', '2026-03-31 10:00Z', '2026-03-31 09:00Z', 'silent', 'ledgers'",
    )
    assert [each.what for each in (await violated(month))["gaps"]] == ["stream gap, silent: ends before it starts"]


@pytest.mark.parametrize("source", ["stream", "snapshot"])
async def test_a_gap_that_was_never_closed_is_found(month: AsyncConnection, source: str) -> None:
    await do(
        month,
        f"INSERT INTO recorder.stream SELECT {MAIN}, '2026-03-31 11:00Z', 'connected'",
        f"{GAP} '{source}', '2026-03-31 10:00Z', NULL, 'silent', NULL",
    )
    found = await violated(month)
    assert list(found) == ["open gaps"]
    assert places(found["open gaps"]) == [("main", "31 10:00", None)]


async def test_a_gap_that_the_ledgers_cover_and_nobody_marked_is_found(month: AsyncConnection) -> None:
    await do(month, f"{GAP} 'stream', '2026-03-31 10:00Z', '2026-03-31 11:00Z', 'silent', NULL")
    found = await violated(month)
    assert list(found) == ["repairs"]
    assert places(found["repairs"]) == [("main", "31 10:00", None)]
