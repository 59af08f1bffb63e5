"""A process that died before it could say what was not covered before it leaves that to the next one."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.beginning import Beginning
from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.domain.item import Item
from recorder.domain.snapshot import Outcome
from recorder.domain.stream import IN_TRANSIT, StreamState
from recorder.postgres.beginnings import own_up_for_earlier
from recorder.postgres.gaps import last_watched
from recorder.postgres.schedules import write_schedule
from recorder.postgres.verification.audit import audit
from recorder.recording import write
from tests.postgres.logins import MINUTE, NOON, empty, held
from tests.postgres.money_story import rows

GAPS = "SELECT source, started_at, ended_at, reason FROM recorder.gap ORDER BY source, started_at"


def at(minutes: float) -> datetime:
    return NOON + minutes * MINUTE


def begun(minute: float, reason: GapReason = GapReason.NOT_RUNNING) -> Beginning:
    """A process that begins between two slots, and takes the snapshot of the one before."""
    return Beginning(account="main", since=at(int(minute)), began=at(minute), reason=reason)


def connected(minute: float) -> StreamState:
    return StreamState("main", "connected", at(minute))


TOLD = at(1) - IN_TRANSIT
FIRST = (begun(0.1), connected(0.2), held(0, "1"), held(1, "1"))


async def own_up(engine: AsyncEngine, minute: float) -> None:
    async with engine.begin() as connection:
        await own_up_for_earlier(connection, [begun(minute)], MINUTE)


async def scheduled(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await write_schedule(connection, ["main"], at(0) - MINUTE, MINUTE)


async def test_what_was_not_covered_before_an_earlier_process_is_told_by_the_next(engine: AsyncEngine) -> None:
    second = (begun(5.1, GapReason.TOOK_OVER), connected(5.2), held(5, "1"), held(6, "1"))
    await write(engine, [*FIRST, *second, begun(7.1)])
    await scheduled(engine)
    for _ in range(2):
        await own_up(engine, 7.1)
        assert await rows(engine, GAPS) == [
            ("snapshot", at(1), at(5), "took_over"),
            ("stream", TOLD, at(5.2), "took_over"),
        ]


async def test_processes_that_never_listened_are_one_gap_of_the_stream(engine: AsyncEngine) -> None:
    await write(engine, [*FIRST, begun(5.1), held(5, "1"), begun(7.1), held(7, "1"), connected(7.3), begun(8.1)])
    await scheduled(engine)
    await own_up(engine, 8.1)
    assert await rows(engine, GAPS) == [
        ("snapshot", at(1), at(5), "not_running"),
        ("snapshot", at(5), at(7), "not_running"),
        ("stream", TOLD, at(7.3), "not_running"),
    ]


async def test_what_an_earlier_process_saw_without_listening_is_no_sign_of_listening(engine: AsyncEngine) -> None:
    await write(engine, [*FIRST, begun(5.1), held(5, "1"), held(6, "1"), begun(9.1)])
    async with engine.connect() as connection:
        last = await last_watched(connection, [begun(9.1)])
    assert (last["main"].last_listened, last["main"].last_snapshot) == (TOLD, at(6))


@pytest.mark.parametrize(
    ("source", "reason", "again", "ended"),
    [
        (GapSource.STREAM, GapReason.CONNECTION_LOST, connected(5.2), at(5.2)),
        (GapSource.SNAPSHOT, GapReason.BANNED, held(5, "1"), at(5)),
        (GapSource.SNAPSHOT, GapReason.STOPPED, held(5, "1"), at(5)),
        (GapSource.SNAPSHOT, GapReason.STOPPED, held(2, "1"), at(1)),
        (GapSource.SNAPSHOT, GapReason.BANNED, empty(5, Outcome.TIMEOUT), None),
        (GapSource.SNAPSHOT, GapReason.BUFFER_FULL, held(5, "1"), None),
        (GapSource.STREAM, GapReason.STOPPED, connected(9.2), None),
    ],
)
async def test_a_gap_that_was_over_before_ends_where_the_account_was_covered_again(
    engine: AsyncEngine, source: GapSource, reason: GapReason, again: Item, ended: datetime | None
) -> None:
    open_ = Gap(account="main", source=source, started_at=at(1), ended_at=None, reason=reason)
    lost = [StreamState("main", reason, at(1))] if source is GapSource.STREAM else []
    await write(engine, [*FIRST, *lost, open_, again])
    await own_up(engine, 9.1)
    assert (source, at(1), ended, reason) in await rows(engine, GAPS)


async def test_a_process_that_took_over_without_a_pause_leaves_no_gap_of_the_snapshots(engine: AsyncEngine) -> None:
    await write(engine, [*FIRST, begun(2.1), held(2, "1"), begun(3.1)])
    await scheduled(engine)
    await own_up(engine, 3.1)
    assert await rows(engine, GAPS) == []


async def test_a_beginning_for_which_nobody_owned_up_is_found(engine: AsyncEngine) -> None:
    await write(engine, [*FIRST, begun(5.1), connected(5.2), begun(9.1), connected(9.2)])

    async def silent() -> list[tuple[str | None, datetime | None]]:
        (check,) = [each for each in await audit(engine) if each.check.name == "stream"]
        return [(each.account, each.time) for each in check.answer.examples]

    assert await silent() == [("main", at(0.2))]
    await own_up(engine, 9.1)
    assert await silent() == []


async def test_a_slot_that_was_in_hand_when_a_process_died_is_told_though_a_later_one_has_its_row(
    engine: AsyncEngine,
) -> None:
    none = Gap(account="main", source=GapSource.SNAPSHOT, started_at=at(4), ended_at=at(4), reason=GapReason.STOPPED)
    await write(engine, [*FIRST, *(held(minute, "1") for minute in (2, 3, 4, 6, 8)), none, begun(9.1)])
    await scheduled(engine)
    for _ in range(2):
        await own_up(engine, 9.1)
        assert await rows(engine, GAPS) == [
            ("snapshot", at(4), at(4), "stopped"),
            ("snapshot", at(4) + timedelta(microseconds=1), at(6), "not_running"),
            ("snapshot", at(6), at(8), "not_running"),
        ]


async def test_beginnings_are_written_in_any_order_and_any_number_of_times(engine: AsyncEngine) -> None:
    for items in ([begun(5.1)], [begun(0.1), begun(5.1)]):
        await write(engine, items)
    assert await rows(engine, "SELECT began, since FROM recorder.beginning ORDER BY 1") == [
        (at(0.1), at(0)),
        (at(5.1), at(5)),
    ]
