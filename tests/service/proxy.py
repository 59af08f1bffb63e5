"""A relay in front of PostgreSQL or the exchange, so that either can be taken away without stopping it."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """Relays TCP to the server of a URL, until it is told not to.

    Attributes:
        connections: How many were let in.
        lost_answers: How many answers were lost on request.
        delay: Every answer is held back so long, in seconds.
    """

    def __init__(self, url: str) -> None:
        self._there = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._relays: set[asyncio.Task[None]] = set()
        self._passes = asyncio.Event()
        self._passes.set()
        self._unanswered: bytes | None = None
        self._answer_is_due = False
        self._passing = 0
        self.connections = 0
        self.lost_answers = 0
        self.delay = 0.0

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        for relay in self._relays:
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    @property
    def url(self) -> str:
        """The server, by way of the relay."""
        user, at, _ = self._there.netloc.rpartition("@")
        return urlunsplit(self._there._replace(netloc=f"{user}{at}127.0.0.1:{self._port}"))

    def cut(self) -> None:
        """Reset every connection and refuse new ones, as if the server were gone."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._reset()

    def swallow(self) -> None:
        """Pass nothing on in either direction and say nothing, as a network does that drops packets."""
        self._passes.clear()

    def lose_the_answer_to(self, request: bytes, passing: int = 0) -> None:
        """Pass on the next *request*, and reset every connection when the server has answered so many bytes of it."""
        self._unanswered, self._passing = request, passing

    async def mend(self) -> None:
        """Relay again, on the same port."""
        self._passes.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._admit, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    def _admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        relay = asyncio.create_task(self._relay(reader, writer))
        self._relays.add(relay)
        relay.add_done_callback(self._relays.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError):
            await self._passes.wait()
            far_reader, far_writer = await asyncio.open_connection(self._there.hostname, self._there.port)
            self._writers.add(far_writer)
            there = asyncio.create_task(self._pump(reader, far_writer, outward=True))
            back = asyncio.create_task(self._pump(far_reader, writer, outward=False))
            try:
                await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in (there, back):
                    pump.cancel()
                await asyncio.gather(there, back, return_exceptions=True)
                far_writer.transport.abort()
                self._writers.discard(far_writer)
        writer.transport.abort()
        self._writers.discard(writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, outward: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self._passes.wait()
                if outward and self._unanswered is not None and self._unanswered in data:
                    self._unanswered, self._answer_is_due = None, True
                elif not outward and self._answer_is_due:
                    self._answer_is_due = False
                    self.lost_answers += 1
                    writer.write(data[: self._passing])
                    self._reset()
                    return
                if not outward and self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()

    def _reset(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
