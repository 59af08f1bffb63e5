"""What the service says of itself over HTTP."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from recorder.simulator.exchange import Simulator
from recorder.simulator.keys import HmacKey
from recorder.simulator.knobs import Closed, Silence
from tests.service.proxy import Proxy
from tests.service.running import Start, load_settings, running, sleep_until
from tests.service.tables import EVERY, PLENTY, Tables


@pytest.fixture
def address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
async def web(address: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{address}") as client:
        yield client


async def test_a_service_through_which_data_flows_is_ready_and_counts_without_naming_a_key(
    recorder: Start, exchange: Simulator, tables: Tables, address: str, web: httpx.AsyncClient
) -> None:
    async with recorder(listen=address):
        await tables.first("hedge", "ok")
        await _until(web, 200, lambda _: True)
        health = (await web.get("/healthz")).raise_for_status()
        metrics = (await web.get("/metrics")).raise_for_status()
    assert health.json()["reasons"]
    assert set(health.json()["reasons"].values()) == {"running"}
    samples = {
        (sample.name, sample.labels.get("account"), sample.labels.get("outcome")): sample.value
        for family in text_string_to_metric_families(metrics.text)
        for sample in family.samples
    }
    for account in ("main", "hedge"):
        assert samples["recorder_snapshots_total", account, "ok"] >= 1
        assert samples["recorder_samples_total", account, None] >= 3
    assert samples["recorder_exchange_connected", None, None] == 1
    assert samples["recorder_database_up", None, None] == 1
    for holder in exchange.world.accounts.values():
        assert isinstance(holder.key, HmacKey)
        for secret in (holder.key.api_key, holder.key.secret):
            assert secret not in metrics.text + health.text


async def test_a_silent_exchange_makes_the_service_unready_account_by_account_and_not_unhealthy(
    recorder: Start, exchange: Simulator, tables: Tables, address: str, web: httpx.AsyncClient
) -> None:
    async with recorder(listen=address):
        await _until(web, 200, lambda _: True)
        exchange.knobs.on_request(Silence(), account="hedge", times=None)
        reasons = await _until(web, 503, lambda _: True)
        assert set(reasons) == {"hedge"}
        assert "timeout" in reasons["hedge"]
        (await web.get("/healthz")).raise_for_status()
        exchange.knobs.clear()
        await _until(web, 200, lambda _: True)
    assert all(row.ok for row in await tables.snapshots("main"))


async def test_without_postgresql_the_service_is_unready_and_not_unhealthy(
    recorder: Start, address: str, web: httpx.AsyncClient, proxy: Proxy
) -> None:
    async with recorder(listen=address, database=proxy.url):
        await _until(web, 200, lambda _: True)
        proxy.cut()
        reasons = await _until(web, 503, lambda reasons: len(reasons) >= 3)
        assert set(reasons) == {"main", "hedge", "database"}
        (await web.get("/healthz")).raise_for_status()
        assert "recorder_database_up 0.0" in (await web.get("/metrics")).text
        await proxy.mend()
        await _until(web, 200, lambda _: True)


async def test_only_reading_is_possible(recorder: Start, address: str, web: httpx.AsyncClient) -> None:
    async with recorder(listen=address):
        await _until(web, 200, lambda _: True)
        for path in ("/healthz", "/readyz", "/metrics"):
            for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE", "ANYTHING"):
                refused = await web.request(method, path, content=b"x")
                assert refused.status_code == 405, method
            head = await web.head(path)
            assert (head.status_code, head.content) == (200, b"")


async def test_what_maintenance_cannot_do_is_told_of_and_neither_hides_a_gap_nor_stops_the_data(
    recorder: Start,
    tables: Tables,
    *,
    owner: asyncpg.Connection,
    address: str,
    web: httpx.AsyncClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with recorder():
        before = (await tables.first("hedge", "ok")).time
    month = (datetime.now(UTC).replace(day=1) + timedelta(days=31)).strftime("%Y_%m")
    await owner.execute(
        "DELETE FROM recorder.gap;"  # as if it had been killed
        f"DROP TABLE recorder.sample_{month};"
        f"CREATE TABLE recorder.sample_{month} ()"
    )
    await sleep_until(datetime.now(UTC) + 2 * EVERY)
    caplog.clear()
    async with recorder(listen=address):
        reasons = await _until(web, 200, bool)
        assert set(reasons) == {"partitions"}
        assert f"recorder.sample_{month} is no partition" in reasons["partitions"]
        metrics = (await web.get("/metrics")).text
        assert 'recorder_maintenance_failing{task="partitions"} 1.0' in metrics
        assert 'recorder_maintenance_failing{task="past gaps"} 0.0' in metrics
        await tables.first("hedge", "ok", after=before)
        async with asyncio.timeout(PLENTY):
            told = {("main", "not_running"), ("hedge", "not_running")}
            while {(gap.account, gap.reason) for gap in await tables.gaps() if gap.ended_at} != told:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await owner.execute(f"DROP TABLE recorder.sample_{month}")
        await _until(web, 200, lambda reasons: not reasons)
        assert 'recorder_maintenance_failing{task="partitions"} 0.0' in (await web.get("/metrics")).text
    said = [record.getMessage() for record in caplog.records if record.name == "recorder.process.upkeep"]
    assert [message.split(":")[0] for message in said] == ["partitions", "partitions"]
    assert "rename that table" in said[0]


async def _until(web: httpx.AsyncClient, status: int, holds: Callable[[dict[str, str]], bool]) -> dict[str, str]:
    """Wait until ``/readyz`` answers so; return its reasons."""
    async with asyncio.timeout(PLENTY):
        while True:
            try:
                answer = await web.get("/readyz")
            except httpx.ConnectError:
                await asyncio.sleep(0.02)
                continue
            reasons: dict[str, Any] = answer.json()["reasons"]
            if answer.status_code == status and holds(reasons):
                return reasons
            await asyncio.sleep(0.02)


async def test_a_stream_that_waits_for_a_connection_is_named_and_counted_and_the_service_is_ready(
    exchange: Simulator, database: str, address: str, web: httpx.AsyncClient, tmp_path: Path
) -> None:
    exchange.knobs.on_handshake(Closed(503), door="stream", times=None)
    settings = load_settings(tmp_path, exchange, database, listen=address)
    stream = settings.stream.model_copy(update={"enabled": True})
    async with running(settings.model_copy(update={"stream": stream})):
        reasons = await _until(web, 200, lambda reasons: len(reasons) == 2 and "503" in str(reasons))
        assert set(reasons) == {"stream of main", "stream of hedge"}
        assert "\nrecorder_streams_waiting 2.0\n" in (await web.get("/metrics")).text
        exchange.knobs.clear()
        assert await _until(web, 200, lambda reasons: not reasons) == {}
        assert "\nrecorder_streams_waiting 0.0\n" in (await web.get("/metrics")).text


async def test_an_exchange_that_takes_one_listen_key_at_a_time_is_listened_to_all_the_same(
    exchange: Simulator, database: str, address: str, web: httpx.AsyncClient, tmp_path: Path
) -> None:
    exchange.knobs.on_handshake(Closed(400), door="combined", times=None)
    settings = load_settings(tmp_path, exchange, database, listen=address)
    stream = settings.stream.model_copy(update={"enabled": True})
    async with running(settings.model_copy(update={"stream": stream})):
        assert await _until(web, 200, lambda reasons: not reasons) == {}
        assert [handshake.status for handshake in exchange.traffic.streams] == [400, 101, 101]
