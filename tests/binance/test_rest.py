import hashlib
import hmac
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from recorder.binance.allowance import Allowance
from recorder.binance.clock import ExchangeClock
from recorder.binance.fields import epoch_milliseconds
from recorder.binance.rest import LOOK_BACK, RestClient
from recorder.binance.rest_channel import RestChannel
from recorder.binance.weight import WeightBudget
from recorder.exceptions import AccountRejected, MalformedAnswer, RateLimited, RequestRejected
from tests.binance.accounts import HEDGE, MAIN, SECRET
from tests.binance.test_ledger import INCOME, TRADE
from tests.binance.web_server import Answer, Asked, WebServer

DAY = timedelta(days=1)
CLOCK_OFF = timedelta(minutes=7)
TIME, LEDGER, TRADES, CONFIG = "/fapi/v1/time", "/fapi/v1/income", "/fapi/v1/userTrades", "/fapi/v1/accountConfig"


class Exchange:
    """Keeps both ledgers as the real one does: oldest first, in pages, and nothing for a wrong signature or time.

    Attributes:
        interfering: Answers given in place of its own, one after the other.
        knows_pages: Whether ``page`` means anything; and what the first one is called.
    """

    def __init__(self) -> None:
        self.clock = CLOCK_OFF
        self.income: list[dict[str, Any]] = []
        self.trades: list[dict[str, Any]] = []
        self.interfering: list[Answer] = []
        self.knows_pages = True
        self.first_page = 1

    def now(self) -> datetime:
        return datetime.now(UTC) + self.clock

    def answer(self, asked: Asked) -> Answer:
        if asked.path == TIME:
            return Answer({"serverTime": epoch_milliseconds(self.now())})
        if self.interfering:
            return self.interfering.pop(0)
        if code := self._refusal(asked):
            return Answer({"code": code, "msg": ""}, 400)
        if asked.path == CONFIG:
            return Answer({"feeTier": 0, "canTrade": True, "canWithdraw": False, "dualSidePosition": True})
        return Answer(self._page(asked.path, asked.params))

    def _refusal(self, asked: Asked) -> int:
        params = asked.params
        unsigned, _, signature = asked.query.partition("&signature=")
        width = timedelta(milliseconds=int(params.get("endTime", 0)) - int(params.get("startTime", 0)))
        if hmac.new(SECRET.encode(), unsigned.encode(), hashlib.sha256).hexdigest() != signature:
            return -1022
        if not -1000 < epoch_milliseconds(self.now()) - int(params["timestamp"]) <= 5000:
            return -1021
        if "fromId" in params and "startTime" in params:
            return -1128
        return -1127 if asked.path == TRADES and width > 7 * DAY else 0

    def _page(self, path: str, params: dict[str, str]) -> list[dict[str, Any]]:
        rows = self.income if path == LEDGER else [row for row in self.trades if row["symbol"] == params["symbol"]]
        if "fromId" in params:
            rows = [row for row in rows if row["id"] >= int(params["fromId"])]
        else:
            rows = [row for row in rows if int(params["startTime"]) <= row["time"] <= int(params["endTime"])]
        limit = int(params["limit"])
        skip = limit * (int(params.get("page", self.first_page)) - self.first_page) if self.knows_pages else 0
        return rows[skip : skip + limit]


class World:
    def __init__(self, server: WebServer) -> None:
        self.server = server
        self.exchange = Exchange()
        server.script = self.exchange.answer
        self.weight = WeightBudget(12_000)
        self.clock = ExchangeClock()
        self.channel = RestChannel(server.url, Allowance(self.weight, self.clock, None), self.clock)
        self.rest = RestClient(self.channel, self.clock)
        self.end = self.exchange.now().replace(microsecond=0)
        self.start = self.end - timedelta(days=10)

    def times(self, path: str) -> list[tuple[int, int]]:
        asked = [asked.params for asked in self.server.asked_for(path) if "startTime" in asked.params]
        return [(int(params["startTime"]), int(params["endTime"])) for params in asked]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with WebServer() as server:
        world = World(server)
        yield world
        await world.channel.aclose()


def lines(*times: datetime) -> list[dict[str, Any]]:
    return [{**INCOME, "time": epoch_milliseconds(time), "tranId": place} for place, time in enumerate(times)]


def trades(*times: datetime, symbol: str = "SOLUSDT") -> list[dict[str, Any]]:
    return [
        {**TRADE, "symbol": symbol, "time": epoch_milliseconds(time), "id": place}
        for place, time in enumerate(times, start=1)
    ]


async def test_the_ledger_is_asked_for_week_by_week(world: World) -> None:
    world.exchange.income = lines(world.start, world.start + 8 * DAY, world.end)
    pages = [page async for page in world.rest.income(MAIN, world.start, world.end)]
    assert [[line.tran_id for line in page.rows] for page in pages] == [[0], [1]]
    assert [page.until for page in pages] == [world.start + 7 * DAY, world.end]
    first, second = world.times(LEDGER)
    assert first == (epoch_milliseconds(world.start), epoch_milliseconds(world.start + 7 * DAY) - 1)
    assert second == (first[1] + 1, epoch_milliseconds(world.end) - 1)
    asked = world.server.asked_for(LEDGER)[0]
    assert asked.headers["x-mbx-apikey"] == MAIN.api_key
    assert (asked.params["limit"], asked.params["recvWindow"]) == ("1000", "5000")


async def test_what_was_not_kept_so_long_is_not_asked_for(world: World) -> None:
    pages = [page async for page in world.rest.income(MAIN, world.end - 300 * DAY, world.end)]
    assert len(pages) == 13
    assert world.exchange.now() - LOOK_BACK < datetime.fromtimestamp(world.times(LEDGER)[0][0] / 1000, UTC)
    assert world.weight.used(world.clock.now()) <= 13 * 30 + 3 * 1


@pytest.mark.parametrize("first_page", [0, 1])
async def test_many_lines_of_one_instant_are_all_told_once(world: World, first_page: int) -> None:
    world.exchange.first_page = first_page
    tie, later = world.start + DAY, world.start + DAY + timedelta(milliseconds=1)
    world.exchange.income = lines(*[world.start] * 400, *[tie] * 2300, *[later] * 5)
    got = [line.tran_id async for page in world.rest.income(MAIN, world.start, world.end) for line in page.rows]
    assert got == list(range(2705))


async def test_an_exchange_that_does_not_know_pages_is_not_asked_for_ever(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.exchange.knows_pages = False
    world.exchange.income = lines(*[world.start] * 1500, world.end - DAY)
    got = [line.tran_id async for page in world.rest.income(MAIN, world.start, world.end) for line in page.rows]
    assert got == [*range(1000), 1500]
    assert "no more than 1000" in caplog.text


async def test_the_trades_of_a_symbol_are_paged_by_time(world: World) -> None:
    every = [world.start + place * timedelta(minutes=5) for place in range(2500)]
    world.exchange.trades = [*trades(*every), *trades(world.start, symbol="币安人生USDT")]
    pages = [page async for page in world.rest.fills(MAIN, "SOLUSDT", world.start, world.end)]
    assert [fill.trade_id for page in pages for fill in page.rows] == list(range(1, 2501))
    assert all(end - start < 7 * 86_400_000 for start, end in world.times(TRADES))
    assert [page.until for page in pages] == sorted(page.until for page in pages)
    (other,) = [page.rows async for page in world.rest.fills(MAIN, "币安人生USDT", world.start, world.start + DAY)]
    assert [fill.symbol for fill in other] == ["币安人生USDT"]


async def test_many_trades_of_one_instant_are_all_told_once(world: World) -> None:
    tie = world.start + DAY
    world.exchange.trades = trades(*[tie] * 2500, tie + DAY, world.end)
    got = [
        fill.trade_id async for page in world.rest.fills(MAIN, "SOLUSDT", world.start, world.end) for fill in page.rows
    ]
    assert got == list(range(1, 2502))


async def test_an_account_tells_how_it_is_set_up(world: World) -> None:
    config = await world.rest.account_config(MAIN)
    assert (config.can_trade, config.can_withdraw, config.dual_side_position) == (True, False, True)
    assert config.multi_assets_margin is None


async def test_the_time_is_told(world: World) -> None:
    assert abs(await world.rest.server_time() - world.exchange.now()) < timedelta(seconds=1)


async def test_a_refused_timestamp_measures_the_clock_and_signs_again(world: World) -> None:
    await world.rest.account_config(MAIN)
    world.exchange.clock += timedelta(hours=1)
    assert (await world.rest.account_config(MAIN)).can_trade
    assert abs((world.clock.offset or timedelta()) - world.exchange.clock) < timedelta(seconds=1)
    assert len(world.server.asked_for(TIME)) == 6


async def test_faults_are_tried_again(world: World) -> None:
    world.exchange.income = lines(world.start, world.start + 8 * DAY)
    world.exchange.interfering = [Answer("<html>", 502), Answer(status=0)]
    pages = [page async for page in world.rest.income(MAIN, world.start, world.end)]
    assert [len(page.rows) for page in pages] == [1, 1]


@pytest.mark.parametrize("body", ["<html>", {"code": 200, "msg": "success"}, [{**INCOME, "income": "NaN"}]])
async def test_a_success_that_is_none_is_refused(world: World, body: object) -> None:
    world.exchange.interfering = [Answer(body)]
    with pytest.raises(MalformedAnswer):
        await anext(aiter(world.rest.income(MAIN, world.start, world.end)))


async def test_a_bad_key_is_asked_with_no_more_and_others_are(world: World) -> None:
    refused = Answer({"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}, 401)
    world.exchange.interfering = [refused]
    for _ in range(3):
        with pytest.raises(AccountRejected, match="Account main"):
            await world.rest.account_config(MAIN)
    assert len(world.server.asked_for(CONFIG)) == 1
    assert await world.rest.account_config(HEDGE)


async def test_a_ban_ends_the_asking(world: World) -> None:
    world.exchange.interfering = [Answer({"code": -1003, "msg": "banned"}, 418)]
    with pytest.raises(RateLimited):
        await world.rest.account_config(MAIN)
    with pytest.raises(RateLimited):
        await world.rest.server_time()
    assert len(world.server.asked_for(CONFIG)) == 1


async def test_a_symbol_that_is_gone_is_a_wrong_request(world: World) -> None:
    world.exchange.interfering = [Answer({"code": -1121, "msg": "Invalid symbol."}, 400)]
    with pytest.raises(RequestRejected, match="Invalid symbol"):
        await anext(aiter(world.rest.fills(MAIN, "GONEUSDT", world.start, world.end)))


async def test_no_secret_is_said_or_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await world.rest.account_config(MAIN)
    world.exchange.interfering = [Answer({"code": -2014, "msg": f"API-key {MAIN.api_key} format invalid."}, 401)]
    with pytest.raises(AccountRejected) as caught:
        await world.rest.account_config(MAIN)
    signatures = [asked.params["signature"] for asked in world.server.asked_for(CONFIG)]
    said = f"{caplog.text} {caught.value!r} {caught.value.why} {caught.value.fix}"
    assert "canary" not in said
    assert len(signatures) == 2
    assert not any(signature in said for signature in signatures)


async def test_income_is_exact(world: World) -> None:
    digits = "-0.123456789012345678901234567890"
    world.exchange.income = [{**line, "income": digits} for line in lines(world.start)]
    (page,) = [page async for page in world.rest.income(MAIN, world.start, world.start + DAY)]
    assert page.rows[0].income == Decimal(digits)
    assert page.rows[0].time == world.start
