"""Faults of the service itself: a task that breaks, a process that stands still, a gap that nobody ended."""

import asyncio
import os
import signal
import socket
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from recorder.simulator.exchange import Simulator
from recorder.simulator.knobs import Error, Silence
from tests.cli.command import Recorder
from tests.service.running import Start, load_settings, next_slot, running, sleep_until, write_settings
from tests.service.tables import EVERY, PLENTY, Gap, Tables

TASKS = {
    "exchange connection",
    "exchange clock",
    "recording",
    "schedule",
    "leadership",
    "housekeeping",
    "partitions",
    "pulse",
    "ledgers",
    "stream of main",
    "stream of hedge",
    "http",
}
REFUSED = Error(status=401, code=-2015, msg="Invalid API-key, IP, or permissions for action.")
STANDSTILL = timedelta(seconds=6)
SECOND = timedelta(seconds=1)


@pytest.fixture
def address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


async def test_every_task_that_breaks_is_started_again_within_5_s_and_the_recording_goes_on(
    exchange: Simulator, database: str, tables: Tables, tmp_path: Path, address: str
) -> None:
    settings = load_settings(tmp_path, exchange, database, listen=address)
    settings = settings.model_copy(
        update={
            "stream": settings.stream.model_copy(update={"enabled": True}),
            "ledger": settings.ledger.model_copy(update={"enabled": True}),
        }
    )
    async with running(settings), httpx.AsyncClient(base_url=f"http://{address}") as web:
        await tables.first("hedge", "ok")
        assert (await _health(web)).keys() == TASKS
        for name in TASKS - {"ledgers"}:
            await _break(name)
        broken = datetime.now(UTC)
        async with asyncio.timeout(PLENTY):
            # What was started again may have broken once more in between.
            while (missing := await _not_restarted(web)) or await _health(web) != dict.fromkeys(TASKS, "running"):
                if missing == {"ledgers"}:  # an HTTP library may take a connecting that breaks for its own affair
                    await _break("ledgers")
                    broken = datetime.now(UTC)
                await asyncio.sleep(0.1)
        assert datetime.now(UTC) - broken < timedelta(seconds=5)
        await tables.first("main", "ok", after=datetime.now(UTC))
        await tables.first("hedge", "ok", after=datetime.now(UTC))
        assert set(await _until_closed(tables, "stream", 2)) == {
            ("main", "connection_lost"),
            ("hedge", "connection_lost"),
        }


async def test_a_process_that_stood_still_reconnects_looks_at_once_and_names_the_time_and_systemd_hears_of_it(
    exchange: Simulator, database: str, tables: Tables, tmp_path: Path
) -> None:
    write_settings(tmp_path, exchange, database)
    command = Recorder(tmp_path, RECORDER_STREAM__ENABLED="true")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(f"{tmp_path}/notify")
        manager.settimeout(0)
        heard = Heard(manager)
        async with command.started("run", NOTIFY_SOCKET=f"{tmp_path}/notify", WATCHDOG_USEC="1000000") as process:
            assert (await heard.until("READY=1")).endswith("STATUS=watching 2 account(s)")
            await heard.until("WATCHDOG=1")
            first = await tables.first("hedge", "ok")
            connections = len(exchange.traffic.handshakes)
            frozen = await tables.first("hedge", "ok", after=await next_slot() - EVERY)
            os.kill(process.pid, signal.SIGSTOP)
            stopped = datetime.now(UTC)
            await sleep_until(stopped + timedelta(seconds=0.5))
            heard.drain()
            await sleep_until(stopped + STANDSTILL)
            assert heard.drain() == []
            os.kill(process.pid, signal.SIGCONT)
            resumed = datetime.now(UTC)
            await heard.until("WATCHDOG=1")
            again = await tables.until(lambda rows: any(row.ok and row.time > resumed - EVERY for row in rows), "main")
            assert again[-1].recorded_at - resumed < timedelta(seconds=5)
            await _until_closed(tables, "stream", 2)
            await tables.first("hedge", "ok", after=resumed)
            await tables.first("main", "ok", after=resumed)
            assert len(exchange.traffic.handshakes) > connections
            finished = await process.stop()
            await heard.until("STOPPING=1")
    assert finished.code == 0
    for source in ("snapshot", "stream"):
        gaps = await tables.gaps(source)
        assert [(gap.account, gap.reason) for gap in sorted(gaps, key=lambda gap: gap.account)] == [
            ("hedge", "asleep"),
            ("main", "asleep"),
        ]
        for gap in gaps:
            assert gap.ended_at is not None
            assert abs(gap.started_at - stopped) < SECOND + EVERY
            assert resumed - EVERY <= gap.ended_at < resumed + 4 * SECOND
    assert {row.outcome for row in await tables.snapshots() if frozen.time < row.time < resumed - EVERY} == {"missed"}
    await tables.assert_every_slot_is_answered(("main", "hedge"), first.time, resumed)


async def test_a_stretch_of_failed_slots_is_a_gap_that_is_written_when_it_opens_and_ends_with_the_next_ok_one(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    async with recorder():
        before = await tables.first("main", "ok")
        exchange.knobs.on_request(Silence(), account="main", times=None)
        failed = await tables.first("main", "timeout")
        assert [gap.ended_at for gap in await _until_gaps(tables, 1)] == [None]
        await tables.first("main", "timeout", after=failed.time)
        exchange.knobs.clear()
        well = await tables.first("main", "ok", after=failed.time)
        await _until_closed(tables, "snapshot", 1)
    ok = [row.time for row in await tables.snapshots("main") if row.ok and row.time < failed.time]
    assert ok[-1] >= before.time
    assert await tables.gaps() == [
        Gap(account="main", started_at=ok[-1], ended_at=well.time, reason="exchange_unavailable")
    ]


async def test_a_gap_that_a_killed_process_left_open_is_ended_by_the_next_one(
    recorder: Start, exchange: Simulator, tables: Tables, database: str, tmp_path: Path
) -> None:
    write_settings(tmp_path, exchange, database)
    async with Recorder(tmp_path).started("run") as process:
        await tables.first("hedge", "ok")
        exchange.knobs.on_request(REFUSED, account="hedge", times=None)
        await tables.first("hedge", "account_rejected")
        (opened,) = await _until_gaps(tables, 1)
        await process.stop(signal.SIGKILL)
    assert (opened.account, opened.reason, opened.ended_at) == ("hedge", "key_rejected", None)
    exchange.knobs.clear()
    async with recorder() as service:
        ended = await tables.first("hedge", "ok", after=service.started_at - EVERY)
        await _until_closed(tables, "snapshot", 1)
        fresh = "SELECT open_gaps FROM bi.freshness WHERE account = 'hedge'"
        assert await tables.connection.fetchval(fresh) == 0
    assert [gap for gap in await tables.gaps() if gap.account == "hedge"] == [
        Gap(account="hedge", started_at=opened.started_at, ended_at=ended.time, reason="key_rejected")
    ]


class Heard:
    """What systemd heard."""

    def __init__(self, manager: socket.socket) -> None:
        self._manager = manager

    async def until(self, words: str) -> str:
        async with asyncio.timeout(PLENTY):
            while True:
                said = (await asyncio.get_running_loop().sock_recv(self._manager, 1000)).decode()
                if said.startswith(words):
                    return said

    def drain(self) -> list[bytes]:
        said = []
        while True:
            try:
                said.append(self._manager.recv(1000))
            except BlockingIOError:
                return said


async def _break(name: str) -> None:
    """Have what the task waits for cancelled under its hands: nobody told the task to stop."""
    (task,) = (each for each in asyncio.all_tasks() if each.get_name() == name)
    async with asyncio.timeout(PLENTY):
        while (waits_for := task._fut_waiter) is None:  # type: ignore[attr-defined]  # noqa: ASYNC110, SLF001
            await asyncio.sleep(0)
    waits_for.cancel()


async def _health(web: httpx.AsyncClient) -> dict[str, str]:
    reasons: dict[str, str] = (await web.get("/healthz")).raise_for_status().json()["reasons"]
    return reasons


async def _not_restarted(web: httpx.AsyncClient) -> set[str]:
    try:
        metrics = (await web.get("/metrics")).text
    except httpx.TransportError:
        return TASKS
    return TASKS - {
        sample.labels["task"]
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == "recorder_task_restarts_total" and sample.value
    }


async def _until_gaps(tables: Tables, count: int) -> list[Gap]:
    async with asyncio.timeout(PLENTY):
        while len(gaps := await tables.gaps()) < count:  # noqa: ASYNC110 - no event comes from there
            await asyncio.sleep(0.02)
    return gaps


async def _until_closed(tables: Tables, source: str, count: int) -> list[tuple[str, str]]:
    async with asyncio.timeout(PLENTY):
        while len(closed := [gap for gap in await tables.gaps(source) if gap.ended_at]) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return [(gap.account, gap.reason) for gap in closed]
