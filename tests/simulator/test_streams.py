import json
from asyncio import timeout
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from recorder.simulator.exchange import Simulator
from recorder.simulator.knobs import Closed, Cut, Disconnect, Garbage, Late, Repeated, Silence, Slammed, Swapped
from recorder.simulator.scenario import Scenario
from recorder.simulator.trader import Habits
from recorder.simulator.world import World

Receive = Callable[[ClientConnection], Awaitable[Any]]
MARKER = '{"e":"somethingNew","E":%d}'


@pytest.fixture
def world() -> World:
    """Two accounts that do nothing of their own accord while a test lasts."""
    idle = Habits(pause=timedelta(days=365))
    return Scenario(habits=idle).world(seed=11, start=datetime.now(UTC) - timedelta(minutes=1))


@pytest.fixture
def key(exchange: Simulator) -> str:
    """The listenKey of "main"."""
    return exchange.listen_keys.start("main", exchange.clock.now())


@pytest.fixture
async def stream(exchange: Simulator, key: str) -> AsyncIterator[ClientConnection]:
    async with connect(f"{exchange.stream_url}/private/ws/{key}") as client:
        await listening(client)
        yield client


async def listening(client: ClientConnection) -> None:
    """Wait until the exchange serves the stream."""
    await client.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
    async with timeout(5):
        await client.recv()


def trade(exchange: Simulator, account: str = "main") -> None:
    moment = exchange.clock.now()
    side = exchange.world.accounts[account].sides[0]
    price = exchange.world.market.trade_price("LTCUSDT", moment, buy=True)
    at = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    step = exchange.world.market.instruments["LTCUSDT"].step_size
    exchange.world.accounts[account].fill("LTCUSDT", side, step, price, time=at)


async def test_a_fill_is_told_in_the_order_of_the_exchange(
    exchange: Simulator, stream: ClientConnection, receive: Receive
) -> None:
    trade(exchange)
    new, change, traded = [await receive(stream) for _ in range(3)]
    assert (new["e"], new["o"]["x"]) == ("ORDER_TRADE_UPDATE", "NEW")
    assert (change["e"], change["a"]["m"]) == ("ACCOUNT_UPDATE", "ORDER")
    assert (traded["e"], traded["o"]["x"]) == ("ORDER_TRADE_UPDATE", "TRADE")
    assert len({event["T"] for event in (new, change, traded)}) == 1
    assert len({event["E"] for event in (new, change, traded)}) == 1
    assert [json.loads(sent.text) for sent in exchange.traffic.events] == [new, change, traded]


@pytest.mark.parametrize("form", ["/private/ws/{key}", "/private/ws?listenKey={key}"])
async def test_raw_forms_give_plain_events(exchange: Simulator, key: str, receive: Receive, form: str) -> None:
    async with connect(exchange.stream_url + form.format(key=key)) as client:
        await listening(client)
        trade(exchange)
        assert (await receive(client))["e"] == "ORDER_TRADE_UPDATE"


async def test_the_combined_form_wraps_events_and_filters_each_key_on_its_own(
    exchange: Simulator, key: str, receive: Receive
) -> None:
    other = exchange.listen_keys.start("hedge", exchange.clock.now())
    query = f"listenKey={key}&events=ACCOUNT_UPDATE/listenKeyExpired&listenKey={other}&events=ORDER_TRADE_UPDATE"
    async with connect(f"{exchange.stream_url}/private/stream?{query}") as client:
        await listening(client)
        trade(exchange, "main")
        trade(exchange, "hedge")
        events = [await receive(client) for _ in range(3)]
    told = {(event["stream"], event["data"]["e"]) for event in events}
    assert told == {(key, "ACCOUNT_UPDATE"), (other, "ORDER_TRADE_UPDATE")}


async def test_keys_can_be_subscribed_to_afterwards(exchange: Simulator, key: str, receive: Receive) -> None:
    async with connect(f"{exchange.stream_url}/private/stream") as client:
        await client.send(json.dumps({"method": "SUBSCRIBE", "params": [key], "id": 7}))
        assert await receive(client) == {"result": None, "id": 7}
        trade(exchange)
        assert (await receive(client))["stream"] == key
        await client.send("nonsense")
        answers = [await receive(client) for _ in range(3)]
        assert {"error": {"code": 2, "msg": "Invalid request: invalid stream"}} in answers
        await client.send(json.dumps({"method": "UNSUBSCRIBE", "params": [key], "id": 8}))
        assert await receive(client) == {"result": None, "id": 8}


@pytest.mark.parametrize(
    "path",
    [
        "/ws/{key}",
        "/stream?streams={key}",
        "/private/ws/" + "0" * 64,
        "/private/ws?events=ACCOUNT_UPDATE",
        "/private/ws?listenKey={key}&events=MARGIN_CALL",
    ],
)
async def test_old_addresses_wrong_keys_and_other_types_open_and_stay_mute(
    exchange: Simulator, stream: ClientConnection, key: str, receive: Receive, path: str
) -> None:
    async with connect(exchange.stream_url + path.format(key=key)) as mute:
        await (await mute.ping())
        trade(exchange)
        for _ in range(3):
            await receive(stream)  # what the others heard
        await (await mute.ping())
        assert [sent.type for sent in exchange.traffic.events].count("ACCOUNT_UPDATE") == 1
        with pytest.raises(TimeoutError):
            async with timeout(0.05):
                await mute.recv()


async def test_other_paths_are_not_there(exchange: Simulator) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await connect(f"{exchange.stream_url}/private/other")
    assert caught.value.response.status_code == 404


async def test_two_streams_of_one_key_both_hear_everything(
    exchange: Simulator, stream: ClientConnection, key: str, receive: Receive
) -> None:
    async with connect(f"{exchange.stream_url}/private/ws/{key}") as other:
        await listening(other)
        trade(exchange)
        assert [await receive(stream) for _ in range(3)] == [await receive(other) for _ in range(3)]


async def test_the_world_goes_on_by_itself_while_somebody_listens(key: str, exchange: Simulator) -> None:
    standing = exchange.world.now
    async with connect(f"{exchange.stream_url}/private/ws/{key}") as client, timeout(5):
        await listening(client)
        while exchange.world.now - standing < timedelta(milliseconds=100):
            await listening(client)


async def test_an_event_of_ones_own_making_goes_to_the_streams_of_one_account(
    exchange: Simulator, stream: ClientConnection, receive: Receive
) -> None:
    exchange.push("hedge", MARKER % 1)
    exchange.push("main", MARKER % 2)
    assert await receive(stream) == {"e": "somethingNew", "E": 2}


async def test_an_expired_key_is_told_once_and_the_stream_stays_open_and_mute(
    exchange: Simulator, stream: ClientConnection, key: str, receive: Receive
) -> None:
    exchange.expire_listen_key("main")
    expired = await receive(stream)
    assert (expired["e"], expired["listenKey"]) == ("listenKeyExpired", key)
    assert abs(int(expired["E"]) - datetime.now(UTC).timestamp() * 1000) < 5000
    trade(exchange)
    renewed = exchange.listen_keys.start("main", exchange.clock.now())
    assert renewed != key
    async with connect(f"{exchange.stream_url}/private/ws/{renewed}") as client:
        await listening(client)
        exchange.push("main", MARKER % 1)
        assert (await receive(client))["e"] == "somethingNew"
    await listening(stream)
    assert [sent.type for sent in exchange.traffic.events] == ["listenKeyExpired", "somethingNew"]


async def test_the_expiry_can_come_twice(exchange: Simulator, stream: ClientConnection, receive: Receive) -> None:
    exchange.knobs.on_event(Repeated(), event="listenKeyExpired")
    exchange.expire_listen_key("main")
    assert await receive(stream) == await receive(stream)


async def test_a_key_lives_as_long_as_was_set_and_a_stopped_one_ends_in_silence(
    exchange: Simulator, receive: Receive
) -> None:
    exchange.listen_keys.life = timedelta(milliseconds=100)
    key = exchange.listen_keys.start("main", exchange.clock.now())
    exchange.listen_keys.life = timedelta(hours=1)
    stopped = exchange.listen_keys.start("hedge", exchange.clock.now())
    async with connect(f"{exchange.stream_url}/private/stream?listenKey={key}&listenKey={stopped}") as client:
        exchange.listen_keys.stop("hedge")
        assert (await receive(client))["data"]["e"] == "listenKeyExpired"
        await client.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        assert await receive(client) == {"result": [], "id": 1}


async def test_events_can_be_lost_repeated_swapped_and_late(
    exchange: Simulator, stream: ClientConnection, receive: Receive
) -> None:
    for fault in (Silence(), Repeated(), Swapped(), Late(timedelta(milliseconds=80))):
        exchange.knobs.on_event(fault)
    for number in range(1, 7):
        exchange.push("main", MARKER % number)
    assert [(await receive(stream))["E"] for _ in range(6)] == [2, 2, 3, 5, 6, 4]


async def test_a_stream_can_be_silent_for_one_account(
    exchange: Simulator, stream: ClientConnection, receive: Receive
) -> None:
    exchange.knobs.on_event(Silence(), account="main", times=None)
    trade(exchange)
    other = exchange.listen_keys.start("hedge", exchange.clock.now())
    async with connect(f"{exchange.stream_url}/private/ws/{other}") as client:
        await listening(client)
        trade(exchange, "hedge")
        assert (await receive(client))["e"] == "ORDER_TRADE_UPDATE"
    exchange.knobs.clear()
    exchange.push("main", MARKER % 1)
    assert (await receive(stream))["e"] == "somethingNew"


async def test_a_stream_can_be_cut_in_the_middle_of_an_event(exchange: Simulator, stream: ClientConnection) -> None:
    exchange.knobs.on_event(Cut())
    exchange.push("main", MARKER % 1)
    text = MARKER % 1
    assert await stream.recv() == text[: len(text) // 2]
    with pytest.raises(ConnectionClosed):
        await stream.recv()


async def test_a_stream_can_break_instead_of_sending(exchange: Simulator, stream: ClientConnection) -> None:
    exchange.knobs.on_event(Disconnect())
    exchange.push("main", MARKER % 1)
    with pytest.raises(ConnectionClosed):
        await stream.recv()


async def test_rubbish_can_come_first(exchange: Simulator, stream: ClientConnection, receive: Receive) -> None:
    exchange.knobs.on_event(Garbage(b"{{"))
    exchange.push("main", MARKER % 1)
    assert await stream.recv() == "{{"
    assert (await receive(stream))["E"] == 1


async def test_streams_have_handshakes_faults_and_cuts_of_their_own(
    exchange: Simulator, key: str, connection: ClientConnection, stream: ClientConnection
) -> None:
    exchange.knobs.on_handshake(Closed(503), door="stream")
    exchange.knobs.on_handshake(Slammed(), door="stream")
    async with connect(exchange.ws_api_url):
        pass
    url = f"{exchange.stream_url}/private/ws/{key}"
    with pytest.raises(InvalidStatus):
        await connect(url)
    async with connect(url) as slammed:
        with pytest.raises(ConnectionClosed):
            await slammed.recv()
    assert exchange.drop_streams() == 1
    with pytest.raises(ConnectionClosed):
        await stream.recv()
    await (await connection.ping())
    assert exchange.drop_connections() == 1
    assert [handshake.status for handshake in exchange.traffic.streams] == [101, 503, 101]
    assert exchange.traffic.connections == 2


async def test_a_stream_knows_no_weight_and_no_ban(exchange: Simulator, key: str) -> None:
    exchange.meter.refuse(418, exchange.clock.now() + timedelta(minutes=5))
    async with connect(f"{exchange.stream_url}/private/ws/{key}") as client:
        await listening(client)
    assert exchange.meter.count == 0
    assert exchange.traffic.during_refusal == 0
