import asyncio
import hashlib
import hmac
import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from websockets.asyncio.server import ServerConnection

from recorder.binance.client import Client
from recorder.domain.stream import Connected, Coverage
from recorder.exceptions import (
    AccountRejected,
    ClockRejected,
    ConfigurationError,
    ExchangeUnavailable,
    RateLimited,
    RequestRejected,
)
from tests.binance.accounts import HEDGE, MAIN, SECRET, TIMEOUT
from tests.binance.clients import a_client
from tests.binance.exchange import Exchange, Message, answer, in_turn, one_row, refused, rows
from tests.binance.user_streams import ListenKeys, UserStreams
from tests.binance.web_server import Answer, WebServer


async def test_an_answer_has_its_rows_and_the_times_of_asking(exchange: Exchange, client: Client) -> None:
    before = datetime.now(UTC)
    reply = await client.positions(MAIN, TIMEOUT)
    assert reply.positions[0].mark_price == Decimal("149.87654321")
    assert before <= reply.sent_at <= reply.received_at <= datetime.now(UTC)
    assert reply.duration == reply.received_at - reply.sent_at
    assert abs(reply.taken_at - (reply.sent_at + exchange.clock)) < timedelta(seconds=1)


async def test_the_exchange_finds_every_request_signed_with_its_own_time(exchange: Exchange, client: Client) -> None:
    exchange_time = exchange.now()
    await client.positions(MAIN, TIMEOUT)
    params = exchange.asked[0]["params"]
    assert exchange.asked[0]["method"] == "v2/account.position"
    payload = f"apiKey=canary-key-main&recvWindow=5000&timestamp={params['timestamp']}"
    assert params["signature"] == hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()
    assert abs(params["timestamp"] / 1000 - exchange_time.timestamp()) < 1


async def test_a_lost_connection_costs_a_retry_only(exchange: Exchange, client: Client) -> None:
    async def drop_the_first(socket: ServerConnection, request: Message) -> None:
        if len(exchange.asked) == 1:
            socket.transport.abort()
        else:
            await one_row(socket, request)

    exchange.script = drop_the_first
    assert (await client.positions(MAIN, TIMEOUT)).positions
    assert len(exchange.sockets) == 2


async def test_faults_of_the_exchange_are_tried_again(exchange: Exchange, client: Client) -> None:
    exchange.script = in_turn(refused(500, -1000), refused(503, -1008), rows("SOLUSDT"))
    assert (await client.positions(MAIN, TIMEOUT)).positions


async def test_a_wrong_request_is_not_tried_again(exchange: Exchange, client: Client) -> None:
    exchange.script = in_turn(refused(400, -1102, "Mandatory parameter was not sent"))
    with pytest.raises(RequestRejected, match="Mandatory parameter"):
        await client.positions(MAIN, TIMEOUT)


async def test_a_refused_timestamp_measures_the_clock_and_signs_again(exchange: Exchange, client: Client) -> None:
    async def wrong_at_first(socket: ServerConnection, request: Message) -> None:
        drift = abs(request["params"]["timestamp"] / 1000 - exchange.now().timestamp())
        await socket.send((rows("SOLUSDT") if drift < 1 else refused(400, -1021))(request))

    await client.positions(MAIN, TIMEOUT)
    exchange.clock += timedelta(minutes=7)
    exchange.script = wrong_at_first
    assert (await client.positions(MAIN, TIMEOUT)).positions
    assert abs((client.status().clock_offset or timedelta()) - exchange.clock) < timedelta(seconds=1)


async def test_a_timestamp_refused_twice_is_the_clocks_fault(exchange: Exchange, client: Client) -> None:
    exchange.script = in_turn(refused(400, -1021), refused(400, -1021))
    with pytest.raises(ClockRejected):
        await client.positions(MAIN, TIMEOUT)


async def test_accounts_refused_together_measure_the_clock_together(exchange: Exchange, client: Client) -> None:
    await client.positions(MAIN, TIMEOUT)
    readings = exchange.clock_readings
    exchange.script = in_turn(*[refused(400, -1021)] * 8, *[rows("SOLUSDT")] * 8)
    await asyncio.gather(*(client.positions(MAIN, TIMEOUT) for _ in range(8)))
    assert exchange.clock_readings <= readings + 10


async def test_a_signature_is_tried_twice_before_the_account_is_stopped(exchange: Exchange, client: Client) -> None:
    exchange.script = in_turn(refused(400, -1022), rows("SOLUSDT"), refused(400, -1022), refused(400, -1022))
    assert (await client.positions(MAIN, TIMEOUT)).positions
    with pytest.raises(AccountRejected, match="signature") as caught:
        await client.positions(MAIN, TIMEOUT)
    assert "api_secret" in caught.value.fix
    with pytest.raises(AccountRejected, match="signature"):
        await client.positions(MAIN, TIMEOUT)
    assert len(exchange.asked) == 4


async def test_a_bad_key_stops_its_own_account_only(exchange: Exchange, client: Client) -> None:
    async def refuse_main(socket: ServerConnection, request: Message) -> None:
        is_main = request["params"]["apiKey"] == MAIN.api_key
        await socket.send((refused(401, -2015) if is_main else rows("SOLUSDT"))(request))

    exchange.script = refuse_main
    for _ in range(3):
        outcomes = await asyncio.gather(
            client.positions(MAIN, TIMEOUT), client.positions(HEDGE, TIMEOUT), return_exceptions=True
        )
        assert isinstance(outcomes[0], AccountRejected)
        assert not isinstance(outcomes[1], BaseException)
    assert len(exchange.asked) == 4


async def test_an_unreachable_exchange_says_so_in_time() -> None:
    async with a_client("ws://127.0.0.1:1/") as client:
        with pytest.raises(ExchangeUnavailable) as caught:
            await client.positions(MAIN, timedelta(milliseconds=300))
        assert "cannot be reached" in caught.value.why
        assert not client.status().connected


async def test_balances_are_read(exchange: Exchange, client: Client) -> None:
    balance = {
        "accountAlias": "AbCd",
        "asset": "USDT",
        "balance": "90210.40506070",
        "crossWalletBalance": "81.30000001",
        "crossUnPnl": "0.00000000",
        "availableBalance": "81.30000001",
        "maxWithdrawAmount": "81.30000001",
        "marginAvailable": True,
        "updateTime": 1760000000123,
        "unknown": {},
    }
    exchange.script = in_turn(lambda request: answer(request, [balance]))
    (usdt,) = await client.balances(MAIN, TIMEOUT)
    assert (usdt.account_alias, usdt.balance) == ("AbCd", Decimal("90210.40506070"))
    assert exchange.asked[0]["method"] == "v2/account.balance"


async def test_the_status_tells_what_was_counted(exchange: Exchange, client: Client) -> None:
    exchange.script = in_turn(rows("SOLUSDT"), refused(400, -1102))
    await client.positions(MAIN, TIMEOUT)
    with pytest.raises(RequestRejected):
        await client.positions(MAIN, TIMEOUT)
    status = client.status()
    assert status.connected
    assert (status.connections_total, status.answers, status.refusals) == (1, 6, 1)
    assert (status.weight_used, status.weight_budget, status.weight_limit) == (25, 1200, 2400)
    assert status.last_error == ""
    assert status.clock_uncertainty is not None


async def test_no_secret_is_said_or_logged(exchange: Exchange, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    quoted = refused(401, -2014, f"API-key {MAIN.api_key} format invalid.")
    exchange.script = in_turn(rows("SOLUSDT"), refused(500, -1000, f"key {HEDGE.api_key}"), rows("SOLUSDT"), quoted)
    async with a_client(exchange.url) as client:
        await client.positions(MAIN, TIMEOUT)
        await client.positions(HEDGE, TIMEOUT)
        with pytest.raises(AccountRejected) as caught:
            await client.positions(MAIN, TIMEOUT)
        said = f"{caught.value!r} {caught.value.why} {caught.value.fix} {client.status()} {MAIN!r}"
    own = [record.getMessage() for record in caplog.records if not record.name.startswith("websockets.server")]
    for text in [said, *own]:
        assert "canary" not in text
        assert not any(request["params"]["signature"] in text for request in exchange.asked)


async def test_an_account_has_a_stream_and_ledgers_next_to_its_snapshots(exchange: Exchange) -> None:
    told = asyncio.Queue[Coverage]()
    keys = ListenKeys()
    exchange.script = keys.script
    async with UserStreams() as streams, WebServer() as server:
        server.script = lambda asked: Answer({"serverTime": 1} if asked.path == "/fapi/v1/time" else [])
        async with a_client(exchange.url, stream_url=streams.url, rest_url=server.url) as client:
            stream = client.stream(
                MAIN,
                deliver=lambda _event, _arrival: None,
                changed=told.put_nowait,
                learned_secret=lambda _secret: None,
            )
            task = asyncio.create_task(stream.run())
            async with asyncio.timeout(5):
                assert isinstance(await told.get(), Connected)
            now = datetime.now(UTC) + exchange.clock
            pages = [page async for page in client.rest.income(MAIN, now - timedelta(days=1), now)]
            assert stream.status().connected
            task.cancel()
    assert [page.rows for page in pages] == [()]
    assert [asked.path for asked in server.asked] == ["/fapi/v1/income"]  # the clock is known already


async def test_what_stops_an_account_elsewhere_stops_no_snapshot(exchange: Exchange) -> None:
    async with WebServer() as server:
        server.script = lambda _: Answer({"code": -2015, "msg": ""}, 401)
        async with a_client(exchange.url, rest_url=server.url) as client:
            await client.positions(MAIN, TIMEOUT)
            with pytest.raises(AccountRejected):
                await client.rest.account_config(MAIN)
            assert (await client.positions(MAIN, TIMEOUT)).positions


async def test_a_rate_limit_of_one_channel_is_one_of_both(exchange: Exchange) -> None:
    async with WebServer() as server:
        server.script = lambda _: Answer("<html>", 403)
        async with a_client(exchange.url, rest_url=server.url) as client:
            await client.positions(MAIN, TIMEOUT)
            with pytest.raises(RateLimited):
                await client.rest.account_config(MAIN)
            with pytest.raises(RateLimited):
                await client.positions(MAIN, TIMEOUT)


def test_an_address_that_is_no_websocket_is_refused() -> None:
    for url in ("https://fapi.binance.com", "ws-fapi.binance.com", "", "ws://host:port/"):
        with pytest.raises(ConfigurationError, match="ws_api_url"):
            a_client(url)
    with pytest.raises(ConfigurationError, match="stream_url"):
        a_client("wss://host", stream_url="https://host")
    with pytest.raises(ConfigurationError, match="rest_url"):
        a_client("wss://host", rest_url="wss://host")
