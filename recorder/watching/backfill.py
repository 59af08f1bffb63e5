"""Back-filling: the exchange's own ledgers tell what happened while nobody watched, and why a wallet changed.

What is complete is written down with every page, so that a back-fill goes on where it was interrupted. The last
minutes are asked for again each time: lines appear in the ledgers a little after they happened. When the fills are
complete, the changes that nobody saw are rebuilt from them.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recorder.binance.rest import LOOK_BACK, RestClient
from recorder.binance.signing import Credentials
from recorder.clashes import say
from recorder.metrics import Metrics
from recorder.postgres.accounts import account_ids, take_turn
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
from recorder.postgres.rebuilding import rebuild_changes, symbols_to_rebuild

OVERLAP = timedelta(minutes=10)
SETTLED = timedelta(minutes=1)
"""A line that happened longer ago than this is taken to have appeared."""

PART = timedelta(days=7) - timedelta(seconds=1)
"""As much as the exchange gives of its trades at once: seven days, with the milliseconds at both ends."""


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a back-fill is in one ledger: of the interval it is missing, everything up to *at* is recorded."""

    account: str
    ledger: Ledger
    missing: Interval
    at: datetime


class Backfill:
    """Brings the ledgers of accounts up to date, at the pace that the weight budget leaves to it."""

    def __init__(
        self,
        engine: AsyncEngine,
        rest: RestClient,
        tell: Callable[[Reached], None] = lambda _: None,
        metrics: Metrics | None = None,
    ) -> None:
        self._engine = engine
        self._rest = rest
        self._metrics = metrics
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
        for symbol, told_until in traded.items():
            complete = known.get(Ledger("fill", symbol))
            if complete is None or told_until >= complete.until - OVERLAP or wanted.since < complete.since:
                await self._fills(credentials, account_id, known, symbol, wanted)
        await self._rebuild(credentials.account, account_id)
        with storage_errors():
            async with self._engine.begin() as connection:
                await mark_repaired(connection, account_id)

    async def _rebuild(self, account: str, account_id: int) -> None:
        with storage_errors():
            async with self._engine.connect() as connection:
                symbols = await symbols_to_rebuild(connection, account_id)
            for symbol in symbols:
                more = True
                while more:
                    async with self._engine.begin() as connection:
                        await take_turn(connection, [account])
                        more = await rebuild_changes(connection, account_id, symbol)

    async def _income(
        self, credentials: Credentials, account_id: int, known: Mapping[Ledger, Interval], wanted: Interval
    ) -> None:
        ledger = Ledger("income")
        for missing in _missing(known.get(ledger), wanted):
            async for page in self._rest.income(credentials, missing.since, missing.until):
                told_at = await self._rest.time()
                settled = min(page.until, wanted.until - SETTLED)
                async with self._page(credentials.account, ledger, missing, settled) as connection:
                    clashes = await write_income(connection, account_id, page.rows, told_at=told_at)
                say(clashes, {account_id: credentials.account}, self._metrics)
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
                told_at = await self._rest.time()
                settled = min(page.until, wanted.until - SETTLED)
                async with self._page(credentials.account, ledger, missing, settled) as connection:
                    clashes = await write_fills(connection, account_id, page.rows, told_at=told_at)
                say(clashes, {account_id: credentials.account}, self._metrics)
                self._tell(Reached(credentials.account, ledger, missing, page.until))

    @asynccontextmanager
    async def _page(
        self, account: str, ledger: Ledger, missing: Interval, settled: datetime
    ) -> AsyncIterator[AsyncConnection]:
        """A transaction in which a page is written, and with it up to when the ledger is complete."""
        complete = Interval(missing.since, max(missing.since, settled))
        with storage_errors():
            async with self._engine.begin() as connection:
                account_id = (await take_turn(connection, [account]))[account]
                yield connection
                await mark_complete(connection, account_id, ledger, complete)


def _missing(complete: Interval | None, wanted: Interval) -> Iterator[Interval]:
    """Yield the parts of *wanted* that are not *complete*, newest first: what is new matters before what is old.

    What is older comes in parts that each join what is complete, so that an interruption loses one of them at most.
    """
    if complete is None:
        yield wanted
        return
    yield Interval(max(complete.since, complete.until - OVERLAP), wanted.until)
    until = complete.since
    while wanted.since < until:
        since = max(wanted.since, until - PART)
        yield Interval(since, until)
        until = since
