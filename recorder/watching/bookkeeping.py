"""Bookkeeping: the ledgers of the accounts on duty, brought up to date again and again."""

import asyncio
import logging
from collections.abc import Container, Mapping
from contextlib import suppress
from datetime import timedelta

from recorder.binance.signing import Credentials
from recorder.exceptions import ExchangeError, StorageError
from recorder.watching.backfill import Backfill

log = logging.getLogger(__name__)


class Bookkeeping:
    """Back-fills each account in turn; one that fails holds up no other."""

    def __init__(
        self, backfill: Backfill, accounts: Mapping[str, Credentials], on_duty: Container[str], *, every: timedelta
    ) -> None:
        """*on_duty* are the accounts of the moment that are this recorder's; all of them are done *every* so often."""
        self._backfill = backfill
        self._accounts = accounts
        self._on_duty = on_duty
        self._every = every
        self._failing: set[str] = set()
        self._wanted = asyncio.Event()

    def begun(self) -> None:
        """Do not wait any longer: an account began to be watched."""
        self._wanted.set()

    async def run(self) -> None:
        """Keep the books until cancelled."""
        while True:
            self._wanted.clear()
            for account, credentials in self._accounts.items():
                if account in self._on_duty:
                    await self._bring_up_to_date(account, credentials)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every.total_seconds()):
                    await self._wanted.wait()

    async def _bring_up_to_date(self, account: str, credentials: Credentials) -> None:
        try:
            await self._backfill.run(credentials)
            self._failing.discard(account)
        except (ExchangeError, StorageError) as error:
            if account not in self._failing:
                log.warning("the ledgers of %s wait: %s; %s", account, error.what, error.why)
                self._failing.add(account)
