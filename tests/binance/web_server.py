"""An HTTP server that says what a test tells it to, and remembers the very text of what it was asked."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs


@dataclass(frozen=True, slots=True)
class Asked:
    target: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def params(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.query, keep_blank_values=True).items()}


@dataclass(frozen=True, slots=True)
class Answer:
    """Without a status: the connection is cut. ``None`` in its place is silence."""

    body: Any = None
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def data(self) -> bytes:
        text = self.body.encode() if isinstance(self.body, str) else json.dumps(self.body, ensure_ascii=False).encode()
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"Content-Length: {len(text)}",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + text


Script = Callable[[Asked], Answer | None]


class WebServer:
    """Answers as ``script`` says.

    Attributes:
        asked: Every request, as it came.
        connections: Connections opened so far.
    """

    def __init__(self) -> None:
        self.script: Script = lambda _: Answer([])
        self.asked: list[Asked] = []
        self.connections = 0
        self.url = ""
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    def asked_for(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server:
            self._server.close()
            serving = dict(self._open)
            for writer in serving:
                writer.close()
            await asyncio.gather(*serving.values())
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        if task:
            self._open[writer] = task
        try:
            while head := await _head(reader):
                self.asked.append(head)
                answer = self.script(head)
                if answer is None:
                    continue
                if not answer.status:
                    break
                writer.write(answer.data)
                await writer.drain()
        finally:
            self._open.pop(writer, None)
            writer.close()


async def _head(reader: asyncio.StreamReader) -> Asked | None:
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode()
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *rest = text.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    return Asked(first.split(" ")[1], headers)
