import json
from asyncio import timeout
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from recorder.simulator.exchange import Simulator
from recorder.simulator.knobs import Cut, Disconnect, Garbage, Late, Maimed, Silence, Swapped

Signed = Callable[..., str]
Ask = Callable[..., Awaitable[Any]]
Receive = Callable[[ClientConnection], Awaitable[Any]]


async def test_silence_leaves_one_request_unanswered_and_no_other(
    exchange: Simulator, connection: ClientConnection, signed: Signed, receive: Receive
) -> None:
    exchange.knobs.on_request(Silence())
    main = exchange.world.accounts["main"]
    for request_id in (1, 2, 3):
        await connection.send(signed(main, request_id))
    assert [(await receive(connection))["id"] for _ in range(2)] == [2, 3]
    assert [request.request_id for request in exchange.traffic.requests_of("main")] == ["1", "2", "3"]
    assert [answer.request_id for answer in exchange.traffic.answers_of("main")] == ["2", "3"]


async def test_a_late_answer_is_overtaken(
    exchange: Simulator, connection: ClientConnection, signed: Signed, receive: Receive
) -> None:
    exchange.knobs.on_request(Late(timedelta(milliseconds=40)))
    main = exchange.world.accounts["main"]
    for request_id in (1, 2):
        await connection.send(signed(main, request_id))
    assert [(await receive(connection))["id"] for _ in range(2)] == [2, 1]
    first, second = exchange.traffic.answers_of("main")
    assert second.sent_at - exchange.traffic.requests[0].received_at >= timedelta(milliseconds=40)
    assert first.request_id == "2"


async def test_a_late_answer_does_not_wait_for_a_client_that_is_gone(exchange: Simulator, signed: Signed) -> None:
    exchange.knobs.on_request(Late(timedelta(hours=1)))
    async with connect(exchange.ws_api_url) as connection:
        await connection.send(signed(exchange.world.accounts["main"]))
    async with timeout(5):
        await exchange.__aexit__()
    assert not exchange.traffic.answers


async def test_swapped_answers_come_in_each_others_order(
    exchange: Simulator, connection: ClientConnection, signed: Signed, receive: Receive
) -> None:
    exchange.knobs.on_request(Swapped(), times=2)
    main, hedge = exchange.world.accounts.values()
    await connection.send(signed(main, 1))
    await connection.send(signed(hedge, 2))
    first, second = await receive(connection), await receive(connection)
    assert (first["id"], second["id"]) == (2, 1)
    assert {row["positionSide"] for row in first["result"]} == {"LONG", "SHORT"}
    assert {row["positionSide"] for row in second["result"]} == {"BOTH"}


async def test_crossed_answers_have_each_others_ids(
    exchange: Simulator, connection: ClientConnection, signed: Signed, receive: Receive
) -> None:
    exchange.knobs.on_request(Swapped(crossed_ids=True), times=2)
    main, hedge = exchange.world.accounts.values()
    await connection.send(signed(main, 1))
    await connection.send(signed(hedge, 2))
    answers = {answer["id"]: answer for answer in (await receive(connection), await receive(connection))}
    assert {row["positionSide"] for row in answers[1]["result"]} == {"LONG", "SHORT"}
    assert {row["positionSide"] for row in answers[2]["result"]} == {"BOTH"}


async def test_a_cut_answer_is_half_a_text_and_then_the_end(
    exchange: Simulator, connection: ClientConnection, signed: Signed
) -> None:
    exchange.knobs.on_request(Cut())
    await connection.send(signed(exchange.world.accounts["main"]))
    half = await connection.recv()
    assert isinstance(half, str)
    assert half.startswith('{"id":1,"status":200,"result":[')
    with pytest.raises(json.JSONDecodeError):
        json.loads(half)
    with pytest.raises(ConnectionClosedError) as caught:
        await connection.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1011


@pytest.mark.parametrize(
    "fault",
    [Garbage(b"\x00\xff\x80", binary=True), Garbage(b"<html>503</html>")],
    ids=["binary", "text"],
)
async def test_garbage_comes_before_the_answer(
    exchange: Simulator,
    connection: ClientConnection,
    signed: Signed,
    receive: Receive,
    fault: Garbage,
) -> None:
    exchange.knobs.on_request(fault)
    await connection.send(signed(exchange.world.accounts["main"]))
    assert await connection.recv() == (fault.content if fault.binary else fault.content.decode())
    assert (await receive(connection))["status"] == 200


async def test_garbage_may_be_a_text_that_is_not_utf8(
    exchange: Simulator, connection: ClientConnection, signed: Signed
) -> None:
    exchange.knobs.on_request(Garbage(b'{"id":"\xff\xfe"}'))
    await connection.send(signed(exchange.world.accounts["main"]))
    with pytest.raises(ConnectionClosedError) as caught:
        await connection.recv()
    assert caught.value.sent is not None
    assert caught.value.sent.code == 1007


async def test_a_disconnect_comes_instead_of_the_answer_and_without_a_word(
    exchange: Simulator, connection: ClientConnection, signed: Signed, ask: Ask
) -> None:
    exchange.knobs.on_request(Disconnect())
    main = exchange.world.accounts["main"]
    await connection.send(signed(main))
    with pytest.raises(ConnectionClosedError) as caught:
        await connection.recv()
    assert caught.value.rcvd is None
    async with connect(exchange.ws_api_url) as again:
        assert (await ask(again, signed(main)))["status"] == 200


async def test_an_answer_can_lack_a_member(
    exchange: Simulator, connection: ClientConnection, signed: Signed, ask: Ask
) -> None:
    exchange.knobs.on_request(Maimed("result"))
    answer = await ask(connection, signed(exchange.world.accounts["main"], 4))
    assert list(answer) == ["id", "status", "rateLimits"]


async def test_what_was_served_is_remembered_to_the_letter(
    exchange: Simulator, connection: ClientConnection, signed: Signed
) -> None:
    await connection.send(signed(exchange.world.accounts["main"], "abc"))
    text = await connection.recv()
    (served,) = exchange.traffic.answers_of("main")
    assert (served.request_id, served.method, served.status) == ('"abc"', "v2/account.position", 200)
    assert served.rows
    assert f'"result":[{",".join(served.rows)}]' in str(text)
