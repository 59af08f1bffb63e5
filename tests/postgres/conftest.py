from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.snapshot import Outcome
from recorder.postgres.roles import READER, WRITER, create_roles
from recorder.recording import write
from tests.postgres.logins import Login, empty, held, login


@pytest.fixture
async def with_roles(engine: AsyncEngine, database: str) -> str:
    """The URL of the owner, after the roles were made and something was recorded."""
    await create_roles(engine)
    await write(engine, [held(0, "1"), held(1, "2"), empty(2, Outcome.TIMEOUT)])
    return database


@pytest.fixture
async def reader(with_roles: str) -> AsyncIterator[Login]:
    async with login(with_roles, READER) as member:
        yield member


@pytest.fixture
async def writer(with_roles: str) -> AsyncIterator[Login]:
    async with login(with_roles, WRITER) as member:
        yield member
