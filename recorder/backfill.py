"""Back-filling: the exchange's own ledgers tell what happened while nobody watched, and why a wallet changed.

What is complete is written down with every page, so that a back-fill goes on where it was interrupted. The last
minutes are asked for again each time: lines appear in the ledgers a little after they happened.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recorder.binance.rest import LOOK_BACK, RestClient
from recorder.binance.signing import Credentials
from recorder.postgres.accounts import account_ids
from recorder.postgres.engine import storage_errors
from recorder.postgres.ledgers import (
    Interval,
    Ledger,
    complete_ledgers,
    mark_complete,
    mark_repaired,
    traded_symbols,
    write_fills,
    write_income,
)

OVERLAP = timedelta(minutes=10)
SETTLED = timedelta(minutes=1)
"""A line that happened longer ago than this is taken to have appeared."""


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a back-fill is in one ledger: of the interval it is missing, everything up to *at* is recorded."""

    account: str
    ledger: Ledger
    missing: Interval
    at: datetime


class Backfill:
    """Brings the ledgers of accounts up to date, at the pace that the weight budget leaves to it."""

    def __init__(self, engine: AsyncEngine, rest: RestClient, tell: Callable[[Reached], None] = lambda _: None) -> None:
        self._engine = engine
        self._rest = rest
        self._tell = tell

    async def run(self, credentials: Credentials, since: datetime | None = None) -> None:
        """Record every line of an account from *since*, or from where its ledgers are complete, until now.

        The first time that is all the exchange still has: three months. Afterwards the gaps that are covered as a
        whole say what repaired them. Raises ``ExchangeError`` or ``StorageError``; what was written until then
        stays, and the next call goes on from there.
        """
        now = await self._rest.time()
        wanted = Interval(max(since or now - LOOK_BACK, now - LOOK_BACK), now)
        with storage_errors():
            async with self._engine.begin() as connection:
                account_id = (await account_ids(connection, [credentials.account]))[credentials.account]
                known = await complete_ledgers(connection, account_id)
        await self._income(credentials, account_id, known, wanted)
        with storage_errors():
            async with self._engine.connect() as connection:
                traded = await traded_symbols(connection, account_id)
        for symbol, told in traded.items():
            complete = known.get(Ledger("fill", symbol))
            if complete is None or told.until >= complete.until - OVERLAP or wanted.since < complete.since:
                await self._fills(credentials, account_id, known, symbol, wanted)
        with storage_errors():
            async with self._engine.begin() as connection:
                await mark_repaired(connection, account_id)

    async def _income(
        self, credentials: Credentials, account_id: int, known: Mapping[Ledger, Interval], wanted: Interval
    ) -> None:
        ledger = Ledger("income")
        for missing in _missing(known.get(ledger), wanted):
            async for page in self._rest.income(credentials, missing.since, missing.until):
                settled = min(page.until, wanted.until - SETTLED)
                async with self._page(account_id, ledger, missing, settled) as connection:
                    await write_income(connection, account_id, page.rows)
                self._tell(Reached(credentials.account, ledger, missing, page.until))

    async def _fills(
        self,
        credentials: Credentials,
        account_id: int,
        known: Mapping[Ledger, Interval],
        symbol: str,
        wanted: Interval,
    ) -> None:
        ledger = Ledger("fill", symbol)
        for missing in _missing(known.get(ledger), wanted):
            async for page in self._rest.fills(credentials, symbol, missing.since, missing.until):
                settled = min(page.until, wanted.until - SETTLED)
                async with self._page(account_id, ledger, missing, settled) as connection:
                    await write_fills(connection, account_id, page.rows)
                self._tell(Reached(credentials.account, ledger, missing, page.until))

    @asynccontextmanager
    async def _page(
        self, account_id: int, ledger: Ledger, missing: Interval, settled: datetime
    ) -> AsyncIterator[AsyncConnection]:
        """A transaction in which a page is written, and with it up to when the ledger is complete."""
        with storage_errors():
            async with self._engine.begin() as connection:
                yield connection
                await mark_complete(
                    connection, account_id, ledger, Interval(missing.since, max(missing.since, settled))
                )


def _missing(complete: Interval | None, wanted: Interval) -> Iterator[Interval]:
    """Yield the parts of *wanted* that are not *complete*, newest first: what is new matters before what is old."""
    if complete is None:
        yield wanted
        return
    yield Interval(max(complete.since, complete.until - OVERLAP), wanted.until)
    if wanted.since < complete.since:
        yield Interval(wanted.since, complete.since)
