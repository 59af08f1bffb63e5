import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection

from recorder.binance.client import Client
from recorder.binance.pause import PauseFile
from recorder.exceptions import (
    AnswerTimeout,
    MalformedAnswer,
    RateLimited,
)
from tests.binance.accounts import HEDGE, MAIN, TIMEOUT
from tests.binance.clients import a_client
from tests.binance.exchange import ROW, Exchange, Message, answer, in_turn, one_row, refused, rows


async def test_swapped_answers_reach_who_asked(exchange: Exchange, client: Client) -> None:
    async def swap(socket: ServerConnection, request: Message) -> None:
        await exchange.until(lambda: len(exchange.asked) == 2)
        if request is exchange.asked[0]:
            await swapped.wait()
        await socket.send(rows(request["params"]["apiKey"])(request))
        swapped.set()

    swapped = asyncio.Event()
    exchange.script = swap
    first, second = await asyncio.gather(client.positions(MAIN, TIMEOUT), client.positions(HEDGE, TIMEOUT))
    assert first.positions[0].symbol == MAIN.api_key
    assert second.positions[0].symbol == HEDGE.api_key


async def test_a_late_answer_is_given_to_nobody(exchange: Exchange, client: Client) -> None:
    async def late(socket: ServerConnection, request: Message) -> None:
        if request is exchange.asked[0]:
            await socket.send(answer({"id": "of nobody"}, []))  # a connection on which nothing comes is replaced
            await exchange.until(lambda: len(exchange.asked) == 2)
            await socket.send(rows("LATE")(request))
            await socket.send(rows("TIMELY")(exchange.asked[1]))
        elif request is not exchange.asked[1]:
            await socket.send(rows("TIMELY")(request))

    exchange.script = late
    reply = await client.positions(MAIN, timedelta(milliseconds=400))
    assert [position.symbol for position in reply.positions] == ["TIMELY"]
    reply = await client.positions(MAIN, TIMEOUT)
    assert [position.symbol for position in reply.positions] == ["TIMELY"]
    assert client.status().timeouts == 1
    assert client.status().late_answers == 2


async def test_silence_is_asked_twice_and_then_a_timeout(exchange: Exchange, client: Client) -> None:
    exchange.script = in_turn(None, None)
    with pytest.raises(AnswerTimeout, match=r"Account main.*v2/account\.position"):
        await client.positions(MAIN, timedelta(milliseconds=300))
    assert len({request["id"] for request in exchange.asked}) == 2


async def test_a_mute_connection_is_replaced(exchange: Exchange, client: Client) -> None:
    async def mute_at_first(socket: ServerConnection, request: Message) -> None:
        if socket is not exchange.sockets[0]:
            await one_row(socket, request)

    exchange.script = mute_at_first
    assert (await client.positions(MAIN, TIMEOUT)).positions
    assert client.status().connections_total == 2


async def test_a_message_without_id_disturbs_no_request(exchange: Exchange, client: Client) -> None:
    async def unaddressed(socket: ServerConnection, request: Message) -> None:
        await socket.send('{"id":null,"status":401,"error":{"code":-2015,"msg":"Invalid API-key"}}')
        await one_row(socket, request)

    exchange.script = unaddressed
    assert (await client.positions(MAIN, TIMEOUT)).positions


async def test_a_message_without_id_explains_the_answer_that_never_came(exchange: Exchange, client: Client) -> None:
    async def unaddressed(socket: ServerConnection, _: Message) -> None:
        await socket.send('{"id":null,"status":401,"error":{"code":-2015,"msg":"Invalid API-key"}}')

    exchange.script = unaddressed
    with pytest.raises(AnswerTimeout) as caught:
        await client.positions(MAIN, timedelta(milliseconds=300))
    assert "code -2015" in caught.value.why
    assert "code -2015" in client.status().last_error


async def test_garbage_and_unknown_fields_pass_by(exchange: Exchange, client: Client) -> None:
    async def garbage(socket: ServerConnection, request: Message) -> None:
        for frame in ("", "<html>", "[]", '{"id":[]}', b"\xff\xfe", '{"event":{"e":"unheardOf"}}'):
            await socket.send(frame)
        reply = json.loads(answer(request, [{**ROW, "newField": 1.50}]))
        await socket.send(json.dumps({**reply, "newMember": {"a": [1]}}))

    exchange.script = garbage
    reply = await client.positions(MAIN, TIMEOUT)
    assert reply.positions[0].extra == {"newField": Decimal("1.5")}
    assert client.status().unintelligible == 6


async def test_a_malformed_answer_fails_at_once(exchange: Exchange, client: Client) -> None:
    exchange.script = in_turn(lambda request: answer(request, [{**ROW, "markPrice": "NaN"}]))
    with pytest.raises(MalformedAnswer, match=r"SOLUSDT.*markPrice"):
        await client.positions(MAIN, TIMEOUT)
    exchange.script = in_turn(lambda request: json.dumps({"id": request["id"], "status": "fine"}))
    with pytest.raises(MalformedAnswer, match="status"):
        await client.positions(MAIN, TIMEOUT)


async def test_a_rate_limit_stops_everybody_until_the_next_minute(exchange: Exchange, client: Client) -> None:
    exchange.script = in_turn(refused(429, -1003, "Too many requests"))
    with pytest.raises(RateLimited, match="Too many requests") as caught:
        await client.positions(MAIN, TIMEOUT)
    end = caught.value.until + exchange.clock
    assert abs(end - exchange.now().replace(second=0, microsecond=0)) < timedelta(minutes=1, seconds=1)
    with pytest.raises(RateLimited):
        await client.positions(HEDGE, TIMEOUT)
    assert len(exchange.asked) == 1
    assert client.status().paused_until is not None


async def test_a_ban_outlasts_a_restart(exchange: Exchange, tmp_path: Path) -> None:
    pause_file = PauseFile(tmp_path / "pause.json")
    until = (exchange.now() + timedelta(hours=1)).replace(microsecond=0)
    exchange.script = in_turn(refused(418, -1003, f"IP(1.2.3.4) banned until {until.timestamp() * 1000:.0f}."))
    async with a_client(exchange.url, pause_file=pause_file) as client:
        with pytest.raises(RateLimited) as caught:
            await client.positions(MAIN, TIMEOUT)
    assert abs(caught.value.until + exchange.clock - until) < timedelta(seconds=1)
    handshakes = exchange.handshakes
    async with a_client(exchange.url, pause_file=pause_file) as client:
        with pytest.raises(RateLimited):
            await client.positions(MAIN, TIMEOUT)
    assert exchange.handshakes == handshakes


async def test_a_pause_that_ends_in_time_is_waited_for(exchange: Exchange, client: Client) -> None:
    await client.positions(MAIN, TIMEOUT)
    until = exchange.now() + timedelta(seconds=1)
    exchange.script = in_turn(
        refused(429, -1003, retryAfter=round(until.timestamp() * 1000)), rows("SOLUSDT"), rows("SOLUSDT")
    )
    with pytest.raises(RateLimited):
        await client.positions(MAIN, TIMEOUT)
    await client.positions(MAIN, TIMEOUT)
    assert exchange.now() > until - timedelta(milliseconds=100)


@pytest.mark.parametrize("status", [429, 418, 403])
async def test_a_refused_handshake_stops_everybody(exchange: Exchange, status: int) -> None:
    exchange.refuse = [(status, {"Retry-After": "600"})]
    async with a_client(exchange.url) as client:
        with pytest.raises(RateLimited) as caught:
            await client.positions(MAIN, timedelta(milliseconds=500))
        expected = datetime.now(UTC) + timedelta(minutes=10)
        assert abs(caught.value.until - expected) < timedelta(seconds=5)
        assert exchange.handshakes == 1


async def test_the_budget_of_the_minute_is_never_passed(exchange: Exchange) -> None:
    async with a_client(exchange.url, 40) as client:
        outcomes = await asyncio.gather(*(client.positions(MAIN, TIMEOUT) for _ in range(9)), return_exceptions=True)
        assert sum(isinstance(outcome, RateLimited) for outcome in outcomes) == 4
        assert len(exchange.asked) == 5
        assert client.status().weight_used == 40
