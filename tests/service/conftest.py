from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from recorder.simulator.exchange import Simulator
from recorder.simulator.scenario import Scenario
from tests.conftest import as_service
from tests.service.proxy import Proxy
from tests.service.running import Running, Start, load_settings, quiet, running
from tests.service.tables import Tables

BEFORE = timedelta(minutes=10)
STARTING = timedelta(milliseconds=200)
"""A slot so shortly before a stop may be left to the gap that the next start writes."""


@pytest.fixture
def database(database: str) -> str:
    """As the service logs in by default: what needs the owner asks for it."""
    return as_service(database)


@pytest.fixture
def scenario() -> Scenario:
    """The accounts "main" in one-way and "hedge" in hedge mode; a test that wants others overrides this."""
    return quiet(2)


@pytest.fixture
async def exchange(scenario: Scenario) -> AsyncIterator[Simulator]:
    start = datetime.now(UTC).replace(microsecond=0) - BEFORE
    async with Simulator(scenario.world(seed=11, start=start)) as simulator:
        simulator.meter.limit = 100_000
        yield simulator


@pytest.fixture
async def tables(database: str) -> AsyncIterator[Tables]:
    connection = await asyncpg.connect(database, server_settings={"TimeZone": "UTC"})
    yield Tables(connection)
    await connection.close()


@pytest.fixture
async def proxy(database: str) -> AsyncIterator[Proxy]:
    """A relay in front of the database."""
    async with Proxy(database) as relay:
        yield relay


@pytest.fixture
def recorder(exchange: Simulator, database: str, tables: Tables, tmp_path: Path) -> Start:
    """Start the service on every account of the exchange; at the end no slot of it may be without an answer.

    What is given overrides the settings, or is the folder of the settings and data, or another way to the database.
    """

    @asynccontextmanager
    async def start(*, folder: Path = tmp_path, database: str = database, **given: Any) -> AsyncIterator[Running]:
        settings = load_settings(folder, exchange, database, **given)
        async with running(settings) as service:
            yield service
        await tables.assert_every_slot_is_answered(
            service.accounts, service.started_at, service.stopped_at - STARTING, settings.snapshot.every
        )

    return start
