import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from recorder.binance.allowance import Allowance
from recorder.binance.clock import ExchangeClock
from recorder.binance.rest_channel import RestChannel
from recorder.binance.weight import WeightBudget
from recorder.exceptions import (
    AccountRejected,
    AnswerTimeout,
    ClockRejected,
    ConfigurationError,
    ExchangeError,
    ExchangeUnavailable,
    RateLimited,
    RequestRejected,
)
from tests.binance.web_server import Answer, WebServer

HTML = "<html><body>canary</body></html>"


class Rest:
    def __init__(self, url: str, answer_timeout: float = 5) -> None:
        noon = datetime(2026, 3, 1, 12, 0, 20, tzinfo=UTC)
        self.clock = ExchangeClock(lambda: noon, lambda: 0.0)
        self.weight = WeightBudget(1200)
        self.allowance = Allowance(self.weight, self.clock, None)
        self.channel = RestChannel(url, self.allowance, self.clock, answer_timeout)

    async def get(self, query: str = "a=1") -> bytes:
        reply = await self.channel.get(
            "Account main", "/fapi/v1/x", lambda: query, weight=5, redact=lambda said: said.replace("canary", "[key]")
        )
        assert reply.sent <= reply.received
        return reply.body


@pytest.fixture
async def server() -> AsyncIterator[WebServer]:
    async with WebServer() as server:
        yield server


@pytest.fixture
async def rest(server: WebServer) -> AsyncIterator[Rest]:
    rest = Rest(server.url)
    yield rest
    await rest.channel.aclose()


async def test_a_query_is_sent_as_it_was_signed(server: WebServer, rest: Rest) -> None:
    query = "symbol=%E5%B8%81USDT&b=%2B%2F%3D&signature=a%2Bb%3D"
    assert await rest.get(query) == b"[]"
    await rest.get("")
    assert [asked.target for asked in server.asked] == [f"/fapi/v1/x?{query}", "/fapi/v1/x"]
    assert server.asked[0].headers["user-agent"] == "position-recorder"
    assert server.connections == 1


async def test_an_address_may_have_a_path(server: WebServer) -> None:
    rest = Rest(f"{server.url}/mirror/")
    await rest.get()
    assert server.asked[0].target == "/mirror/fapi/v1/x?a=1"
    await rest.channel.aclose()


def test_an_address_that_is_no_web_servers_is_refused() -> None:
    for url in ("wss://canary", "canary", "", "http://", "http://canary:port"):
        with pytest.raises(ConfigurationError, match="rest_url") as caught:
            Rest(url)
        assert "canary" not in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer({"code": -1021, "msg": "ahead"}, 400), ClockRejected),
        (Answer({"code": -2015, "msg": "no"}, 401), AccountRejected),
        (Answer({"code": -1022, "msg": "no"}, 400), AccountRejected),
        (Answer({"code": -1127, "msg": "too long"}, 400), RequestRejected),
        (Answer({"code": -1000, "msg": "hm"}, 400), ExchangeUnavailable),
        (Answer(HTML, 502), ExchangeUnavailable),
        (Answer(HTML, 503), ExchangeUnavailable),
        (Answer(HTML, 404), RequestRejected),
        (Answer("", 302, (("Location", "https://canary.invalid"),)), RequestRejected),
        (Answer({"code": -1003, "msg": "slower"}, 400), RateLimited),
        (Answer(status=0), ExchangeUnavailable),
    ],
)
async def test_a_refusal_is_sorted_by_what_to_do(
    server: WebServer, rest: Rest, answer: Answer, kind: type[ExchangeError]
) -> None:
    server.script = lambda _: answer
    with pytest.raises(kind) as caught:
        await rest.get()
    assert isinstance(caught.value, RateLimited) or str(caught.value).startswith("Account main: ")
    assert "canary" not in str(caught.value)
    assert caught.value.why
    assert rest.weight.used(rest.clock.now()) == 5


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (Answer({"code": -1003, "msg": ""}, 429), timedelta(seconds=40)),
        (Answer({"code": -1003, "msg": ""}, 429, (("Retry-After", "600"),)), timedelta(minutes=10)),
        (Answer({"code": -1003, "msg": "IP banned until 1772370020000."}, 418), timedelta(hours=1)),
        (Answer({"code": -1003, "msg": ""}, 418), timedelta(minutes=2)),
        (Answer(HTML, 403), timedelta(minutes=5)),
        (Answer(HTML, 403, (("Retry-After", "soon"),)), timedelta(minutes=5)),
    ],
)
async def test_a_rate_limit_pauses_both_channels(
    server: WebServer, rest: Rest, answer: Answer, pause: timedelta
) -> None:
    server.script = lambda _: answer
    with pytest.raises(RateLimited) as caught:
        await rest.get()
    assert caught.value.until == rest.clock.now() + pause
    assert rest.weight.reserve(1, rest.clock.now()) == pause


async def test_the_exchanges_own_count_is_taken_over(server: WebServer, rest: Rest) -> None:
    server.script = lambda _: Answer([], headers=(("X-MBX-USED-WEIGHT-1M", "2400"),))
    rest.weight.limit = 2400
    await rest.get()
    assert rest.weight.reserve(1, rest.clock.now()) > timedelta(0)


async def test_silence_is_a_timeout(server: WebServer) -> None:
    server.script = lambda _: None
    rest = Rest(server.url, answer_timeout=0.1)
    with pytest.raises(AnswerTimeout, match="/fapi/v1/x"):
        await rest.get()
    await rest.channel.aclose()


async def test_an_unreachable_server_may_be_tried_again() -> None:
    rest = Rest("http://127.0.0.1:1")
    with pytest.raises(ExchangeUnavailable, match="/fapi/v1/x") as caught:
        await rest.get()
    assert "rest_url" in caught.value.fix
    await rest.channel.aclose()


@pytest.mark.parametrize("proxy", ["gopher://user:canary@proxy", "http://user:canary@proxy:port"])
async def test_a_proxy_that_is_none_is_not_quoted(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(ExchangeUnavailable, match="proxy") as caught:
        await Rest("https://exchange.invalid").get()
    assert "canary" not in f"{caught.value}{caught.value.__cause__}"


async def test_no_address_is_logged(server: WebServer, rest: Rest, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await rest.get("signature=canary")
    assert "canary" not in caplog.text
    assert server.asked[0].query == "signature=canary"
