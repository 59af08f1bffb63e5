"""Accounts whose streams share a connection: what happens to one of them is no matter of the others."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import ServerConnection

from recorder.binance.account_requests import AccountRequests
from recorder.binance.allowance import Allowance
from recorder.binance.channel import Channel
from recorder.binance.clock import ExchangeClock
from recorder.binance.listen_key import ListenKey
from recorder.binance.reconnection import LIFETIME
from recorder.binance.signing import Credentials, hmac_signer
from recorder.binance.stream import UserStream
from recorder.binance.stream_server import StreamServer
from recorder.binance.timekeeper import Timekeeper
from recorder.binance.weight import WeightBudget
from recorder.domain.event import Arrival, Event, KeptEvent, ListenKeyExpired
from recorder.domain.stream import Connected, Coverage, LossReason, Lost
from tests.binance.exchange import Exchange, Message, answer
from tests.binance.user_streams import UserStreams


class Desk:
    """An account that listens."""

    def __init__(self, name: str, clock: ExchangeClock, requests: AccountRequests, server: StreamServer) -> None:
        self.name = name
        self.events: list[Event] = []
        self.coverage: list[Coverage] = []
        self.breaks = False
        credentials = Credentials(account=name, api_key=f"api-{name}", signer=hmac_signer("secret", account=name))
        self.stream = UserStream(
            name,
            ListenKey(credentials, requests),
            server,
            clock,
            deliver=self._deliver,
            changed=self.coverage.append,
            learned_secret=lambda _: None,
        )
        self.task = asyncio.create_task(self.stream.run())

    def _deliver(self, event: Event, _: Arrival) -> None:
        if self.breaks:
            raise ZeroDivisionError
        self.events.append(event)

    @property
    def lost(self) -> list[LossReason]:
        return [told.reason for told in self.coverage if isinstance(told, Lost)]

    @property
    def connected(self) -> int:
        return sum(isinstance(told, Connected) for told in self.coverage)


class Floor:
    """Some accounts, the exchange that gives out their keys, and the server of their streams."""

    def __init__(self, exchange: Exchange, streams: UserStreams) -> None:
        self.streams = streams
        self.suffix: dict[str, str] = {}
        exchange.script = self._script
        self.clock, self.weight = ExchangeClock(), WeightBudget(1200)
        self.allowance = Allowance(self.weight, self.clock, None)
        self.channel = Channel(exchange.url, self.weight, self.clock, self.allowance)
        self.timekeeper = Timekeeper(self.channel, self.clock, timedelta(seconds=5))
        self.requests = AccountRequests(self.channel, self.allowance, self.timekeeper)
        self.tasks = [asyncio.create_task(run) for run in (self.channel.supervisor.run(), self.timekeeper.run())]
        self.desks: dict[str, Desk] = {}

    async def _script(self, socket: ServerConnection, request: Message) -> None:
        account = request["params"]["apiKey"].removeprefix("api-")
        await socket.send(answer(request, {"listenKey": self.key(account)}))

    def key(self, account: str) -> str:
        return f"canary-{account}{self.suffix.get(account, '')}"

    async def listen(self, *names: str, lifetime: timedelta = LIFETIME) -> dict[str, Desk]:
        server = StreamServer(self.streams.url, self.allowance, lifetime=lifetime)
        for name in names:
            self.desks[name] = Desk(name, self.clock, self.requests, server)
        await self.until(lambda: all(desk.connected for desk in self.desks.values()))
        return self.desks

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(8):
            while not condition():  # noqa: ASYNC110 - of several tasks
                await asyncio.sleep(0.01)

    async def send(self, account: str, kind: str, *, connection: int = 1, **fields: Any) -> None:
        event = {"e": kind, "E": 1_760_000_000_123, **fields}
        await (await self.streams.opened(connection)).send(json.dumps({"stream": self.key(account), "data": event}))

    def shared(self) -> list[list[str]]:
        """The accounts of each connection that was opened."""
        asked = [parse_qs(urlsplit(target).query)["listenKey"] for target in self.streams.targets]
        return [sorted(key.removeprefix("canary-") for key in keys) for keys in asked]

    async def stop(self) -> None:
        tasks = [*self.tasks, *(desk.task for desk in self.desks.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def floor(exchange: Exchange) -> AsyncIterator[Floor]:
    async with UserStreams() as streams:
        floor = Floor(exchange, streams)
        yield floor
        await floor.stop()


async def test_each_account_is_told_what_is_its_own(floor: Floor) -> None:
    desks = await floor.listen("a", "b", "c")
    assert floor.shared() == [["a", "b", "c"]]
    for name in ("b", "a", "b"):
        await floor.send(name, "UNHEARD_OF", of=name)
    await floor.until(lambda: len(desks["a"].events) == 1 and len(desks["b"].events) == 2)
    for name, desk in desks.items():
        assert all(f'"of": "{name}"' in event.raw for event in desk.events if isinstance(event, KeptEvent))
    assert desks["c"].events == []


async def test_a_lost_connection_is_lost_for_all_who_share_it_and_opened_once_for_all(floor: Floor) -> None:
    desks = await floor.listen("a", "b", "c")
    (await floor.streams.opened(1)).transport.abort()
    await floor.until(lambda: all(desk.connected == 2 for desk in desks.values()))
    assert [desk.lost for desk in desks.values()] == [[LossReason.CONNECTION_LOST]] * 3
    assert sum(map(len, floor.shared()[1:])) == 3


async def test_an_expired_key_is_the_loss_of_one(floor: Floor) -> None:
    desks = await floor.listen("a", "b", "c")
    old, floor.suffix["b"] = floor.key("b"), "-2"
    event = {"e": "listenKeyExpired", "E": "1760000000123", "listenKey": old}
    await floor.streams.sockets[0].send(json.dumps({"stream": old, "data": event}))
    await floor.until(lambda: desks["b"].connected == 2)
    assert [desk.lost for desk in desks.values()] == [[], [LossReason.LISTEN_KEY_EXPIRED], []]
    assert [type(event) for event in desks["b"].events] == [ListenKeyExpired]
    assert floor.shared() == [["a", "b", "c"], ["b-2"]]
    await floor.send("c", "UNHEARD_OF")
    await floor.until(lambda: len(desks["c"].events) == 1)


async def test_who_was_silent_in_company_listens_alone(floor: Floor) -> None:
    desks = await floor.listen("a", "b")
    desks["a"].stream.renew()
    await floor.until(lambda: desks["a"].connected == 2)
    assert floor.shared() == [["a", "b"], ["a"]]
    assert [desk.lost for desk in desks.values()] == [[LossReason.SILENT], []]


async def test_an_account_that_comes_later_opens_a_connection_and_touches_no_other(floor: Floor) -> None:
    desks = await floor.listen("a", "b")
    await floor.listen("c")
    assert floor.shared() == [["a", "b"], ["c"]]
    assert not any(desk.lost for desk in desks.values())


async def test_an_account_that_ends_leaves_the_connection_to_the_others(floor: Floor) -> None:
    desks = await floor.listen("a", "b")
    desks["a"].task.cancel()
    await asyncio.gather(desks["a"].task, return_exceptions=True)
    await floor.send("a", "UNHEARD_OF")
    await floor.send("b", "UNHEARD_OF")
    await floor.until(lambda: len(desks["b"].events) == 1)
    assert desks["a"].events == []
    assert desks["b"].lost == []


async def test_a_fault_in_the_work_of_one_account_ends_that_work_alone(floor: Floor) -> None:
    desks = await floor.listen("a", "b")
    desks["a"].breaks = True
    await floor.send("a", "UNHEARD_OF")
    await floor.send("b", "UNHEARD_OF")
    await floor.until(lambda: desks["a"].task.done() and len(desks["b"].events) == 1)
    assert isinstance(desks["a"].task.exception(), ExceptionGroup)
    assert desks["b"].lost == []


async def test_an_old_connection_is_replaced_for_all_at_once_without_a_gap(floor: Floor) -> None:
    desks = await floor.listen("a", "b", "c", lifetime=timedelta(seconds=2))
    await floor.streams.opened(2)
    assert floor.shared()[:2] == [["a", "b", "c"]] * 2
    await floor.send("a", "UNHEARD_OF", connection=2)
    await floor.until(lambda: len(desks["a"].events) == 1)
    assert not any(desk.lost for desk in desks.values())


async def test_who_brings_connections_down_is_alone_after_a_few_times(floor: Floor) -> None:
    await floor.listen("a", "b", "c", "d")
    cut = 0
    while ["d"] not in floor.shared():
        cut += 1
        socket = await floor.streams.opened(cut)
        if "d" in floor.shared()[cut - 1]:
            socket.transport.abort()
    assert ["d"] in floor.shared()


async def test_what_names_nobody_is_no_event_of_anybody(floor: Floor) -> None:
    desks = await floor.listen("a", "b")
    update = {"e": "ACCOUNT_UPDATE", "E": 1, "T": 1, "a": {"m": "DEPOSIT", "B": []}}
    await floor.streams.sockets[0].send(json.dumps(update))
    await floor.until(lambda: all(desk.events for desk in desks.values()))
    for desk in desks.values():
        (event,) = desk.events
        assert isinstance(event, KeptEvent)
        assert event.kind == ""
        assert desk.stream.status().malformed == 1


async def test_a_frame_beyond_all_measure_costs_those_who_share_the_connection_and_nobody_else(floor: Floor) -> None:
    await floor.listen("a", "b")
    desks = await floor.listen("c")
    await (await floor.streams.opened(1)).send(b" " * (17 * 2**20))
    await floor.until(lambda: desks["a"].connected == desks["b"].connected == 2)
    assert [desk.lost for desk in desks.values()] == [[LossReason.CONNECTION_LOST]] * 2 + [[]]
