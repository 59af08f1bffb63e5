"""The HTTP side of the simulated exchange: a port of its own, and replies that go wrong as their faults demand."""

from asyncio import Event, Server, Transport, gather, get_running_loop, sleep
from collections.abc import AsyncIterator
from typing import Self, cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from recorder.exceptions import ConfigurationError
from recorder.simulator.knobs import Cut, Disconnect, Garbage, Late, Silence, Webpage
from recorder.simulator.rest.api import Reply, RestApi
from recorder.simulator.rest.call import Call

_METHODS = ["GET", "POST", "PUT", "DELETE"]


class RestServer:
    """Listens while the context is open. There is no waiting for clients when it is closed."""

    def __init__(self, api: RestApi, host: str, port: int) -> None:
        self._api = api
        self._host = host
        self._port = port
        self._state = ServerState()
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            ConfigurationError: The port is taken.
        """
        app = Starlette(routes=[Route("/{path:path}", self._answer, methods=_METHODS)])
        config = Config(app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False)
        try:
            self._server = await get_running_loop().create_server(
                lambda: H11Protocol(config=config, server_state=self._state, app_state={}), self._host, self._port
            )
        except OSError as exc:
            raise ConfigurationError(
                f"the simulated exchange cannot listen on {self._host}:{self._port} for REST",
                why=exc.strerror or str(exc),
                fix="choose another port, or 0 for a free one",
            ) from exc
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        for transport in self._transports():
            transport.abort()
        tasks = list(self._state.tasks)
        for task in tasks:
            task.cancel()
        await gather(*tasks, return_exceptions=True)
        await self._listening.wait_closed()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self._host}:{self._listening.sockets[0].getsockname()[1]}"

    @property
    def _listening(self) -> Server:
        if self._server is None:
            raise RuntimeError("the simulated exchange is not open: use it as an async context manager")
        return self._server

    def _transports(self) -> list[Transport]:
        return [cast(H11Protocol, connection).transport for connection in self._state.connections]

    async def _answer(self, request: Request) -> Response:
        body = (await request.body()).decode()
        reply = self._api.reply(
            Call(
                method=request.method,
                path=request.url.path,
                query=request.url.query + body,
                api_key=request.headers.get("X-MBX-APIKEY", ""),
            )
        )
        match reply.fault:
            case Silence():
                await Event().wait()
            case Disconnect():
                self._abort(request)
            case Late(by=by):
                await sleep(by.total_seconds())
            case Cut():
                return self._half(reply, request)
            case Webpage(status=status, html=html):
                return Response(html, status, media_type="text/html")
            case Garbage(content=content):
                return Response(content, reply.status, reply.headers, media_type="application/json")
            case _:
                pass
        return Response(reply.body, reply.status, reply.headers, media_type="application/json")

    def _half(self, reply: Reply, request: Request) -> Response:
        """Return a response that promises the whole body, sends half of it and drops the connection."""
        content = reply.body.encode()

        async def halves() -> AsyncIterator[bytes]:
            yield content[: len(content) // 2]
            self._abort(request, gently=True)
            await Event().wait()

        headers = {**reply.headers, "Content-Length": str(len(content))}
        return StreamingResponse(halves(), reply.status, headers, media_type="application/json")

    def _abort(self, request: Request, *, gently: bool = False) -> None:
        client = request.client
        for transport in self._transports():
            if client is not None and transport.get_extra_info("peername")[:2] == (client.host, client.port):
                transport.close() if gently else transport.abort()
