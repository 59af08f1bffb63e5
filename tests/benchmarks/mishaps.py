"""What befalls a recorder in the course of a week, in a seeded order: exchange, network and database misbehave."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from random import Random

from recorder.simulator.exchange import Simulator
from recorder.simulator.knobs import Ban, Closed, Cut, Disconnect, Error, Garbage, Late, Repeated, Silence, Webpage
from tests.service.proxy import Proxy

_SHORT = timedelta(seconds=1)
_ERRORS = (
    Error(status=400, code=-1021, msg="Timestamp for this request is outside of the recvWindow."),
    Error(status=400, code=-1007, msg="Timeout waiting for response from backend server."),
    Error(status=500, code=-1000, msg="An unknown error occurred while processing the request."),
    Error(status=503, code=-1001, msg="Internal error; unable to process your request."),
)

Mishap = Callable[[], Awaitable[None]]


class Mishaps:
    """One after the other, each as likely as its share.

    Those that cost new connections are the rarer ones: the recorder opens 60 in five minutes at most, however fast the
    days go by.

    Attributes:
        happened: How often each did.
    """

    def __init__(self, exchange: Simulator, proxy: Proxy, seed: int) -> None:
        self._exchange = exchange
        self._proxy = proxy
        self._random = Random(seed)  # noqa: S311 - seeded, not secret
        self._accounts = list(exchange.world.accounts)
        self._shares: dict[str, tuple[int, Mishap]] = {
            "error answered": (6, self._answer_an_error),
            "answer lost, late, cut or garbled": (6, self._spoil_an_answer),
            "page of a firewall instead of a ledger": (3, self._send_a_page),
            "event lost, late or repeated": (6, self._spoil_an_event),
            "ban": (2, self._ban),
            "database away": (4, self._cut_the_database),
            "answer to a commit lost": (4, self._lose_a_commit),
            "database silent": (1, self._silence_the_database),
            "listenKey expired": (1, self._expire_a_key),
            "one stream cut": (1, self._cut_a_stream),
            "all streams cut": (1, self._cut_all_streams),
            "connection cut": (2, self._cut_the_connection),
            "handshake refused": (1, self._refuse_a_handshake),
        }
        self.happened: Counter[str] = Counter(dict.fromkeys(self._shares, 0))

    async def run(self, pause: timedelta) -> None:
        """Until cancelled, let something happen, every *pause* in the mean; each kind once before any comes again."""
        first = self._random.sample(sorted(self._shares), len(self._shares))
        while True:
            await asyncio.sleep(self._random.expovariate(1 / pause.total_seconds()))
            name = first.pop() if first else self._random.choices(*self._weights())[0]
            self.happened[name] += 1
            try:
                await self._shares[name][1]()
            finally:
                await self._proxy.mend()

    def _weights(self) -> tuple[list[str], list[int]]:
        return list(self._shares), [share for share, _ in self._shares.values()]

    def _somebody(self) -> str:
        return self._random.choice(self._accounts)

    async def _answer_an_error(self) -> None:
        self._exchange.knobs.on_request(self._random.choice(_ERRORS), account=self._somebody())

    async def _spoil_an_answer(self) -> None:
        fault = self._random.choice((Silence(), Late(_SHORT), Garbage(b"{"), Garbage(b"\xff", binary=True)))
        self._exchange.knobs.on_request(fault, account=self._somebody())

    async def _send_a_page(self) -> None:
        self._exchange.knobs.on_request(Webpage(), account=self._somebody(), method="GET /fapi/v1/income")

    async def _spoil_an_event(self) -> None:
        fault = self._random.choice((Silence(), Late(_SHORT), Repeated()))
        self._exchange.knobs.on_event(fault, account=self._somebody())

    async def _ban(self) -> None:
        self._exchange.knobs.on_request(Ban(self._random.choice((418, 429)), _SHORT))

    async def _cut_the_database(self) -> None:
        self._proxy.cut()
        await asyncio.sleep(self._random.uniform(0.2, 2))

    async def _lose_a_commit(self) -> None:
        self._proxy.lose_the_answer_to(b"COMMIT")

    async def _silence_the_database(self) -> None:
        self._proxy.swallow()
        await asyncio.sleep(self._random.uniform(0.5, 3))

    async def _expire_a_key(self) -> None:
        self._exchange.expire_listen_key(self._somebody())

    async def _cut_a_stream(self) -> None:
        self._exchange.knobs.on_event(self._random.choice((Disconnect(), Cut())), account=self._somebody())

    async def _cut_all_streams(self) -> None:
        self._exchange.drop_streams()

    async def _cut_the_connection(self) -> None:
        self._exchange.drop_connections()

    async def _refuse_a_handshake(self) -> None:
        self._exchange.knobs.on_handshake(Closed(503))
        self._exchange.drop_connections()
