"""The ledgers of record, by REST: income and trades of the last three months, and how an account is set up."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from functools import partial
from itertools import count

from recorder.binance.clock import ClockSample, ExchangeClock
from recorder.binance.fields import epoch_milliseconds
from recorder.binance.ledger import decode_fills, decode_income
from recorder.binance.messages import (
    AccountConfig,
    KeyPermissions,
    decode_account_config,
    decode_key_permissions,
    decode_server_time,
)
from recorder.binance.paging import Ledger, Page, Row
from recorder.binance.rest_channel import RestChannel, RestReply
from recorder.binance.retries import with_retries
from recorder.binance.signing import Credentials, Params, signed_query
from recorder.binance.stopped import StoppedAccounts
from recorder.binance.weight import ACCOUNT_CONFIG, INCOME, KEY_PERMISSIONS, SERVER_TIME, USER_TRADES
from recorder.domain.fill import Fill
from recorder.domain.income import Income

LOOK_BACK = timedelta(days=90)
"""How long the exchange keeps the ledgers; what is older is not asked for."""

_LIMIT = 1000
_WIDTH = timedelta(days=7)
_MARGIN = timedelta(minutes=1)  # the look-back ends while a request is on its way
_SAMPLES = 3

_log = logging.getLogger(__name__)


class RestClient:
    """Asks in the background: it waits for weight as long as it takes, and leaves the snapshots theirs.

    Every method raises an ExchangeError: RateLimited for a pause that outlasts the minute, AccountRejected for an
    account that is then asked for again once an hour only, and the others after what may help was tried again. What
    stops an account here stops no snapshot.
    """

    def __init__(self, channel: RestChannel, clock: ExchangeClock, keys: RestChannel | None = None) -> None:
        """*keys* leads to where the exchange tells about keys, if that is not where its futures are."""
        self._channel = channel
        self._keys = keys or channel
        self._clock = clock
        self._stopped = StoppedAccounts()

    def income(self, credentials: Credentials, start: datetime, end: datetime) -> AsyncIterator[Page[Income]]:
        """Yield the ledger's lines with *start* <= time < *end*, page by page, oldest first; none comes twice."""
        between, at = partial(self._income, credentials), partial(self._income_at, credentials)
        return self._all(Ledger(between, at, _LIMIT, _WIDTH), start, end)

    def fills(self, credentials: Credentials, symbol: str, start: datetime, end: datetime) -> AsyncIterator[Page[Fill]]:
        """Yield the trades in *symbol* with *start* <= time < *end*, page by page, oldest first; none comes twice."""
        between, at = partial(self._fills, credentials, symbol), partial(self._fills_at, credentials, symbol)
        return self._all(Ledger(between, at, _LIMIT, _WIDTH), start, end)

    async def account_config(self, credentials: Credentials) -> AccountConfig:
        """Return how the account is set up."""
        return decode_account_config(await self._get(credentials, "/fapi/v1/accountConfig", {}, ACCOUNT_CONFIG))

    async def key_permissions(self, credentials: Credentials) -> KeyPermissions:
        """Return what the account's key may do. Demo exchanges do not tell: then it raises an ExchangeError."""
        return decode_key_permissions(
            await self._get(credentials, "/sapi/v1/account/apiRestrictions", {}, KEY_PERMISSIONS, channel=self._keys)
        )

    async def server_time(self) -> datetime:
        """Return the exchange's time as it was some time between asking and now."""
        return decode_server_time((await self._server_time()).body)

    async def time(self) -> datetime:
        """Return the exchange's time, by which its ledgers are; it is measured first if it never was."""
        await with_retries(self._know_clock, self._measure_clock)
        return self._clock.now()

    async def _all(self, ledger: Ledger[Row], start: datetime, end: datetime) -> AsyncIterator[Page[Row]]:
        async for page in ledger.pages(max(start, await self.time() - LOOK_BACK + _MARGIN), end):
            yield page

    async def _income(self, credentials: Credentials, first: datetime, last: datetime, **page: int) -> list[Income]:
        params = {**_between(first, last), "limit": _LIMIT, **page}
        return decode_income(await self._get(credentials, "/fapi/v1/income", params, INCOME))

    async def _income_at(
        self, credentials: Credentials, instant: datetime, known: AbstractSet[Income]
    ) -> AsyncGenerator[list[Income]]:
        for number in count(1):  # it is not documented whether the first page is 0 or 1
            rows = await self._income(credentials, instant, instant, page=number)
            is_new = any(row not in known for row in rows)
            yield rows
            if len(rows) < _LIMIT:
                return
            if number > 1 and not is_new:
                _log.warning(
                    "Account %s: the exchange gives no more than %d of the income lines of %s",
                    credentials.account,
                    _LIMIT,
                    instant,
                )
                return

    async def _fills(self, credentials: Credentials, symbol: str, first: datetime, last: datetime) -> list[Fill]:
        return await self._trades(credentials, {"symbol": symbol, **_between(first, last), "limit": _LIMIT})

    async def _fills_at(
        self, credentials: Credentials, symbol: str, instant: datetime, known: AbstractSet[Fill]
    ) -> AsyncGenerator[list[Fill]]:
        next_id = max(fill.trade_id for fill in known) + 1
        while True:
            fills = await self._trades(credentials, {"symbol": symbol, "fromId": next_id, "limit": _LIMIT})
            same = [fill for fill in fills if fill.time == instant]
            yield same
            if len(same) < _LIMIT:
                return
            next_id = max(fill.trade_id for fill in same) + 1

    async def _trades(self, credentials: Credentials, params: Params) -> list[Fill]:
        return decode_fills(await self._get(credentials, "/fapi/v1/userTrades", params, USER_TRADES))

    async def _get(
        self, credentials: Credentials, path: str, params: Params, weight: int, *, channel: RestChannel | None = None
    ) -> bytes:
        async def attempt() -> RestReply:
            await self._know_clock()
            return await (channel or self._channel).get(
                f"Account {credentials.account}",
                path,
                lambda: signed_query(credentials, params, epoch_milliseconds(self._clock.now())),
                weight=weight,
                headers={"X-MBX-APIKEY": credentials.api_key},
                redact=credentials.redacted,
            )

        with self._stopped.request(credentials.account):
            return (await with_retries(attempt, self._measure_clock)).body

    async def _know_clock(self) -> None:
        if self._clock.measured_at is None:
            await self._measure_clock()

    async def _measure_clock(self) -> None:
        samples = []
        for _ in range(_SAMPLES):
            reply = await self._server_time()
            samples.append(ClockSample(reply.sent, reply.received, decode_server_time(reply.body)))
        self._clock.adjust(samples)

    async def _server_time(self) -> RestReply:
        return await self._channel.get("Exchange clock", "/fapi/v1/time", str, weight=SERVER_TIME)


def _between(first: datetime, last: datetime) -> dict[str, int]:
    return {"startTime": epoch_milliseconds(first), "endTime": epoch_milliseconds(last)}
