import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recorder.binance.reconnection import ConnectionBudget
from recorder.domain.event import AccountUpdate, KeptEvent, ListenKeyExpired, Trade
from recorder.domain.stream import Connected, LossReason, Lost
from tests.binance.exchange import Exchange, answer, refused
from tests.binance.listener import Listener
from tests.binance.test_events import ORDER, TIME
from tests.binance.user_streams import UserStreams

KEY_2 = "canary-listen-key-2"


@pytest.fixture
async def listener(exchange: Exchange) -> AsyncIterator[Listener]:
    async with UserStreams() as streams:
        listener = Listener(exchange, streams)
        yield listener
        await listener.stop()


def account_update(number: int) -> dict[str, Any]:
    return {"T": number, "a": {"m": "DEPOSIT", "B": [{"a": "USDT", "wb": str(number), "cw": "0"}]}}


async def test_events_are_delivered_in_order_with_the_times_of_their_arrival(listener: Listener) -> None:
    stream = listener.listen()
    await listener.connected()
    before = datetime.now(UTC)
    for number in range(1, 4):
        await listener.streams.send("ACCOUNT_UPDATE", **account_update(number))
    await listener.streams.send("ORDER_TRADE_UPDATE", o={**ORDER, "t": 0})
    await listener.streams.send("ORDER_TRADE_UPDATE", o=ORDER)
    await listener.until(lambda: len(listener.events) == 4)
    assert [type(event) for event in listener.events] == [AccountUpdate, AccountUpdate, AccountUpdate, Trade]
    assert [arrival.number for arrival in listener.arrivals] == [1, 2, 3, 4]
    first = listener.arrivals[0]
    assert before <= first.received_at <= datetime.now(UTC)
    assert abs(first.exchange_time - (first.received_at + listener.exchange.clock)) < timedelta(seconds=1)
    status = stream.status()
    assert (status.account, status.connected, status.connections_total) == ("main", True, 1)
    assert (status.events, status.passed, status.malformed) == ({"AccountUpdate": 3, "Trade": 1}, 1, 0)
    assert status.last_event_at is not None
    assert status.key_renewed_at is not None
    assert status.last_error == ""


async def test_coverage_begins_with_the_connection_in_exchange_time(listener: Listener) -> None:
    listener.listen()
    await listener.connected()
    (connected,) = listener.coverage
    assert abs(connected.at - listener.exchange.now()) < timedelta(seconds=1)


async def test_the_key_is_told_before_it_is_used(listener: Listener) -> None:
    listener.listen()
    await listener.connected()
    assert listener.secrets == [listener.keys.key]
    assert f"listenKey={listener.keys.key}&" in listener.streams.targets[0]


async def test_a_lost_connection_is_opened_again(listener: Listener) -> None:
    stream = listener.listen()
    await listener.connected()
    listener.streams.sockets[0].transport.abort()
    await listener.connected(2)
    assert [type(told) for told in listener.coverage] == [Connected, Lost, Connected]
    (lost,) = listener.lost
    assert lost.reason is LossReason.CONNECTION_LOST
    assert listener.coverage[0].at <= lost.at <= listener.coverage[2].at
    assert stream.status().connections_total == 2
    await listener.streams.send("ACCOUNT_UPDATE", **account_update(1))
    await listener.until(lambda: len(listener.events) == 1)


@pytest.mark.parametrize("times", [1, 2])
async def test_an_expired_key_is_renewed_once_however_often_it_is_told(listener: Listener, times: int) -> None:
    listener.listen()
    await listener.connected()
    listener.keys.key = KEY_2
    for _ in range(times):
        await listener.streams.send("listenKeyExpired", E="1760000000123", listenKey="canary-listen-key-1")
    await listener.connected(2)
    await listener.until(lambda: len(listener.events) == times)
    assert len(listener.keys.asked) == 2
    assert listener.secrets == ["canary-listen-key-1", KEY_2]
    assert [KEY_2 in target for target in listener.streams.targets] == [False, True]
    assert listener.events == [ListenKeyExpired(event_time=TIME)] * times
    (lost,) = listener.lost
    assert lost.reason is LossReason.LISTEN_KEY_EXPIRED
    assert abs(lost.at - listener.coverage[0].at) < timedelta(milliseconds=10)  # not earlier, whatever it is told


@pytest.mark.parametrize(("after", "covered"), [(0.05, 0.05), (3600, 0.1)])
async def test_coverage_ends_when_the_key_expired_or_when_that_is_heard(
    listener: Listener, after: float, covered: float
) -> None:
    listener.listen()
    await listener.connected()
    await asyncio.sleep(0.1)
    expired = listener.coverage[0].at + timedelta(seconds=after)
    await listener.streams.send("listenKeyExpired", E=round(expired.timestamp() * 1000))
    await listener.connected(2)
    lasted = listener.lost[0].at - listener.coverage[0].at
    assert timedelta(seconds=covered - 0.001) <= lasted < timedelta(seconds=covered + (0.001 if after < 1 else 1))


async def test_a_key_that_changed_unnoticed_is_found_out_by_prolonging_it(listener: Listener) -> None:
    listener.listen(renew_every=timedelta(seconds=0.1))
    await listener.connected()
    await listener.exchange.until(lambda: len(listener.keys.asked) >= 3)
    assert len(listener.streams.targets) == 1
    listener.keys.key = KEY_2
    await listener.connected(2)
    (lost,) = listener.lost
    assert lost.reason is LossReason.LISTEN_KEY_CHANGED
    assert listener.coverage[0].at < lost.at < listener.coverage[2].at
    assert KEY_2 in listener.streams.targets[1]
    assert {request["method"] for request in listener.keys.asked} == {"userDataStream.start"}


async def test_a_key_that_cannot_be_prolonged_is_tried_again_while_events_come_in(listener: Listener) -> None:
    stream = listener.listen(renew_every=timedelta(seconds=0.1))
    await listener.connected()
    listener.keys.replies = [refused(400, -1102, "no"), refused(400, -1102, "no")]
    await listener.exchange.until(lambda: len(listener.keys.asked) >= 5)
    assert listener.lost == []
    assert stream.status().connected
    assert stream.status().last_error == ""


async def test_an_old_connection_is_closed_after_its_successor_is_open(listener: Listener) -> None:
    stream = listener.listen(lifetime=timedelta(seconds=0.3))
    await listener.connected()
    first, second = listener.streams.sockets[0], await listener.streams.opened(2)
    assert first.close_code is None
    await first.send(json.dumps({"e": "ACCOUNT_UPDATE", "E": 1, **account_update(1)}))
    await second.send(json.dumps({"e": "ACCOUNT_UPDATE", "E": 1, **account_update(1)}))
    await listener.until(lambda: len(listener.events) == 2)
    assert listener.lost == []
    assert stream.status().connected


async def test_the_service_can_declare_a_stream_dead(listener: Listener) -> None:
    stream = listener.listen()
    stream.renew()
    await listener.connected()
    stream.renew()
    stream.renew()
    assert not stream.status().connected
    await listener.connected(2)
    assert [each.reason for each in listener.lost] == [LossReason.SILENT]
    assert len(listener.keys.asked) == 2
    assert len(listener.streams.targets) == 2


async def test_a_dead_stream_covers_until_its_last_event(listener: Listener) -> None:
    stream = listener.listen()
    await listener.connected()
    await listener.streams.send("ACCOUNT_UPDATE", **account_update(1))
    await listener.until(lambda: len(listener.events) == 1)
    stream.renew()
    assert abs(listener.lost[0].at - listener.arrivals[0].exchange_time) < timedelta(milliseconds=50)


async def test_what_is_not_understood_is_kept_without_the_key(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    stream = listener.listen()
    await listener.connected()
    key = listener.keys.key
    await listener.streams.sockets[0].send(f'{{"stream":"{key}",\0'.encode())
    await listener.streams.send("ACCOUNT_UPDATE", a={"m": key, "B": 5})
    await listener.streams.send("UNHEARD_OF", of=key)
    await listener.until(lambda: len(listener.events) == 3)
    assert [event.kind for event in listener.events if isinstance(event, KeptEvent)] == ["", "", "UNHEARD_OF"]
    assert "canary" not in "".join(event.raw for event in listener.events if isinstance(event, KeptEvent))
    assert "\0" not in "".join(event.raw for event in listener.events if isinstance(event, KeptEvent))
    assert stream.status().malformed == 2
    assert sum("only kept" in record.getMessage() for record in caplog.records) == 1
    assert stream.status().connected


async def test_no_key_no_connection(listener: Listener) -> None:
    listener.keys.replies = [refused(400, -1102, "not now"), lambda request: answer(request, {"listenKey": ""})]
    stream = listener.listen()
    await listener.connected()
    assert len(listener.keys.asked) == 3
    assert len(listener.streams.targets) == 1
    assert stream.status().last_error == ""


async def test_a_bad_api_key_is_told_and_not_tried_again_and_again(listener: Listener) -> None:
    listener.keys.replies = [refused(401, -2015)] * 10
    stream = listener.listen()
    await listener.exchange.until(lambda: len(listener.keys.asked) == 1)
    while not stream.status().last_error:  # noqa: ASYNC110 - the answer is on its way
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    assert "API key" in stream.status().last_error
    assert len(listener.keys.asked) == 1
    assert listener.coverage == []


async def test_a_server_that_accepts_and_closes_is_met_with_patience(listener: Listener) -> None:
    opened = list[float]()
    listener.listen(budget=ConnectionBudget(limit=2, period=timedelta(seconds=0.4)))
    for number in range(1, 5):
        await (await listener.streams.opened(number)).close()
        opened.append(time.monotonic())
    assert all(later - earlier > 0.35 for earlier, later in zip(opened, opened[2:], strict=False))
    await listener.until(lambda: len(listener.lost) >= 3)


async def test_refused_handshakes_are_tried_again_and_a_ban_stops_them(listener: Listener) -> None:
    listener.streams.refuse = [(502, {}), (418, {"Retry-After": "600"})]
    stream = listener.listen()
    await listener.streams.until(lambda: len(listener.streams.targets) == 2)
    while listener.allowance.paused_until is None:  # noqa: ASYNC110 - the answer is on its way
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    assert len(listener.streams.targets) == 2
    assert "until" in stream.status().last_error
    assert listener.coverage == []


async def test_no_key_is_said_or_logged(listener: Listener, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    listener.streams.refuse = [(502, {})]
    stream = listener.listen()
    await listener.connected()
    await listener.streams.sockets[0].close(4000, f"bad {listener.keys.key}")
    await listener.connected(2)
    await listener.streams.send("listenKeyExpired", listenKey=listener.keys.key)
    await listener.connected(3)
    own = [record.getMessage() for record in caplog.records if not record.name.startswith("websockets.server")]
    for text in [*own, repr(stream.status()), repr(listener.coverage), repr(listener.events)]:
        assert "canary" not in text
    assert "bad [listen key]" in listener.lost[0].detail
