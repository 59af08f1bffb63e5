"""The listenKey: what opens an account's user data stream. It is a secret."""

import asyncio
from datetime import timedelta

import msgspec

from recorder.binance.account_requests import AccountRequests
from recorder.binance.fields import malformed
from recorder.binance.messages import converted, decode_json
from recorder.binance.signing import Credentials
from recorder.binance.weight import LISTEN_KEY

_TIME_LIMIT = timedelta(seconds=20)


class ListenKeyResult(msgspec.Struct, frozen=True, rename="camel"):
    """Result of ``userDataStream.start``."""

    listen_key: str


class ListenKey:
    """Asks for one account's listenKey.

    ``userDataStream.start`` gives the key that is in force and lets it live for another 60 minutes, or gives a new
    one; so it also keeps a key alive, and tells of a change, where ``userDataStream.ping`` would not. The account has
    but one key for all of its programs: ``userDataStream.stop`` would silence the others, and is never sent.
    """

    def __init__(
        self, credentials: Credentials, requests: AccountRequests, turns: asyncio.Semaphore | None = None
    ) -> None:
        """*turns* says how many accounts ask at the same time, as at a start."""
        self._credentials = credentials
        self._requests = requests
        self._turns = turns or asyncio.Semaphore()

    async def start(self) -> str:
        """Return the key in force, good for 60 minutes from now; raises an ExchangeError, without the key in it."""
        method = "userDataStream.start"
        params = {"apiKey": self._credentials.api_key}
        async with self._turns:
            result, _ = await self._requests.ask(self._credentials, method, lambda: params, LISTEN_KEY, _TIME_LIMIT)
        key = converted(decode_json(result), ListenKeyResult, method).listen_key
        if not key.isascii() or not key.isprintable() or len(key.split()) != 1:
            raise malformed(f"{method}: listenKey", "one word of plain characters was expected")
        return key
