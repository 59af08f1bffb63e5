import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.simulator.exchange import Simulator
from recorder.simulator.scenario import Scenario
from recorder.simulator.settings import settings_text
from tests.cli.command import FORKING, REPOSITORY, Recorder, Rows
from tests.cli.forking import forking_server
from tests.conftest import as_service


@pytest.fixture(scope="session", autouse=True)
def forking() -> Iterator[None]:
    """Commands are forked from a Python that has imported the heavy libraries: three quarters of a second for each."""
    with forking_server(REPOSITORY) as address, pytest.MonkeyPatch.context() as variables:
        variables.setenv(FORKING, address)
        yield


@pytest.fixture
def recorder(tmp_path: Path, database: str) -> Recorder:
    """The command with a database, as the service logs in to it, and neither file nor accounts."""
    return Recorder(tmp_path, RECORDER_DATABASE__URL=as_service(database))


@pytest.fixture
async def exchange() -> AsyncIterator[Simulator]:
    """An exchange with the accounts "main" in one-way and "hedge" in hedge mode."""
    world = Scenario().world(seed=11, start=datetime.now(UTC) - timedelta(minutes=10))
    async with Simulator(world) as simulator:
        yield simulator


@pytest.fixture
def configured(recorder: Recorder, exchange: Simulator) -> Recorder:
    """The command with a database, and a recorder.toml that knows the exchange and its accounts."""
    file = recorder.folder / "recorder.toml"
    file.touch(mode=0o600)
    settings = settings_text(exchange, exchange.world.accounts.values(), recorder.folder)
    file.write_text(f'[snapshot]\nevery = "2s"\ntimeout = "1900ms"\n[http]\nlisten = ""\n{settings}')
    return recorder


@pytest.fixture
def rows(engine: AsyncEngine) -> Rows:
    async def answer(sql: str) -> list[dict[str, Any]]:
        async with engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(text(sql))).mappings()]

    return answer


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder in which the embedded PostgreSQL can work."""
    # Not pytest's tmp_path, which is closed to the user that PostgreSQL runs as for root.
    with tempfile.TemporaryDirectory(prefix="recorder-tests-") as name:
        Path(name).chmod(0o711)
        yield Path(name).resolve()
