"""The simulated exchange: real sockets in front of a world, with knobs to misbehave."""

from asyncio import CancelledError, Task, TaskGroup, create_task
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from recorder.exceptions import ConfigurationError
from recorder.simulator.captured import captured_rows
from recorder.simulator.clock import Clock, epoch_ms, utc_now
from recorder.simulator.delivery import Delivery
from recorder.simulator.door import WS_API_PATH, Door
from recorder.simulator.frames import json_text
from recorder.simulator.knobs import Knobs
from recorder.simulator.listen_keys import ListenKeys
from recorder.simulator.rest.api import RestApi
from recorder.simulator.rest.server import RestServer
from recorder.simulator.session import Session
from recorder.simulator.stream.address import parse_address
from recorder.simulator.stream.streams import Streams
from recorder.simulator.traffic import Traffic
from recorder.simulator.weight import WeightMeter
from recorder.simulator.world import WEIGHT_LIMIT, World
from recorder.simulator.wsapi import WsApi

_PING_EVERY, _PONG_WITHIN = 180, 600  # seconds, as the exchange has them
_CLOSE_WITHIN = 1  # seconds; a client that is stopped must not hold the exchange up


class Simulator:
    """The exchange, listening while the context is open.

    REST has a port of its own: the next one, or a free one like the other.

    Attributes:
        world: Brought to the present by every request, and all the time while somebody listens to a stream; its time
            is that of ``clock``.
        clock: Its ``off`` may be changed at any time.
        meter: The weight used by everybody; its ``limit`` may be changed.
        knobs: What to do wrong.
        traffic: What arrived and what was answered.
        listen_keys: Their ``life`` may be changed.
    """

    def __init__(
        self,
        world: World,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        true_time: Callable[[], datetime] = utc_now,
        kept: int = 10_000,
    ) -> None:
        self.world = world
        self.clock = Clock(true_time)
        self.meter = WeightMeter(WEIGHT_LIMIT)
        self.knobs = Knobs()
        self.traffic = Traffic(kept)
        self.listen_keys = ListenKeys()
        self._host = host
        self._port = port
        self._door = Door(clock=self.clock, meter=self.meter, knobs=self.knobs, traffic=self.traffic)
        self._ws_api = WsApi(
            world,
            clock=self.clock,
            meter=self.meter,
            knobs=self.knobs,
            traffic=self.traffic,
            listen_keys=self.listen_keys,
        )
        rest_api = RestApi(
            world,
            clock=self.clock,
            meter=self.meter,
            knobs=self.knobs,
            traffic=self.traffic,
            listen_keys=self.listen_keys,
        )
        self._rest = RestServer(rest_api, host, port + 1 if port else 0)
        self._streams = Streams(
            world, clock=self.clock, listen_keys=self.listen_keys, knobs=self.knobs, traffic=self.traffic
        )
        self._delivery = Delivery(self.clock, self.traffic)
        self._server: Server | None = None
        self._beating: Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Bring the world to the present and listen.

        Raises:
            ConfigurationError: A port is taken.
        """
        self.world.advance(self.clock.now())
        async with AsyncExitStack() as opened:
            await opened.enter_async_context(self._rest)
            self._server = await self._listen()
            opened.pop_all()
        self._beating = create_task(self._streams.run(), name="user data streams")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        await self._listening.wait_closed()
        await self._rest.__aexit__()
        if self._beating is not None:
            self._beating.cancel()
            with suppress(CancelledError):
                await self._beating
            self._beating = None

    async def _listen(self) -> Server:
        try:
            return await serve(
                self._converse,
                self._host,
                self._port,
                process_request=self._door.admit,
                compression=None,
                ping_interval=_PING_EVERY,
                ping_timeout=_PONG_WITHIN,
                close_timeout=_CLOSE_WITHIN,
            )
        except OSError as exc:
            raise ConfigurationError(
                f"the simulated exchange cannot listen on {self._host}:{self._port}",
                why=exc.strerror or str(exc),
                fix="choose another port, or 0 for a free one",
            ) from exc

    @property
    def address(self) -> str:
        """Host and port of the WebSocket API and the streams."""
        socket = next(iter(self._listening.sockets))
        return f"{self._host}:{socket.getsockname()[1]}"

    @property
    def ws_api_url(self) -> str:
        return f"ws://{self.address}{WS_API_PATH}"

    @property
    def stream_url(self) -> str:
        return f"ws://{self.address}"

    @property
    def rest_url(self) -> str:
        return f"http://{self._rest.address}"

    def serve_rows(self, file: Path, *, account: str | None = None) -> None:
        """Answer *account*, or everybody, with the rows in *file* instead of the world's, exactly as written there.

        Raises:
            ConfigurationError: The file has no rows.
        """
        self._ws_api.methods.captured[account] = captured_rows(file)

    async def broadcast(self, text: str) -> None:
        """Send *text* to everybody on the WebSocket API."""
        for connection in self._talking():
            with suppress(ConnectionClosed):
                await connection.send(text)

    async def announce_shutdown(self) -> None:
        """Say to everybody that the server is about to go away; it does not."""
        event = {"e": "serverShutdown", "E": epoch_ms(self.clock.now())}
        await self.broadcast(json_text({"event": event}))

    def push(self, account: str, event: str) -> None:
        """Send an event of the caller's own making, as JSON text, on the streams of an account."""
        self._streams.push(account, event)

    def expire_listen_key(self, account: str) -> None:
        """Let the account's listenKey expire now. Its streams are told so, and stay open and mute."""
        self.listen_keys.expire(account, self.clock.now())

    def drop_connections(self) -> int:
        """Cut every connection to the WebSocket API without a closing handshake, and return how many there were."""
        return _cut(self._talking())

    def drop_streams(self) -> int:
        """Cut every user data stream without a closing handshake, and return how many there were."""
        return _cut(self._streams.connections)

    def _talking(self) -> list[ServerConnection]:
        streams = set(self._streams.connections)
        return [connection for connection in self._listening.connections if connection not in streams]

    @property
    def _listening(self) -> Server:
        if self._server is None:
            raise RuntimeError("the simulated exchange is not open: use it as an async context manager")
        return self._server

    async def _converse(self, connection: ServerConnection) -> None:
        if self._door.slams(connection):
            return
        address = parse_address(connection.request.path) if connection.request else None
        if address is not None:
            await self._streams.serve(connection, address)
            return
        session = Session(connected_at=self.clock.now(), return_rate_limits=_wants_rate_limits(connection))
        async with TaskGroup() as sending:
            with suppress(ConnectionClosed):
                async for message in connection:
                    reply = self._ws_api.reply(message, session)
                    if reply.is_late:
                        sending.create_task(self._delivery.send(connection, reply))
                    else:
                        await self._delivery.send(connection, reply)


def _wants_rate_limits(connection: ServerConnection) -> bool:
    query = urlsplit(connection.request.path).query if connection.request else ""
    return parse_qs(query).get("returnRateLimits") != ["false"]


def _cut(connections: list[ServerConnection]) -> int:
    for connection in connections:
        connection.transport.abort()
    return len(connections)
