"""Starting: what must be right before anything is recorded, and what is made ready."""

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from recorder.exceptions import ConfigurationError, SchemaMismatch
from recorder.simulator.exchange import Simulator
from tests.service.running import Start, load_settings, running
from tests.service.tables import Tables


async def test_a_schema_of_another_revision_is_not_written_into(
    exchange: Simulator, database: str, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    settings = load_settings(tmp_path, exchange, database)
    for revision, fix in (("0000", "recorder db upgrade"), ("9999", "install the version of the recorder")):
        await owner.execute("UPDATE recorder.alembic_version SET version_num = $1", revision)
        with pytest.raises(SchemaMismatch, match=revision) as caught:
            async with running(settings) as service:
                await service.task
        assert fix in caught.value.fix
    assert list(exchange.traffic.requests) == []


async def test_a_port_that_is_taken_is_told_before_anything_is_asked(
    exchange: Simulator, database: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigurationError, match=address):
            async with running(load_settings(tmp_path, exchange, database, listen=address)) as service:
                await service.task
    assert list(exchange.traffic.handshakes) == []


async def test_partitions_are_made_ahead_of_need_and_no_sample_needs_the_default(
    recorder: Start, tables: Tables
) -> None:
    async with recorder():
        await tables.first("hedge", "ok")
    partitions = await tables.connection.fetchval(
        "SELECT array_agg(tablename) FROM pg_tables WHERE schemaname = 'recorder' AND tablename LIKE 'sample_20%'"
    )
    now = datetime.now(UTC)
    for month in (now, now + timedelta(days=31), now + timedelta(days=62)):
        assert f"sample_{month:%Y_%m}" in partitions
    assert await tables.connection.fetchval("SELECT count(*) FROM recorder.sample_default") == 0
