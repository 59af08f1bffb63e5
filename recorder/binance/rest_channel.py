"""One attempt at one REST request: within the background's share of the weight, refusals as exceptions."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx
import msgspec

from recorder.binance.allowance import Allowance
from recorder.binance.clock import ExchangeClock
from recorder.binance.errors import invalid_proxy, retry_after
from recorder.binance.messages import WireError
from recorder.exceptions import AnswerTimeout, ConfigurationError, ExchangeUnavailable
from recorder.process.clock import steady

_ANSWER_TIMEOUT = 20.0
_WEIGHT_HEADER = "X-MBX-USED-WEIGHT-1M"
_USER_AGENT = "position-recorder"


@dataclass(frozen=True, slots=True)
class RestReply:
    """The body of an answer; *sent* and *received* are steady seconds."""

    body: bytes
    sent: float
    received: float


class RestChannel:
    """Asks over HTTP. The documents do not say whether REST shares its weight with the WebSocket API: here it does."""

    def __init__(
        self, url: str, allowance: Allowance, clock: ExchangeClock, answer_timeout: float = _ANSWER_TIMEOUT
    ) -> None:
        """Raises ConfigurationError for a URL that is not one."""
        try:
            self._url = httpx.URL(url.rstrip("/"))
        except httpx.InvalidURL:
            self._url = httpx.URL()
        if self._url.scheme not in {"http", "https"} or not self._url.host:
            raise ConfigurationError(
                "exchange.rest_url is not the address of a web server",
                why="It begins with https:// and names a host.",
                fix='Set it to "https://fapi.binance.com", which is the live exchange.',
            )
        self._allowance = allowance
        self._clock = clock
        self._answer_timeout = answer_timeout
        self._http: httpx.AsyncClient | None = None

    async def aclose(self) -> None:
        if self._http is not None:
            await self._http.aclose()

    async def get(
        self,
        subject: str,
        path: str,
        query: Callable[[], str],
        *,
        weight: int,
        headers: Mapping[str, str] | None = None,
        redact: Callable[[str], str] = str,
    ) -> RestReply:
        """Send one request as soon as there is weight for it in the background, and return its answer.

        The query is made when it is sent, since a signature grows old, and is sent as it is. *redact* takes secrets out
        of what the exchange says before it is quoted. Raises an ExchangeError of every kind.
        """
        await self._allowance.reserve_in_background(weight)
        try:
            sent = steady()
            response = await self._response(subject, path, query(), headers or {})
            received = steady()
        finally:
            self._allowance.settle(weight, background=True)
        used = response.headers.get(_WEIGHT_HEADER, "")
        if used.isascii() and used.isdigit():
            self._allowance.observe_count(int(used[:9]))
        if response.status_code == httpx.codes.OK:
            return RestReply(response.content, sent, received)
        raise self._allowance.refused(subject, response.status_code, self._error(response), redact)

    async def _response(self, subject: str, path: str, query: str, headers: Mapping[str, str]) -> httpx.Response:
        target = f"{self._url.path.rstrip('/')}{path}{'?' if query else ''}{query}".encode()
        try:
            async with asyncio.timeout(self._answer_timeout):
                # as the target, because httpx would write a query in its own way, and the signature is of this one
                return await self._client().get(
                    self._url.join(path), headers=dict(headers), extensions={"target": target}
                )
        except (TimeoutError, httpx.TimeoutException) as exc:
            raise AnswerTimeout(
                f"{subject}: GET {path} was not answered within {self._answer_timeout:g} s",
                why="The exchange or the network is slow.",
                fix="If it lasts: look for announcements of the exchange.",
            ) from exc
        except httpx.HTTPError as exc:
            raise ExchangeUnavailable(
                f"{subject}: GET {path} failed: {exc or type(exc).__name__}",
                why="The network, the name server, a firewall or the exchange itself is down.",
                fix="It is tried again; see that exchange.rest_url is right and reachable from this machine.",
            ) from exc

    def _client(self) -> httpx.AsyncClient:
        """Made when it is first needed: it loads every certificate there is."""
        if self._http is None:
            for name in ("httpx", "httpcore"):  # below this level they print addresses, with signatures in them
                logging.getLogger(name).setLevel(logging.WARNING)
            try:
                self._http = httpx.AsyncClient(headers={"User-Agent": _USER_AGENT}, timeout=self._answer_timeout)
            except (ValueError, ImportError, httpx.InvalidURL):
                raise invalid_proxy() from None
        return self._http

    def _error(self, response: httpx.Response) -> WireError:
        """Return what the exchange says; a firewall or a proxy in front of it answers in HTML, and says nothing."""
        try:
            error = msgspec.json.decode(response.content, type=WireError)
        except (ValueError, RecursionError):
            error = WireError()
        data = error.data or retry_after(response.headers.get("Retry-After", ""), self._clock.now())
        return msgspec.structs.replace(error, data=data)
