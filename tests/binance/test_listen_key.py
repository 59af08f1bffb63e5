import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from recorder.binance.account_requests import AccountRequests
from recorder.binance.allowance import Allowance
from recorder.binance.channel import Channel
from recorder.binance.clock import ExchangeClock
from recorder.binance.listen_key import ListenKey
from recorder.binance.timekeeper import Timekeeper
from recorder.binance.weight import WeightBudget
from recorder.exceptions import AccountRejected, MalformedAnswer, RequestRejected
from tests.binance.accounts import MAIN
from tests.binance.exchange import Exchange, answer, refused
from tests.binance.user_streams import ListenKeys


@pytest.fixture
def keys(exchange: Exchange) -> ListenKeys:
    keys = ListenKeys()
    exchange.script = keys.script
    return keys


@pytest.fixture
async def listen_key(exchange: Exchange) -> AsyncIterator[ListenKey]:
    weight, clock = WeightBudget(1200), ExchangeClock()
    allowance = Allowance(weight, clock, None)
    channel = Channel(exchange.url, weight, clock, allowance)
    timekeeper = Timekeeper(channel, clock, timedelta(seconds=5))
    tasks = [asyncio.create_task(channel.supervisor.run()), asyncio.create_task(timekeeper.run())]
    yield ListenKey(MAIN, AccountRequests(channel, allowance, timekeeper))
    for task in tasks:
        task.cancel()


async def test_a_key_is_asked_for_without_a_signature(keys: ListenKeys, listen_key: ListenKey) -> None:
    assert await listen_key.start() == keys.key
    (request,) = keys.asked
    assert request["method"] == "userDataStream.start"
    assert request["params"] == {"apiKey": MAIN.api_key}


async def test_a_key_that_is_gone_is_asked_for_again(keys: ListenKeys, listen_key: ListenKey) -> None:
    keys.replies = [refused(400, -1125, "This listenKey does not exist."), refused(500, -1000)]
    assert await listen_key.start() == keys.key
    assert len(keys.asked) == 3


async def test_a_bad_api_key_is_not_asked_for_again(keys: ListenKeys, listen_key: ListenKey) -> None:
    keys.replies = [refused(401, -2015)]
    for _ in range(3):
        with pytest.raises(AccountRejected, match="Account main"):
            await listen_key.start()
    assert len(keys.asked) == 1


async def test_a_refusal_does_not_quote_the_api_key(keys: ListenKeys, listen_key: ListenKey) -> None:
    keys.replies = [refused(400, -1102, f"{MAIN.api_key} is wrong")]
    with pytest.raises(RequestRejected) as caught:
        await listen_key.start()
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "result",
    [{}, [], "canary", {"listenKey": ""}, {"listenKey": 5}, {"listenKey": "canary 1"}, {"listenKey": "kanarié"}],
)
async def test_what_is_no_key_is_refused_and_not_quoted(
    keys: ListenKeys, listen_key: ListenKey, result: object
) -> None:
    keys.replies = [lambda request: answer(request, result)]
    with pytest.raises(MalformedAnswer, match=r"userDataStream\.start") as caught:
        await listen_key.start()
    assert "canar" not in f"{caught.value} {caught.value.__cause__}"
