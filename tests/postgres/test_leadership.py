"""Of several recorders on one database each account has exactly one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.postgres.engine import create_engine
from recorder.postgres.leadership import Leadership

pytestmark = pytest.mark.every_postgres

LIMIT = 30.0  # seconds; what takes longer does not come


class Candidate:
    """A recorder as far as leadership goes.

    Attributes:
        turns: What it was told, in order: the accounts begun, and those that are another's.
    """

    def __init__(self, engine: AsyncEngine, accounts: Sequence[str]) -> None:
        self.turns: list[tuple[list[str], list[str]]] = []
        self.fit = True
        self.leadership = Leadership(engine, accounts, changed=self._changed, fit=lambda: self.fit)

    def _changed(self, begun: Sequence[str], left: Sequence[str]) -> None:
        self.turns.append((list(begun), list(left)))

    async def until_it_leads(self, *accounts: str) -> None:
        async with asyncio.timeout(LIMIT):
            while self.leadership.leads != set(accounts):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.02)


@asynccontextmanager
async def candidate(database: str, *accounts: str) -> AsyncIterator[Candidate]:
    engine = create_engine(database)
    standing = Candidate(engine, accounts)
    running = asyncio.create_task(standing.leadership.run())
    try:
        await standing.leadership.settled()
        yield standing
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await engine.dispose()


async def test_recorders_with_different_accounts_share_them_out_and_inherit_from_one_another(database: str) -> None:
    async with candidate(database, "b", "c") as other:
        async with candidate(database, "a", "b") as one:
            assert one.leadership.leads == {"a"}
            assert other.leadership.leads == {"b", "c"}
            assert one.turns == [(["a"], ["b"])]
        assert other.leadership.leads == {"b", "c"}
    async with candidate(database, "a", "b") as third:
        assert third.leadership.leads == {"a", "b"}


async def test_of_many_that_start_at_once_exactly_one_leads_each_account(database: str) -> None:
    async with AsyncExitStack() as stack:
        many = await asyncio.gather(*(stack.enter_async_context(candidate(database, "a", "b")) for _ in range(6)))
        assert sorted(account for each in many for account in each.leadership.leads) == ["a", "b"]


async def test_one_that_is_not_fit_gives_its_accounts_to_another_and_goes_on_until_there_is_one(database: str) -> None:
    async with candidate(database, "a") as one:
        one.fit = False
        await asyncio.sleep(2.5)  # two looks
        assert one.leadership.leads == {"a"}
        async with candidate(database, "a") as other:
            await other.until_it_leads("a")
            await one.until_it_leads()
    assert one.turns == [(["a"], []), ([], ["a"])]


async def test_a_session_that_is_ended_is_opened_again_and_one_leads_afterwards(database: str) -> None:
    connection = await asyncpg.connect(database)
    locks = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted"
    async with candidate(database, "a") as one, candidate(database, "a") as other:
        for _ in range(2):
            before = await connection.fetchval(locks)
            await connection.execute("SELECT pg_terminate_backend($1)", before)
            async with asyncio.timeout(LIMIT):
                while await connection.fetchval(locks) in {before, None}:  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.02)
            async with asyncio.timeout(LIMIT):
                while len(one.leadership.leads) + len(other.leadership.leads) != 1:  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.02)
    await connection.close()
