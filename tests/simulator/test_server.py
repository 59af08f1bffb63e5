import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from recorder.exceptions import ConfigurationError
from recorder.simulator.account import Account
from recorder.simulator.alterations import emptied
from recorder.simulator.exchange import Simulator
from recorder.simulator.keys import Ed25519Key, HmacKey
from recorder.simulator.knobs import Altered, Ban, Cut, Disconnect, Error, Garbage, Late, Silence, Webpage
from recorder.simulator.scenario import Scenario
from recorder.simulator.world import World

INCOME, TRADES = "/fapi/v1/income", "/fapi/v1/userTrades"
Query = Callable[..., str]


@pytest.fixture
def world() -> World:
    """Three accounts, the third with an Ed25519 key."""
    return Scenario(accounts=3).world(seed=11, start=datetime.now(UTC) - timedelta(hours=2))


@pytest.fixture
async def http(exchange: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=exchange.rest_url, timeout=5) as client:
        yield client


@pytest.fixture
def query() -> Query:
    """Make a signed query as the documentation says: percent-encoded first, the signature last."""

    def text(account: Account, *, sign: Callable[[str], str] = lambda payload: payload, **params: Any) -> str:
        params.setdefault("timestamp", int(datetime.now(UTC).timestamp() * 1000))
        encoded = urlencode(params)
        payload = sign(encoded).encode()
        if isinstance(account.key, HmacKey):
            signature = hmac.new(account.key.secret.encode(), payload, hashlib.sha256).hexdigest()
        else:
            assert isinstance(account.key, Ed25519Key)
            signature = quote(b64encode(account.key.private_key.sign(payload)).decode(), safe="")
        return f"{encoded}&signature={signature}"

    return text


@pytest.fixture
def get(http: httpx.AsyncClient, query: Query) -> Callable[..., Any]:
    """Send a signed request."""

    async def response(account: Account, path: str, **params: Any) -> httpx.Response:
        headers = {"X-MBX-APIKEY": account.key.api_key}
        return await http.get(f"{path}?{query(account, **params)}", headers=headers)

    return response


async def test_the_clock_needs_no_key(http: httpx.AsyncClient) -> None:
    before = datetime.now(UTC).timestamp() * 1000
    answer = await http.get("/fapi/v1/time")
    assert before - 1 <= answer.json()["serverTime"] <= datetime.now(UTC).timestamp() * 1000


@pytest.mark.parametrize("name", ["main", "ed25519"])
async def test_income_is_that_of_whoever_signed(exchange: Simulator, get: Any, name: str) -> None:
    account = exchange.world.accounts[name]
    week_ago = datetime.now(UTC) - timedelta(days=7)
    expected = [line.tran_id for line in account.truth.incomes if line.time >= week_ago]
    answer = await get(account, INCOME, limit=1000)
    assert [row["tranId"] for row in answer.json()] == expected
    assert all(isinstance(row["tranId"], int) for row in answer.json())


async def test_a_name_that_is_not_ascii_is_signed_as_it_is_sent(exchange: Simulator, get: Any) -> None:
    main = exchange.world.accounts["main"]
    assert main.wallets
    answer = await get(main, TRADES, symbol="币安人生USDT")
    assert answer.status_code == 200
    raw = await get(main, TRADES, symbol="币安人生USDT", sign=lambda text: text.replace(quote("币安人生"), "币安人生"))
    assert (raw.status_code, raw.json()["code"]) == (400, -1022)


async def test_trades_balances_and_positions_are_answered(exchange: Simulator, get: Any) -> None:
    main = exchange.world.accounts["main"]
    symbol = main.truth.fills[-1].symbol
    (*_, last) = (await get(main, TRADES, symbol=symbol)).json()
    assert last["id"] == main.truth.fills[-1].trade_id
    balance = (await get(main, "/fapi/v3/balance")).json()
    assert [row["asset"] for row in balance] == ["USDT", "USDC", "BNB"]
    rows = (await get(main, "/fapi/v3/positionRisk")).json()
    assert {(row["symbol"], Decimal(row["positionAmt"])) for row in rows} == {
        (position.symbol, position.amount) for position, _ in main.rows()
    }


async def test_a_listen_key_needs_the_header_only(exchange: Simulator, http: httpx.AsyncClient) -> None:
    headers = {"X-MBX-APIKEY": exchange.world.accounts["main"].key.api_key}
    started = (await http.post("/fapi/v1/listenKey", headers=headers)).json()
    assert started == {"listenKey": exchange.listen_keys.start("main", exchange.clock.now())}
    assert (await http.put("/fapi/v1/listenKey", headers=headers)).json() == started
    assert (await http.delete("/fapi/v1/listenKey", headers=headers)).json() == {}
    gone = await http.put("/fapi/v1/listenKey", headers=headers)
    assert (gone.status_code, gone.json()["code"]) == (400, -1125)
    assert (await http.post("/fapi/v1/listenKey")).json()["code"] == -2014


async def test_refusals_are_json_with_a_status(exchange: Simulator, http: httpx.AsyncClient, get: Any) -> None:
    main = exchange.world.accounts["main"]
    late = await get(main, INCOME, timestamp=1)
    assert (late.status_code, late.json()["code"]) == (400, -1021)
    nobody = await http.get(f"{INCOME}?timestamp=1&signature=0", headers={"X-MBX-APIKEY": "x" * 64})
    assert (nobody.status_code, nobody.json()["code"]) == (401, -2015)
    nowhere = await http.get("/fapi/v9/none")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, -5000)


async def test_weight_is_shared_and_beyond_the_limit_everybody_waits(
    exchange: Simulator, http: httpx.AsyncClient, get: Any
) -> None:
    frozen = datetime.now(UTC)
    exchange.clock.true_time = lambda: frozen
    main = exchange.world.accounts["main"]
    answer = await get(main, INCOME, timestamp=int(frozen.timestamp() * 1000))
    assert answer.headers["X-MBX-USED-WEIGHT-1M"] == "30"
    exchange.meter.limit = 31
    assert (await http.get("/fapi/v1/time")).headers["X-MBX-USED-WEIGHT-1M"] == "31"
    refused = await http.get("/fapi/v1/time")
    assert (refused.status_code, refused.json()["code"]) == (429, -1003)
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    exchange.meter.refuse(418, frozen + timedelta(minutes=2))
    banned = await http.get("/fapi/v1/time")
    assert (banned.status_code, banned.headers["Retry-After"]) == (418, "120")
    assert exchange.traffic.during_refusal == 1
    assert [call.status for call in exchange.traffic.rest] == [200, 200, 429, 418]


async def test_every_request_has_its_weight(exchange: Simulator, get: Any) -> None:
    frozen = datetime.now(UTC)
    exchange.clock.true_time = lambda: frozen
    main = exchange.world.accounts["main"]
    counts = []
    for path in (INCOME, TRADES, "/fapi/v3/balance", "/fapi/v3/positionRisk", "/fapi/v1/time"):
        answer = await get(main, path, symbol="LTCUSDT", timestamp=int(frozen.timestamp() * 1000))
        counts.append(int(answer.headers["X-MBX-USED-WEIGHT-1M"]))
    assert counts == [30, 35, 40, 45, 46]


async def test_errors_bans_and_web_pages_come_on_request(exchange: Simulator, get: Any) -> None:
    main = exchange.world.accounts["main"]
    knobs = exchange.knobs
    knobs.on_request(Error(status=503, code=-1008, msg="Busy"), method=f"GET {INCOME}")
    knobs.on_request(Webpage(), method=f"GET {INCOME}")
    knobs.on_request(Garbage(b"{{"), method=f"GET {INCOME}")
    knobs.on_request(Altered(emptied), method=f"GET {INCOME}")
    knobs.on_request(Ban(418, timedelta(minutes=3)), method=f"GET {INCOME}", account="main")
    busy = await get(main, INCOME)
    assert (busy.status_code, busy.json()) == (503, {"code": -1008, "msg": "Busy"})
    page = await get(main, INCOME)
    assert (page.status_code, page.headers["Content-Type"].split(";")[0]) == (502, "text/html")
    assert (await get(main, INCOME)).text == "{{"
    assert (await get(main, INCOME)).json() == []
    assert (await get(main, INCOME)).status_code == 418
    assert exchange.meter.refusal(exchange.clock.now()) is not None


async def test_answers_can_be_slow_missing_halved_or_cut_off(exchange: Simulator, get: Any) -> None:
    main = exchange.world.accounts["main"]
    for fault in (Late(timedelta(milliseconds=100)), Disconnect(), Cut()):
        exchange.knobs.on_request(fault, method=f"GET {INCOME}")
    asked = datetime.now(UTC)
    assert (await get(main, INCOME)).status_code == 200
    assert datetime.now(UTC) - asked >= timedelta(milliseconds=100)
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            await get(main, INCOME)
    assert (await get(main, INCOME)).status_code == 200


async def test_a_request_can_stay_unanswered_and_does_not_hold_up_the_end(
    exchange: Simulator, http: httpx.AsyncClient
) -> None:
    exchange.knobs.on_request(Silence(), method="GET /fapi/v1/time")
    with pytest.raises(httpx.ReadTimeout):
        await http.get("/fapi/v1/time", timeout=0.1)


async def test_the_port_is_the_next_one_and_may_be_taken(exchange: Simulator, world: World) -> None:
    port = int(exchange.rest_url.rpartition(":")[2])
    with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port} for REST"):
        async with Simulator(world, port=port - 1):
            pass


async def test_a_page_is_whole_json(exchange: Simulator, get: Any) -> None:
    main = exchange.world.accounts["main"]
    answer = await get(main, INCOME, limit=1000)
    whole = json.loads(exchange.world.answer_income(main))
    assert answer.json() == [row for row in whole if row in answer.json()]
