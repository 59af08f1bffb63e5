import json
from asyncio import timeout
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from recorder.simulator.alterations import emptied, with_both_spellings, with_unknown_fields, with_value
from recorder.simulator.exchange import Simulator
from recorder.simulator.knobs import Altered, Ban, Error

Signed = Callable[..., str]
Ask = Callable[..., Awaitable[Any]]
NOON = datetime(2026, 3, 1, 12, 0, 20, tzinfo=UTC)


async def test_answers_carry_the_weight_used_the_handshake_included(
    exchange: Simulator, signed: Signed, ask: Ask
) -> None:
    exchange.clock.true_time = lambda: NOON
    main, hedge = exchange.world.accounts.values()
    async with connect(exchange.ws_api_url) as connection:
        first = await ask(connection, signed(main, timestamp=_ms(NOON)))
        refused = await ask(connection, signed(hedge, timestamp=_ms(NOON), signature="0"))
    (limit,) = first["rateLimits"]
    assert (limit["limit"], limit["count"]) == (2400, 10)
    assert refused["rateLimits"][0]["count"] == 15


async def test_rate_limits_can_be_switched_off_for_a_connection_or_a_request(
    exchange: Simulator, signed: Signed, ask: Ask
) -> None:
    main = exchange.world.accounts["main"]
    async with connect(f"{exchange.ws_api_url}?returnRateLimits=false") as quiet:
        assert "rateLimits" not in await ask(quiet, signed(main))
        assert "rateLimits" not in await ask(quiet, signed(main, signature="0"))
    async with connect(exchange.ws_api_url) as talking:
        text = json.dumps({"id": 1, "method": "session.status", "params": {"returnRateLimits": False}})
        assert "rateLimits" not in await ask(talking, text)


async def test_what_is_no_request_is_answered_without_an_id(connection: ClientConnection, ask: Ask) -> None:
    answer = await ask(connection, "nonsense")
    assert (answer["id"], answer["status"], answer["error"]["code"]) == (None, 400, -1135)


async def test_a_wrong_signature_is_refused_and_the_connection_lives_on(
    exchange: Simulator, connection: ClientConnection, signed: Signed, ask: Ask
) -> None:
    main = exchange.world.accounts["main"]
    refused = await ask(connection, signed(main, signature="0" * 64))
    assert refused["error"] == {"code": -1022, "msg": "Signature for this request is not valid."}
    assert (await ask(connection, signed(main)))["status"] == 200


async def test_too_much_weight_is_429_then_418_for_everybody(exchange: Simulator, signed: Signed, ask: Ask) -> None:
    exchange.clock.true_time = lambda: NOON
    exchange.meter.limit = 15
    exchange.meter.patience = 1
    main, hedge = exchange.world.accounts.values()
    async with connect(exchange.ws_api_url) as connection:
        answers = [await ask(connection, signed(main, timestamp=_ms(NOON))) for _ in range(4)]
        answers.append(await ask(connection, signed(hedge, timestamp=_ms(NOON))))
    assert [answer["status"] for answer in answers] == [200, 200, 429, 418, 418]
    assert {answer["error"]["code"] for answer in answers[2:]} == {-1003}
    assert answers[2]["error"]["data"]["retryAfter"] == _ms(NOON.replace(second=0) + timedelta(minutes=1))
    assert answers[3]["error"]["msg"] == (
        f"Way too many requests; IP(127.0.0.1) banned until {_ms(NOON + timedelta(minutes=2))}. "
        "Please use the websocket for live updates to avoid bans."
    )
    assert exchange.traffic.during_refusal == 2  # the first refusal told everybody


async def test_an_error_is_answered_as_often_as_asked_for_and_only_to_the_account(
    exchange: Simulator, connection: ClientConnection, signed: Signed, ask: Ask
) -> None:
    error = Error(status=503, code=-1008, msg="Request throttled by system-level protection.")
    exchange.knobs.on_request(error, account="main", times=2)
    main, hedge = exchange.world.accounts.values()
    statuses = [(await ask(connection, signed(account)))["status"] for account in (hedge, main, main, main)]
    assert statuses == [200, 503, 503, 200]


async def test_a_revoked_key_is_answered_without_an_id(
    exchange: Simulator, connection: ClientConnection, signed: Signed, ask: Ask
) -> None:
    exchange.knobs.on_request(Error(status=401, code=-2015, msg="Invalid API-key.", anonymous=True))
    answer = await ask(connection, signed(exchange.world.accounts["main"], 9))
    assert (answer["id"], answer["error"]["code"]) == (None, -2015)


@pytest.mark.parametrize("status", [429, 418])
async def test_a_ban_refuses_everything_until_it_is_over_and_counts_who_comes(
    exchange: Simulator, connection: ClientConnection, signed: Signed, ask: Ask, status: int
) -> None:
    exchange.clock.true_time = lambda: NOON
    main, hedge = exchange.world.accounts.values()
    exchange.knobs.on_request(Ban(status, timedelta(seconds=30)), account="main")
    first = await ask(connection, signed(main, timestamp=_ms(NOON)))
    assert first["status"] == status
    assert first["error"]["data"]["retryAfter"] == _ms(NOON + timedelta(seconds=30))
    assert exchange.traffic.during_refusal == 0
    exchange.clock.true_time = lambda: NOON + timedelta(seconds=29)
    for account in (main, hedge):
        assert (await ask(connection, signed(account, timestamp=_ms(NOON))))["status"] == status
    assert exchange.traffic.during_refusal == 2
    exchange.clock.true_time = lambda: NOON + timedelta(seconds=30)
    assert (await ask(connection, signed(main, timestamp=_ms(NOON), recvWindow=60_000)))["status"] == 200
    assert exchange.traffic.during_refusal == 2


async def test_rows_can_be_falsified(
    exchange: Simulator, connection: ClientConnection, signed: Signed, ask: Ask
) -> None:
    main = exchange.world.accounts["main"]
    honest = (await ask(connection, signed(main)))["result"]
    for alteration in (emptied, with_unknown_fields, with_both_spellings, with_value("markPrice", "NaN")):
        exchange.knobs.on_request(Altered(alteration))
        rows = (await ask(connection, signed(main)))["result"]
        assert [list(row) for row in rows] == [list(row) for row in alteration(honest)]
        assert rows != honest
    assert [list(row) for row in (await ask(connection, signed(main)))["result"]] == [list(row) for row in honest]


async def test_the_world_is_in_the_present_whenever_it_is_asked(
    exchange: Simulator, connection: ClientConnection, signed: Signed, ask: Ask
) -> None:
    later = datetime.now(UTC) + timedelta(hours=3)
    exchange.clock.true_time = lambda: later
    main = exchange.world.accounts["main"]
    fills = len(main.truth.fills)
    async with timeout(5):
        assert (await ask(connection, signed(main, timestamp=_ms(later))))["status"] == 200
    assert exchange.world.now == later
    assert len(main.truth.fills) > fills


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
