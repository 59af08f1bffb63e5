import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from recorder.simulator.exchange import Simulator
from recorder.simulator.scenario import Scenario

Signed = Callable[..., str]
Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
async def exchange() -> AsyncIterator[Simulator]:
    """Four accounts, one with an Ed25519 key and one with an RSA key."""
    world = Scenario(accounts=4).world(seed=11, start=datetime.now(UTC) - timedelta(minutes=1))
    async with Simulator(world) as simulator:
        yield simulator


def request(method: str, **params: Any) -> str:
    return json.dumps({"id": "q", "method": method, "params": params})


@pytest.mark.parametrize("name", ["main", "hedge", "ed25519", "rsa"])
async def test_positions_are_those_of_whoever_signed(
    exchange: Simulator, connection: ClientConnection, signed: Signed, ask: Ask, name: str
) -> None:
    account = exchange.world.accounts[name]
    answer = await ask(connection, signed(account, "p-1"))
    assert (answer["id"], answer["status"]) == ("p-1", 200)
    held = {(row["symbol"], row["positionSide"]) for row in answer["result"]}
    assert held == {(position.symbol, position.position_side) for position, _ in account.rows()}


async def test_positions_can_be_asked_for_one_symbol(
    exchange: Simulator, connection: ClientConnection, signed: Signed, ask: Ask
) -> None:
    main = exchange.world.accounts["main"]
    symbols = {position.symbol for position, _ in main.rows()}
    flat = next(symbol for symbol in exchange.world.market.instruments if symbol not in symbols)
    held = next(iter(symbols))
    answer = await ask(connection, signed(main, symbol=held))
    assert [row["symbol"] for row in answer["result"]] == [held]
    assert (await ask(connection, signed(main, symbol=flat)))["result"] == []
    strange = await ask(connection, signed(main, symbol="NOSUCHUSDT"))
    assert (strange["status"], strange["error"]["code"]) == (400, -1121)


async def test_balance_and_status_are_answered(
    exchange: Simulator, connection: ClientConnection, signed: Signed, ask: Ask
) -> None:
    main = exchange.world.accounts["main"]
    balance = await ask(connection, signed(main, method="v2/account.balance"))
    assert [row["asset"] for row in balance["result"]] == ["USDT", "USDC", "BNB"]
    status = await ask(connection, signed(main, method="v2/account.status"))
    assert status["result"]["totalWalletBalance"] == balance["result"][0]["balance"]


async def test_only_ed25519_keys_log_on_and_need_no_signature_afterwards(
    exchange: Simulator, connection: ClientConnection, signed: Signed, ask: Ask
) -> None:
    for name in ("main", "rsa"):
        refused = await ask(connection, signed(exchange.world.accounts[name], method="session.logon"))
        assert refused["status"] == 400
    account = exchange.world.accounts["ed25519"]
    logon = await ask(connection, signed(account, method="session.logon"))
    assert logon["result"]["apiKey"] == account.key.api_key
    now = int(datetime.now(UTC).timestamp() * 1000)
    answer = await ask(connection, request("v2/account.position", timestamp=now))
    assert len(answer["result"]) == len(list(account.rows()))
    assert (await ask(connection, request("session.logout")))["result"]["apiKey"] is None
    refused = await ask(connection, request("v2/account.position", timestamp=now))
    assert refused["error"]["code"] == -1102


async def test_a_logon_carries_its_key_even_when_somebody_is_logged_on(
    exchange: Simulator, connection: ClientConnection, signed: Signed, ask: Ask
) -> None:
    await ask(connection, signed(exchange.world.accounts["ed25519"], method="session.logon"))
    now = int(datetime.now(UTC).timestamp() * 1000)
    assert (await ask(connection, request("session.logon", timestamp=now)))["error"]["code"] == -1102


async def test_the_session_tells_the_servers_time(connection: ClientConnection, ask: Ask) -> None:
    before = datetime.now(UTC).timestamp() * 1000
    answer = await ask(connection, request("session.status"))
    assert before - 1 <= answer["result"]["serverTime"] <= datetime.now(UTC).timestamp() * 1000


async def test_a_listen_key_needs_a_key_but_no_signature(
    exchange: Simulator, connection: ClientConnection, ask: Ask
) -> None:
    api_key = exchange.world.accounts["main"].key.api_key
    started = await ask(connection, request("userDataStream.start", apiKey=api_key))
    assert (await ask(connection, request("userDataStream.ping", apiKey=api_key)))["result"] == started["result"]
    assert (await ask(connection, request("userDataStream.stop", apiKey=api_key)))["result"] == {}
    gone = await ask(connection, request("userDataStream.ping", apiKey=api_key))
    assert gone["error"]["code"] == -1125
    strange = await ask(connection, request("userDataStream.start", apiKey="x" * 64))
    assert (strange["status"], strange["error"]["code"]) == (401, -2015)


async def test_every_method_has_its_weight(
    exchange: Simulator, connection: ClientConnection, signed: Signed, ask: Ask
) -> None:
    main = exchange.world.accounts["main"]
    frozen = exchange.clock.now()
    exchange.clock.true_time = lambda: frozen
    exchange.meter.count = 0
    counts = []
    for text in (
        signed(main),
        signed(main, method="v2/account.balance"),
        signed(main, method="v2/account.status"),
        request("session.status"),
        request("userDataStream.start", apiKey=main.key.api_key),
        request("v9/no.such"),
    ):
        answer = await ask(connection, text)
        counts.append(answer["rateLimits"][0]["count"])
    assert counts == [5, 10, 15, 17, 18, 19]


async def test_an_unknown_method_is_an_error_of_the_request(connection: ClientConnection, ask: Ask) -> None:
    answer = await ask(connection, request("v9/no.such"))
    assert (answer["id"], answer["status"], answer["error"]["code"]) == ("q", 400, -1100)
    assert "v9/no.such" in answer["error"]["msg"]
