from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.simulator.exchange import Simulator
from recorder.simulator.world import World
from tests.conftest import as_service
from tests.money.recorder_at_work import RecorderAtWork

At = Callable[[World], AbstractAsyncContextManager[RecorderAtWork]]


@pytest.fixture
def database(database: str) -> str:
    """As the service logs in by default: what needs the owner asks for it."""
    return as_service(database)


@pytest.fixture
def recorder_at(engine: AsyncEngine, database: str, tmp_path: Path) -> At:
    """Open a world to a recorder."""

    @asynccontextmanager
    async def opened(world: World) -> AsyncIterator[RecorderAtWork]:
        async with Simulator(world) as exchange:
            yield RecorderAtWork(exchange, engine, database, tmp_path)

    return opened
