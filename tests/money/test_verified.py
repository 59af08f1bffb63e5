"""What the real service records from a simulated exchange that misbehaves is proved to be whole."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.beginning import Beginning
from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.domain.slot import slot_at
from recorder.domain.stream import StreamState
from recorder.postgres.verification.audit import audit
from recorder.recording import write
from recorder.simulator.exchange import Simulator
from recorder.simulator.knobs import Error, Repeated, Silence
from recorder.simulator.scenario import Scenario
from recorder.simulator.trader import Habits
from tests.money.recorder_at_work import RecorderAtWork

SLOT = timedelta(seconds=20)
AT_ONCE = 20.0  # seconds; housekeeping alone would take a minute
EVERY_SLOT = "SELECT count(*) > :slots FROM recorder.snapshot WHERE kind = 'slot'"
LISTENED = "SELECT bool_and(ended_at IS NOT NULL) IS NOT false FROM recorder.gap"
BOOKED = "SELECT count(*) > 0 FROM recorder.ledger WHERE kind = 'income' AND complete_until > :after"


@pytest.fixture
async def recorder(engine: AsyncEngine, database: str, tmp_path: Path) -> AsyncIterator[RecorderAtWork]:
    """A recorder in front of two busy accounts with funding, transfers and fees in BNB."""
    scenario = Scenario(
        habits=Habits(pause=timedelta(seconds=2), splits=0.3),
        funding=True,
        bnb_fees=frozenset({"hedge"}),
        transfers=frozenset({"main"}),
    )
    world = scenario.world(3, datetime.now(UTC) - timedelta(minutes=20))
    async with Simulator(world) as exchange:
        yield RecorderAtWork(exchange, engine, database, tmp_path)


async def slots(recorder: RecorderAtWork, count: int) -> None:
    """Wait until so many more snapshots are recorded."""
    known = await recorder.value("SELECT count(*) FROM recorder.snapshot WHERE kind = 'slot'")
    await recorder.until(EVERY_SLOT, slots=known + count)


async def lives_and_is_killed(recorder: RecorderAtWork, owner: asyncpg.Connection) -> None:
    """Record some slots, and leave nothing of a stop behind."""
    async with recorder.recording(every="1s"):
        await slots(recorder, 2)
    await owner.execute("DELETE FROM recorder.gap WHERE ended_at IS NULL")
    await owner.execute("DELETE FROM recorder.stream WHERE state = 'stopped'")


async def is_proved(engine: AsyncEngine) -> dict[str, int]:
    """Assert that no promise is broken; return how much each check checked."""
    results = await audit(engine)
    assert {each.check.name: each.answer.examples for each in results if each.is_violated} == {}
    return {each.check.name: each.answer.checked for each in results}


async def test_a_record_with_lost_repeated_and_late_events_and_failed_slots_breaks_no_promise(
    recorder: RecorderAtWork, engine: AsyncEngine
) -> None:
    knobs = recorder.exchange.knobs
    async with recorder.recording(every="1s", ledger="1s"):
        knobs.on_event(Silence(), times=None, chance=0.2)
        knobs.on_event(Repeated(), times=None, chance=0.1)
        await slots(recorder, 6)
        knobs.clear()
        knobs.on_request(Error(status=503, code=-1008, msg="busy"), times=4)
        await slots(recorder, 6)
        recorder.exchange.drop_streams()
        await slots(recorder, 6)
        await recorder.until(LISTENED)
    checked = await is_proved(engine)
    assert min(checked[name] for name in ("slots", "stream", "snapshots", "history", "changes", "gaps")) > 0


async def test_a_record_with_restarts_and_another_schedule_breaks_no_promise(
    recorder: RecorderAtWork, engine: AsyncEngine
) -> None:
    async with recorder.recording(every="1s"):
        await slots(recorder, 2)
    async with recorder.recording(every="1s"):
        await slots(recorder, 2)
    assert await recorder.value("SELECT count(*) FROM recorder.schedule") == 2
    async with recorder.recording(every="2s", stream=False):
        await slots(recorder, 2)
    await asyncio.sleep(1.1)  # a slot of the first schedule that nobody sees
    async with recorder.recording(every="1s"):
        await slots(recorder, 2)
        await recorder.until(LISTENED)
    assert await recorder.value("SELECT count(*) FROM recorder.schedule") == 6
    await is_proved(engine)


async def test_what_a_stop_opened_ends_at_once_when_the_next_process_begins_within_the_same_slot(
    recorder: RecorderAtWork,
) -> None:
    now = datetime.now(UTC)
    await asyncio.sleep((slot_at(now, SLOT) + SLOT - now).total_seconds())
    async with recorder.recording(every="20s"):
        pass
    async with recorder.recording(every="20s"), asyncio.timeout(AT_ONCE):
        await recorder.until(LISTENED)
    assert await recorder.rows("SELECT DISTINCT reason FROM bi.gap WHERE source = 'stream'") == [("stopped",)]


async def test_what_nobody_could_own_up_for_while_postgresql_was_away_the_next_process_does(
    recorder: RecorderAtWork, engine: AsyncEngine, owner: asyncpg.Connection
) -> None:
    await lives_and_is_killed(recorder, owner)
    begun = datetime.now(UTC)
    heard = begun + timedelta(milliseconds=1)
    await write(engine, [Beginning(account="main", since=begun, began=begun), StreamState("main", "connected", heard)])
    async with recorder.recording(every="1s"):
        await slots(recorder, 2)
        await recorder.until(LISTENED)
    ends = await recorder.rows(
        "SELECT ended_at FROM bi.gap WHERE source = 'stream' AND account = 'main' AND reason = 'not_running' ORDER BY 1"
    )
    assert ends[0] == (heard,)
    assert len(ends) == 2
    await is_proved(engine)


async def test_a_gap_that_an_earlier_process_left_open_is_closed_when_events_come_in_again(
    recorder: RecorderAtWork, engine: AsyncEngine
) -> None:
    async with recorder.recording(every="1s"):
        await slots(recorder, 2)
    lost = datetime.now(UTC)
    left = Gap(
        account="main", source=GapSource.STREAM, started_at=lost, ended_at=None, reason=GapReason.CONNECTION_LOST
    )
    await write(engine, [left, StreamState("main", "connection_lost", lost)])  # and then it was killed
    async with recorder.recording(every="1s"):
        await slots(recorder, 2)
        await recorder.until(LISTENED)
    assert await recorder.value("SELECT count(*) FROM recorder.gap WHERE started_at = :lost", lost=lost) == 1
    await is_proved(engine)


async def test_a_process_that_is_killed_before_its_first_snapshot_leaves_no_time_unaccounted_for(
    recorder: RecorderAtWork, engine: AsyncEngine, owner: asyncpg.Connection
) -> None:
    await lives_and_is_killed(recorder, owner)
    listened = datetime.now(UTC)
    await write(engine, [StreamState("main", "connected", listened)])
    await asyncio.sleep(1.5)  # time in which nobody listens
    async with recorder.recording(every="1s"):
        await slots(recorder, 2)
        await recorder.until(LISTENED)
    started = await recorder.value(
        "SELECT max(g.started_at) FROM recorder.gap g JOIN recorder.account a ON a.id = g.account_id"
        " WHERE a.name = 'main' AND g.source = 'stream' AND g.ended_at IS NOT NULL"
    )
    assert started == listened
    await is_proved(engine)
