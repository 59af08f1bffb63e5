"""Opening a WebSocket to the exchange, with every way in which that fails as one of our own errors."""

import logging
from http import HTTPStatus

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidProxy, InvalidStatus, InvalidURI, WebSocketException
from websockets.uri import parse_uri

from recorder.binance.errors import invalid_proxy, pause_end, rate_limited, retry_after
from recorder.binance.messages import WireError
from recorder.exceptions import ConfigurationError, ExchangeError, ExchangeUnavailable
from recorder.process.clock import wall_clock

_OPEN_TIMEOUT = 10.0
_CLOSE_TIMEOUT = 1.0
_MAX_SIZE = 16 * 2**20
_USER_AGENT = "position-recorder"


class HandshakeRefused(ExchangeUnavailable):
    """The exchange answered the handshake, and not with a connection.

    Attributes:
        status: Of HTTP.
    """

    def __init__(self, what: str, *, status: int, why: str, fix: str) -> None:
        super().__init__(what, why=why, fix=fix)
        self.status = status

    @property
    def is_of_the_request(self) -> bool:
        """Whether the exchange says that it is about what was asked for, and not about itself."""
        return HTTPStatus.BAD_REQUEST <= self.status < HTTPStatus.INTERNAL_SERVER_ERROR


async def open_socket(
    url: str, *, setting: str, ping_interval: float | None, max_queue: int | None = 16
) -> ClientConnection:
    """Open a WebSocket; *setting* is where its address comes from, for messages: they never quote the address.

    Raises RateLimited when the handshake is refused for this address, and ExchangeUnavailable for everything else.
    """
    logger = logging.getLogger(f"{__name__}.websockets")
    logger.setLevel(logging.INFO)  # at DEBUG the library prints addresses and frames, with every secret in them
    try:
        return await connect(
            url,
            compression=None,
            max_size=_MAX_SIZE,
            max_queue=max_queue,
            open_timeout=_OPEN_TIMEOUT,
            close_timeout=_CLOSE_TIMEOUT,
            ping_interval=ping_interval,
            ping_timeout=ping_interval,
            user_agent_header=_USER_AGENT,
            logger=logger,
        )
    except InvalidStatus as exc:
        response = exc.response
        raise _refused(setting, response.status_code, response.headers.get("Retry-After", "")) from exc
    except InvalidProxy:
        raise invalid_proxy() from None
    except InvalidURI:
        raise ExchangeUnavailable(
            "The exchange redirects to what is not the address of a WebSocket",
            why=f"exchange.{setting} is not the address that it is taken for.",
            fix=f"It is tried again and again; compare exchange.{setting} with the exchange's documentation.",
        ) from None  # the original quotes the address
    except (OSError, WebSocketException) as exc:
        raise ExchangeUnavailable(
            f"The exchange cannot be reached: {exc or type(exc).__name__}",
            why="The network, the name server, a firewall or the exchange itself is down.",
            fix=f"It is tried again and again; see that exchange.{setting} is right and reachable from this machine.",
        ) from exc


def require_websocket(url: str, *, setting: str, example: str) -> None:
    """Raise ConfigurationError for a URL that is no WebSocket's."""
    try:
        parse_uri(url)
    except (InvalidURI, ValueError):
        raise ConfigurationError(
            f"exchange.{setting} is not the address of a WebSocket",
            why="It begins with wss:// and names a host.",
            fix=f'Set it to "{example}", which is the live exchange.',
        ) from None  # the original quotes the URL, which may have a password in it


def _refused(setting: str, status: int, header: str) -> ExchangeError:
    now = wall_clock()
    until = pause_end(status, WireError(data=retry_after(header, now)), now)
    if until is not None:
        return rate_limited(until, f" (it refused the connection with HTTP status {status})")
    known = {known.value: known.phrase for known in HTTPStatus}
    return HandshakeRefused(
        f"The exchange refused the connection with HTTP status {status} {known.get(status, '')}".rstrip(),
        status=status,
        why=f"The exchange is down for maintenance, or exchange.{setting} is not the right address.",
        fix=f"It is tried again and again; compare exchange.{setting} with the exchange's documentation.",
    )
