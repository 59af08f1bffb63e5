"""The simulated exchange: real sockets in front of a world, with knobs to misbehave."""

from asyncio import TaskGroup
from collections.abc import Callable
from contextlib import suppress
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
from recorder.simulator.session import Session
from recorder.simulator.traffic import Traffic
from recorder.simulator.weight import WeightMeter
from recorder.simulator.world import WEIGHT_LIMIT, World
from recorder.simulator.wsapi import WsApi

_PING_EVERY, _PONG_WITHIN = 180, 600  # seconds, as the exchange has them
_CLOSE_WITHIN = 1  # seconds; a client that is stopped must not hold the exchange up


class Simulator:
    """The exchange, listening while the context is open.

    Attributes:
        world: Brought to the present by every request; its time is that of ``clock``.
        clock: Its ``off`` may be changed at any time.
        meter: The weight used by everybody; its ``limit`` may be changed.
        knobs: What to do wrong.
        traffic: What arrived and what was answered.
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
        self._host = host
        self._port = port
        self._door = Door(clock=self.clock, meter=self.meter, knobs=self.knobs, traffic=self.traffic)
        self._ws_api = WsApi(world, clock=self.clock, meter=self.meter, knobs=self.knobs, traffic=self.traffic)
        self._delivery = Delivery(self.clock, self.traffic)
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        """Bring the world to the present and listen.

        Raises:
            ConfigurationError: The port is taken.
        """
        self.world.advance(self.clock.now())
        try:
            self._server = await serve(
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
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        await self._listening.wait_closed()

    @property
    def address(self) -> str:
        """Host and port."""
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
        return f"http://{self.address}"

    def serve_rows(self, file: Path, *, account: str | None = None) -> None:
        """Answer *account*, or everybody, with the rows in *file* instead of the world's, exactly as written there.

        Raises:
            ConfigurationError: The file has no rows.
        """
        self._ws_api.methods.captured[account] = captured_rows(file)

    async def broadcast(self, text: str) -> None:
        """Send *text* to everybody, as the exchange does with events."""
        for connection in self._listening.connections:
            with suppress(ConnectionClosed):
                await connection.send(text)

    async def announce_shutdown(self) -> None:
        """Say to everybody that the server is about to go away; it does not."""
        event = {"e": "serverShutdown", "E": epoch_ms(self.clock.now())}
        await self.broadcast(json_text({"event": event}))

    def drop_connections(self) -> int:
        """Cut every connection without a closing handshake, and return how many there were."""
        connections = self._listening.connections
        for connection in connections:
            connection.transport.abort()
        return len(connections)

    @property
    def _listening(self) -> Server:
        if self._server is None:
            raise RuntimeError("the simulated exchange is not open: use it as an async context manager")
        return self._server

    async def _converse(self, connection: ServerConnection) -> None:
        if self._door.slams(connection):
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
