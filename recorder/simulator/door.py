"""Handshakes: who is let in, and who is turned away with which HTTP status."""

from math import ceil
from urllib.parse import urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from recorder.simulator.clock import Clock
from recorder.simulator.errors import ApiError
from recorder.simulator.knobs import Closed, HandshakeFault, Knobs, Slammed
from recorder.simulator.stream.address import parse_address
from recorder.simulator.traffic import Handshake, Traffic
from recorder.simulator.weight import HANDSHAKE_WEIGHT, WeightMeter

WS_API_PATH = "/ws-fapi/v1"


class Door:
    """Decides on handshakes. Those of the WebSocket API cost weight too; streams know no weight, and no ban."""

    def __init__(self, *, clock: Clock, meter: WeightMeter, knobs: Knobs, traffic: Traffic) -> None:
        self._clock = clock
        self._meter = meter
        self._knobs = knobs
        self._traffic = traffic
        self._slammed: set[ServerConnection] = set()

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Return how to refuse the handshake; ``None`` lets it in."""
        address = parse_address(request.path)
        on_stream = address is not None
        refused = not on_stream and self._meter.refusal(self._clock.now()) is not None
        if address is not None:
            combined = self._knobs.for_handshake("combined") if len(address.subscriptions) > 1 else None
            response = self._obey(connection, combined or self._knobs.for_handshake("stream"))
        else:
            response = self._decide(connection, request)
        (self._traffic.streams if on_stream else self._traffic.handshakes).append(
            Handshake(
                received_at=self._clock.true_time(),
                status=101 if response is None else response.status_code,
                refused=refused,
            )
        )
        return response

    def slams(self, connection: ServerConnection) -> bool:
        """Whether this connection, once let in, is to be closed at once."""
        slammed = connection in self._slammed
        self._slammed.discard(connection)
        return slammed

    def _decide(self, connection: ServerConnection, request: Request) -> Response | None:
        if urlsplit(request.path).path != WS_API_PATH:
            return connection.respond(404, "There is nothing here.\n")
        now = self._clock.now()
        try:
            self._meter.charge(HANDSHAKE_WEIGHT, now)
        except ApiError as exc:
            refusal = self._meter.refusal(now)
            seconds = ceil((refusal.until - now).total_seconds()) if refusal else None
            return _refused(connection, exc.status, seconds)
        return self._obey(connection, self._knobs.for_handshake("ws-api"))

    def _obey(self, connection: ServerConnection, fault: HandshakeFault | None) -> Response | None:
        match fault:
            case Closed(status=status, retry_after=seconds):
                return _refused(connection, status, seconds)
            case Slammed():
                self._slammed.add(connection)
                return None
            case None:
                return None


def _refused(connection: ServerConnection, status: int, retry_after: int | None) -> Response:
    response = connection.respond(status, "Not now.\n")
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response
