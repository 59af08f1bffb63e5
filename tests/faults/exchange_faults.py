"""What can happen to the exchange and to the way there."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

from recorder.simulator.knobs import (
    Cut,
    Disconnect,
    Error,
    EventFault,
    Garbage,
    Late,
    Maimed,
    Repeated,
    RequestFault,
    Silence,
    Slammed,
    Swapped,
    Webpage,
)
from tests.faults.fault import Fault
from tests.faults.ground import Ground

FOR_A_WHILE = 4.0  # seconds
CONNECTIONS = 60
"""More than these in five minutes are a storm."""
BURST, BURSTS = 500, 2
_MILLISECOND = timedelta(milliseconds=1)
_BUSY = Error(status=503, code=-1008, msg="Server is currently overloaded with other requests.")
_JUNK = (
    Garbage(b"\xff\xfe\x00 not UTF-8"),
    Garbage(b"\x00\x01\x02", binary=True),
    Garbage(b'{"e":"NOBODY_KNOWS_THIS","E":1}'),
    Garbage(b'{"e":"ACCOUNT_UPDATE"}'),
    Garbage(b"[[[[[[{"),
    Garbage(b'{"e":"X","pad":"' + b"x" * 1_500_000 + b'"}'),
)


async def network_cut(ground: Ground, random: Random) -> float:
    """No way to the exchange for between half a second and some."""
    since = datetime.now(UTC)
    ground.exchange_way.cut()
    ground.rest_way.cut()
    await asyncio.sleep(random.uniform(0.5, FOR_A_WHILE))
    await ground.exchange_way.mend()
    await ground.rest_way.mend()
    return await _seen_again(ground, since)


async def network_swallows(ground: Ground, _: Random) -> float:
    """Nothing comes any more, and nobody says so, until the recorder gives the connections up."""
    before, since = ground.exchange_way.connections, datetime.now(UTC)
    ground.exchange_way.swallow()
    ground.rest_way.swallow()
    async with asyncio.timeout(60):
        while ground.exchange_way.connections < before + 2:  # noqa: ASYNC110 - the proxy tells nobody
            await asyncio.sleep(0.05)
    await asyncio.sleep(35)  # two pings of every stream
    await ground.exchange_way.mend()
    await ground.rest_way.mend()
    return await _seen_again(ground, since)


async def streams_dropped(ground: Ground, _: Random) -> float:
    since = datetime.now(UTC)
    assert ground.exchange.drop_streams() == len(ground.exchange.world.accounts)
    return await _seen_again(ground, since)


async def connections_dropped(ground: Ground, _: Random) -> float:
    """The connections for questions: streams go on, so nothing may be missed."""
    assert ground.exchange.drop_connections() > 0
    return await _well_again(ground)


async def listen_keys_expired(ground: Ground, _: Random) -> float:
    since = datetime.now(UTC)
    for account in ground.exchange.world.accounts:
        ground.exchange.expire_listen_key(account)
    return await _seen_again(ground, since)


async def shutdown_announced(ground: Ground, _: Random) -> float:
    """There must be a new connection before the old one goes, so nothing may be missed."""
    await ground.exchange.announce_shutdown()
    return await _well_again(ground)


async def disorder(ground: Ground, random: Random) -> float:
    """Events come twice, late, after the next one, and with junk between them."""
    faults: tuple[EventFault, ...] = (Repeated(), Late(timedelta(milliseconds=200)), Swapped(), *_JUNK)
    ground.exchange.knobs.random = random
    before = len(ground.exchange.traffic.events)
    for fault in faults:
        ground.exchange.knobs.on_event(fault, times=None, chance=1 / len(faults))
    await asyncio.sleep(FOR_A_WHILE)
    ground.exchange.knobs.clear()
    assert len(ground.exchange.traffic.events) > before + len(faults), "hardly anything happened"
    return await _well_again(ground)


async def bad_answers(ground: Ground, random: Random) -> float:
    """Answers come late, never, in pieces, without their parts, as something else, or as errors."""
    faults: list[RequestFault] = [
        Silence(),
        Late(timedelta(seconds=1.2)),
        Cut(),
        Disconnect(),
        Maimed(without="id"),
        Maimed(without="result"),
        Maimed(without="status"),
        Webpage(),
        _BUSY,
        *_JUNK,
    ]
    random.shuffle(faults)
    since = datetime.now(UTC)
    for fault in faults:
        ground.exchange.knobs.on_request(fault)
    await asyncio.sleep(FOR_A_WHILE)
    ground.exchange.knobs.clear()
    return await _seen_again(ground, since)


async def flapping(ground: Ground, _: Random) -> float:
    """The exchange lets in and closes at once, everybody and always."""
    since, before = datetime.now(UTC), _handshakes(ground)
    ground.exchange.knobs.on_handshake(Slammed(), times=None)
    ground.exchange.knobs.on_handshake(Slammed(), times=None, door="stream")
    ground.exchange.drop_connections()
    ground.exchange.drop_streams()
    await asyncio.sleep(2 * FOR_A_WHILE)
    tried = _handshakes(ground) - before
    assert 3 < tried <= CONNECTIONS, f"{tried} connections"
    ground.exchange.knobs.clear()
    return await _seen_again(ground, since)


async def burst(ground: Ground, _: Random) -> float:
    """A thousand trades of one account in a moment, two events each."""
    account = ground.exchange.world.accounts["main"]
    for _number in range(BURSTS):
        start = ground.exchange.clock.now()
        time = start.replace(microsecond=start.microsecond // 1000 * 1000)
        for number in range(BURST):
            quantity = Decimal("0.001") if number % 2 else Decimal("0.002")
            account.fill("ETHUSDT", "BOTH", quantity, Decimal(3_000), time=time + number // 2 * _MILLISECOND)
        await asyncio.sleep(1)
    return await _well_again(ground)


async def files_stay_few(ground: Ground, random: Random) -> float:
    """Connections come and go; no file is left open behind one."""
    before = _open_files(ground)
    for way in (ground.database, ground.exchange_way, ground.rest_way):
        since = datetime.now(UTC)
        way.cut()
        await asyncio.sleep(random.uniform(0.1, 0.5))
        await way.mend()
        seconds = await _seen_again(ground, since)
    assert _open_files(ground) <= before + 8, f"{before} files were open, and now {_open_files(ground)}"
    return seconds


async def _well_again(ground: Ground) -> float:
    """Return the seconds from now to the next commit."""
    healed = datetime.now(UTC)
    return await ground.seconds_to_recover(await ground.recorded(), healed)


async def _seen_again(ground: Ground, since: datetime) -> float:
    """Return the seconds from now until every account is watched again in both ways."""
    healed = datetime.now(UTC)
    await ground.was_away(since)
    return (datetime.now(UTC) - healed).total_seconds()


def _handshakes(ground: Ground) -> int:
    return len(ground.exchange.traffic.handshakes) + len(ground.exchange.traffic.streams)


def _open_files(ground: Ground) -> int:
    return len(list(Path(f"/proc/{ground.running.pid}/fd").iterdir()))


FAULTS = (
    Fault(name="network cut", rows=(34, 50), provoke=network_cut, times=(1, 10), target=5, afresh=True),
    Fault(name="network swallows", rows=(39,), provoke=network_swallows, times=(0, 2), target=15, afresh=True),
    Fault(name="streams dropped", rows=(34,), provoke=streams_dropped, times=(0, 10), target=5, afresh=True),
    Fault(name="connections dropped", rows=(34,), provoke=connections_dropped, times=(0, 10), target=5, afresh=True),
    Fault(name="listen keys expired", rows=(38,), provoke=listen_keys_expired, times=(0, 10), target=5, afresh=True),
    Fault(name="shutdown announced", rows=(37,), provoke=shutdown_announced, times=(0, 10), target=5),
    Fault(name="events in disorder", rows=(41, 42), provoke=disorder, times=(1, 20), target=5),
    Fault(name="bad answers", rows=(42, 44, 50), provoke=bad_answers, times=(1, 20), target=10, afresh=True),
    Fault(name="flapping exchange", rows=(35,), provoke=flapping, times=(0, 3), target=30, afresh=True),
    Fault(name="burst of events", rows=(40,), provoke=burst, times=(1, 10), target=5),
    Fault(name="files stay few", rows=(29,), provoke=files_stay_few, times=(0, 20), target=10),
)
