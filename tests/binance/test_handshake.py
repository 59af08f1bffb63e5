import logging
from datetime import UTC, datetime, timedelta

import pytest
from websockets.asyncio.client import ClientConnection

from recorder.binance.handshake import open_socket, require_websocket
from recorder.exceptions import ConfigurationError, ExchangeUnavailable, RateLimited
from tests.binance.exchange import Exchange


async def opened(url: str) -> ClientConnection:
    return await open_socket(url, setting="stream_url", ping_interval=None)


@pytest.mark.parametrize(
    ("status", "headers", "pause"),
    [
        (429, {"Retry-After": "600"}, timedelta(minutes=10)),
        (418, {}, timedelta(minutes=2)),
        (418, {"Retry-After": "soon"}, timedelta(minutes=2)),
        (418, {"Retry-After": "9" * 500}, timedelta(days=3)),
        (403, {}, timedelta(minutes=5)),
    ],
)
async def test_a_handshake_that_is_too_much_is_a_rate_limit(
    exchange: Exchange, status: int, headers: dict[str, str], pause: timedelta
) -> None:
    exchange.refuse = [(status, headers)]
    with pytest.raises(RateLimited, match=str(status)) as caught:
        await opened(exchange.url)
    assert abs(caught.value.until - datetime.now(UTC) - pause) < timedelta(seconds=5)


async def test_every_other_fault_of_a_handshake_may_be_tried_again(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange.refuse = [(502, {}), (404, {})]
    for status in ("502", "404"):
        with pytest.raises(ExchangeUnavailable, match=status):
            await opened(exchange.url)
    with pytest.raises(ExchangeUnavailable, match="cannot be reached"):
        await opened("ws://127.0.0.1:1/")
    monkeypatch.setenv("https_proxy", "gopher://user:canary@proxy")
    with pytest.raises(ExchangeUnavailable, match="proxy") as caught:
        await opened("wss://exchange.invalid/")
    assert "canary" not in f"{caught.value}{caught.value.__cause__}"


async def test_what_fails_names_the_setting_and_never_the_address(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    address = f"{exchange.url}?listenKey=canary"
    exchange.refuse = [(502, {}), (302, {"Location": "https://canary.invalid/"})]
    for url in (address, address, "ws://127.0.0.1:1/?listenKey=canary"):
        with pytest.raises(ExchangeUnavailable) as caught:
            await opened(url)
        error = caught.value
        assert "exchange.stream_url" in error.fix
        assert "canary" not in f"{error!r} {error.why} {error.fix} {error.__cause__}"
    await (await opened(address)).close()
    own = [record.getMessage() for record in caplog.records if not record.name.startswith("websockets.server")]
    assert not any("canary" in message for message in own)


def test_an_address_that_is_no_websocket_is_refused() -> None:
    require_websocket("wss://exchange.invalid/a?b={}", setting="stream_url", example="wss://host")
    for url in ("https://canary", "canary", "", "ws://canary:port/"):
        with pytest.raises(ConfigurationError, match=r"exchange\.stream_url") as caught:
            require_websocket(url, setting="stream_url", example="wss://host")
        assert "canary" not in f"{caught.value} {caught.value.__cause__}"
