"""PostgreSQL out of reach: cut off, absent, mute, or gone for longer than disk and memory last."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.position import Position
from recorder.domain.slot import slot_at
from recorder.domain.snapshot import Kind, Snapshot
from recorder.metrics import Metrics
from recorder.postgres.engine import create_engine
from recorder.postgres.roles import WRITER
from recorder.recording import Recording
from recorder.service import run
from recorder.simulator.exchange import Simulator
from recorder.spool.opening import open_spool
from tests.service.proxy import Proxy
from tests.service.rows import as_recorded
from tests.service.running import Start, load_settings, next_slot
from tests.service.tables import EVERY, PLENTY, Gap, Tables

NOTICED = 30.0  # seconds: one statement's time-out, one connection's, and what a busy machine adds


async def test_postgresql_cut_off_for_some_seconds_loses_doubles_and_excuses_no_snapshot(
    recorder: Start, exchange: Simulator, tables: Tables, proxy: Proxy
) -> None:
    async with recorder(database=proxy.url):
        await tables.first("hedge", "ok")
        proxy.cut()
        for _ in range(2):
            away = await next_slot()
        await proxy.mend()
        await tables.first("hedge", "ok", after=away)
        await tables.first("main", "ok", after=away)
    await _assert_all_that_was_sent_is_recorded_once(exchange, tables)


async def test_without_postgresql_at_the_start_recording_begins_and_is_committed_when_it_comes(
    recorder: Start, exchange: Simulator, tables: Tables, proxy: Proxy
) -> None:
    proxy.cut()
    async with recorder(database=proxy.url):
        for _ in range(2):
            away = await next_slot()
        assert await tables.snapshots() == []
        await proxy.mend()
        await tables.first("hedge", "ok", after=away)
        await tables.first("main", "ok", after=away)
    await _assert_all_that_was_sent_is_recorded_once(exchange, tables)


async def test_a_commit_whose_confirmation_is_lost_is_neither_lost_nor_doubled(
    recorder: Start, exchange: Simulator, tables: Tables, proxy: Proxy
) -> None:
    async with recorder(database=proxy.url):
        first = await tables.first("hedge", "ok")
        before = proxy.connections
        proxy.lose_the_answer_to(b"COMMIT")
        await tables.first("hedge", "ok", after=first.time + EVERY)
        assert proxy.connections > before
    await _assert_all_that_was_sent_is_recorded_once(exchange, tables)


async def test_a_network_that_swallows_everything_is_noticed_and_recovered_from(
    recorder: Start, exchange: Simulator, tables: Tables, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    async with recorder(database=proxy.url):
        await tables.first("hedge", "ok")
        swallowed = datetime.now(UTC)
        proxy.swallow()
        async with asyncio.timeout(NOTICED):
            while "recording goes on into the spool" not in caplog.text:  # noqa: ASYNC110 - the log is all there is to see
                await asyncio.sleep(0.05)
        await proxy.mend()
        await tables.first("hedge", "ok", after=datetime.now(UTC), within=NOTICED)
        await tables.first("main", "ok", after=swallowed)
    await _assert_all_that_was_sent_is_recorded_once(exchange, tables)


async def test_what_neither_disk_nor_memory_can_hold_is_in_a_gap_and_everything_else_is_committed(
    tables: Tables, proxy: Proxy, tmp_path: Path
) -> None:
    start = slot_at(datetime.now(UTC), EVERY)
    slots = [start + EVERY * number for number in range(12)]
    engine = create_engine(proxy.url)
    proxy.cut()
    async with _recording(engine, tmp_path, memory_rows=20) as recording:
        for slot in slots[:9]:  # three rows and two: the fifth snapshot of "large" would be the 21st to 23rd row
            recording.record(_snapshot("large", slot, rows=2))
            recording.record(_snapshot("small", slot, rows=1))
        assert recording.status.let_go == 10
        await proxy.mend()
        async with asyncio.timeout(NOTICED):
            await recording.drained()
        for slot in slots[9:]:
            recording.record(_snapshot("large", slot, rows=2))
            recording.record(_snapshot("small", slot, rows=1))
        async with asyncio.timeout(NOTICED):
            await recording.drained()
        assert not recording.status.letting_go
    await engine.dispose()
    recorded = {name: [row.time for row in await tables.snapshots(name)] for name in ("large", "small")}
    assert recorded == {"large": slots[:4] + slots[9:], "small": slots[:4] + slots[9:]}
    assert await tables.gaps() == [
        Gap(account=name, started_at=slots[3], ended_at=slots[9], reason="buffer_full") for name in ("large", "small")
    ]
    await tables.assert_every_slot_is_answered(recorded, slots[0], slots[-1])


async def test_far_more_than_the_memory_holds_waits_on_disk_also_over_a_restart_and_all_of_it_is_committed(
    tables: Tables, proxy: Proxy, tmp_path: Path
) -> None:
    start = slot_at(datetime.now(UTC), EVERY) - EVERY * 1000
    slots = [start + EVERY * number for number in range(300)]
    engine = create_engine(proxy.url)
    proxy.cut()
    for part in (slots[:150], slots[150:]):
        async with _recording(engine, tmp_path, memory_rows=20) as recording:
            for slot in part:
                recording.record(_snapshot("main", slot, rows=1))
                await recording.durable()
            assert recording.status.backlog.rows <= 20
    async with _recording(engine, tmp_path, memory_rows=20) as recording:
        await proxy.mend()
        async with asyncio.timeout(NOTICED):
            await recording.drained()
    await engine.dispose()
    assert [row.time for row in await tables.snapshots("main")] == slots
    assert await tables.gaps() == []


async def _assert_all_that_was_sent_is_recorded_once(exchange: Simulator, tables: Tables) -> None:
    assert await tables.gaps() == []
    for account in exchange.world.accounts:
        taken = await tables.snapshots(account)
        assert all(row.ok for row in taken)
        assert [await tables.samples(account, row.time) for row in taken] == [
            as_recorded(answer.rows or ()) for answer in exchange.traffic.answers_of(account)
        ]


@asynccontextmanager
async def _recording(engine: AsyncEngine, folder: Path, *, memory_rows: int) -> AsyncIterator[Recording]:
    with open_spool(folder, limit=2**20, replay_window=timedelta(minutes=1)) as spool:
        recording = Recording(
            engine, Metrics(), spool, accounts=["large", "small"], every=EVERY, memory_rows=memory_rows
        )
        task = asyncio.create_task(recording.run())
        try:
            yield recording
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await recording.close()


def _snapshot(account: str, slot: datetime, *, rows: int) -> Snapshot:
    return Snapshot(
        account=account,
        time=slot,
        kind=Kind.SLOT,
        taken_at=slot,
        positions=tuple(
            Position(
                symbol=f"COIN{number}USDT",
                position_side="BOTH",
                position_amt=Decimal(1),
                entry_price=Decimal(100),
                update_time=slot - timedelta(days=1),
                mark_price=Decimal(101),
                unrealized_profit=Decimal(1),
            )
            for number in range(rows)
        ),
    )


async def test_a_password_that_is_changed_needs_no_restart_but_its_file(
    exchange: Simulator, proxy: Proxy, owner: asyncpg.Connection, tables: Tables, tmp_path: Path
) -> None:
    role = f"writer_{uuid4().hex}"
    await owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'the-old-one' IN ROLE {WRITER}")
    file, url = tmp_path / "database.url", make_url(proxy.url).set(username=role)
    file.touch(mode=0o600)
    file.write_text(url.set(password="the-old-one").render_as_string(hide_password=False))
    learned: list[str] = []
    stop = asyncio.Event()
    settings = load_settings(tmp_path, exchange, f"file:{file}")
    service = asyncio.create_task(run(settings, stop, learned.append))
    try:
        await tables.first("hedge", "ok")
        await owner.execute(f"ALTER ROLE {role} PASSWORD 'the-n/w-one'")
        proxy.cut()
        await proxy.mend()
        before = exchange.traffic.answers_of("hedge")[-1].sent_at
        async with asyncio.timeout(PLENTY):
            while exchange.traffic.answers_of("hedge")[-1].sent_at < before + 2 * EVERY:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        file.write_text(url.set(password="the-n/w-one").render_as_string(hide_password=False))
        await tables.first("hedge", "ok", after=before + EVERY, within=30)
        assert "the-n/w-one" in learned
    finally:
        stop.set()
        await service
        await owner.execute(f"DROP ROLE {role}")
