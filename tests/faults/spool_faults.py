"""What can happen to the spool, to its disk, and to a database that trusts in it."""

import asyncio
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

from recorder.simulator.traffic import SentEvent
from tests.cli.command import until
from tests.faults.disk import Disk
from tests.faults.fault import Fault
from tests.faults.ground import Ground

MEANWHILE = 2.5  # seconds
GRACE = 10.0  # seconds in which a stop is over
NO_MORE_POINTS = 4.0  # seconds: a recorder at work that was not killed by then passes fewer points than wanted
BIG = 35_000  # trades, of which three events tell each
BURST = 500  # trades
_MILLISECOND = timedelta(milliseconds=1)
_IN_USE = 75


async def killed_at_a_point(ground: Ground, _: Random) -> float:
    """Kill the recorder at one point after the other where it changes what is on disk; with PostgreSQL and without."""
    disk = _disk(ground)
    stopped = datetime.now(UTC)
    assert await ground.stop() == 0
    if ground.turn % 2:
        ground.database.cut()
    disk.kill_at(1 + ground.turn // 2)
    await ground.start()
    killed_at = await _died(ground)
    disk.kill_at(0)
    await ground.database.mend()
    return await _started_again(ground, min(stopped, killed_at))


async def killed_without_a_database(ground: Ground, random: Random) -> float:
    """Kill it while all that it recorded is in the spool alone, let it try in vain, and bring PostgreSQL back."""
    ground.database.cut()
    await asyncio.sleep(MEANWHILE)
    killed_at = await ground.kill()
    await ground.start()
    await asyncio.sleep(random.uniform(0.5, MEANWHILE))
    before = await ground.recorded()
    await ground.database.mend()
    seconds = await ground.seconds_to_recover(before, datetime.now(UTC))
    await ground.was_away(killed_at)
    return seconds


async def stopped_with_a_backlog(ground: Ground, _: Random) -> float:
    """Stop it, as an operator does, while 100,000 records wait; it may not wait for PostgreSQL.

    The exchange is busy meanwhile: it may answer too late, but every event must be there.
    """
    since = datetime.now(UTC)
    ground.database.cut()
    for _burst in range(BIG // BURST):
        await trade_much(ground, BURST)
        await asyncio.sleep(0.25)
    await _told_of_everything(ground)
    await asyncio.sleep(2)
    async with asyncio.timeout(GRACE):
        assert await ground.stop() == 0
    await ground.database.mend()
    return await _started_again(ground, since)


async def disk_full(ground: Ground, _: Random) -> float:
    """There is no space for the spool: what is observed goes to PostgreSQL straight."""
    disk = _disk(ground)
    met = disk.met
    with disk.full():
        await asyncio.sleep(MEANWHILE)
        assert disk.met > met, "nobody wanted to write"
    return await _well_again(ground)


async def disk_full_without_a_database(ground: Ground, _: Random) -> float:
    """There is no space for the spool, and no PostgreSQL either: memory is all there is."""
    disk = _disk(ground)
    met = disk.met
    ground.database.cut()
    with disk.full():
        await asyncio.sleep(MEANWHILE)
        assert disk.met > met, "nobody wanted to write"
    await ground.database.mend()
    return await _well_again(ground)


async def disk_broken(ground: Ground, _: Random) -> float:
    """The disk says that it could not keep what was written."""
    disk = _disk(ground)
    met = disk.met
    with disk.broken():
        await asyncio.sleep(MEANWHILE)
        assert disk.met > met, "nobody wanted to write"
    return await _well_again(ground)


async def disk_broken_and_killed(ground: Ground, _: Random) -> float:
    """The disk fails for a moment while PostgreSQL is away, and then the recorder dies."""
    disk = _disk(ground)
    ground.database.cut()
    await asyncio.sleep(1)
    met = disk.met
    with disk.broken():
        await asyncio.sleep(1)
        assert disk.met > met, "nobody wanted to write"
    await asyncio.sleep(1.5)
    killed_at = await ground.kill()
    await ground.database.mend()
    return await _started_again(ground, killed_at)


async def disk_slow(ground: Ground, _: Random) -> float:
    """Every fsync takes 300 ms: sockets must be read all the same."""
    disk, connections = _disk(ground), ground.exchange_way.connections
    met = disk.met
    with disk.slow(300):
        await asyncio.sleep(2 * MEANWHILE)
        assert disk.met > met, "nobody wanted to write"
    assert ground.exchange_way.connections == connections, "a connection was lost"
    return await _well_again(ground)


async def bound_reached(ground: Ground, _: Random) -> float:
    """PostgreSQL is away until the spool may hold no more; what it lets go must be in a gap."""
    since = datetime.now(UTC)
    ground.database.cut()
    said = ground.running.stderr.count("is let go")
    async with asyncio.timeout(60):
        while ground.running.stderr.count("is let go") == said:
            await trade_much(ground, BURST)
            await asyncio.sleep(0.2)
    await asyncio.sleep(1)
    await ground.database.mend()
    seconds = await _well_again(ground)
    await ground.was_away(since)
    return seconds


async def damaged(ground: Ground, random: Random) -> float:
    """A bit of what waits in the spool flips, or its end is lost."""
    since = datetime.now(UTC)
    ground.database.cut()
    await asyncio.sleep(MEANWHILE)
    await ground.kill()
    newest = max(_spool(ground).glob("*.log"), key=lambda file: file.stat().st_mtime_ns)
    data = bytearray(newest.read_bytes())
    place = random.randrange(32, len(data))
    if random.random() < 0.5:
        data[place] ^= 1 << random.randrange(8)
    else:
        del data[place:]
    newest.write_bytes(data)
    await ground.database.mend()
    return await _started_again(ground, since)


async def backup_restored(ground: Ground, _: Random) -> float:
    """PostgreSQL fails, and what comes back is its backup of some slots ago."""
    cluster = ground.server.cluster.directory
    backup = cluster.with_name("backup")
    await ground.server.stop()
    await _copy(cluster, backup)
    await ground.server.start()
    before = await ground.recorded()
    await ground.seconds_to_recover(before, datetime.now(UTC))
    await asyncio.sleep(MEANWHILE)
    await ground.server.kill()
    shutil.rmtree(cluster)
    backup.rename(cluster)
    await ground.server.start()
    return await _well_again(ground)


async def both_killed(ground: Ground, _: Random) -> float:
    """The machine that runs both goes down."""
    killed_at = await ground.kill()
    await ground.server.kill()
    await ground.server.start()
    return await _started_again(ground, killed_at)


async def started_twice(ground: Ground, _: Random) -> float:
    """Somebody starts a second recorder in the same place: it must say so and leave, and the first must not care."""
    second = await ground.recorder("run")
    assert second.code == _IN_USE, f"{second.code}: {second.stderr}"
    assert "another recorder" in second.stderr
    return await _well_again(ground)


async def trade_much(ground: Ground, trades: int) -> None:
    """Trade so often within a moment; two events tell of each."""
    account, now = ground.exchange.world.accounts["main"], ground.exchange.clock.now()
    time = now.replace(microsecond=now.microsecond // 1000 * 1000)
    for number in range(trades):
        quantity = Decimal("0.001") if number % 2 else Decimal("0.002")
        account.fill("ETHUSDT", "BOTH", quantity, Decimal(3_000), time=time + number // 50 * _MILLISECOND)


async def _told_of_everything(ground: Ground) -> None:
    """Wait until the exchange, which lags behind, has sent what tells of the last trade."""
    fill = ground.exchange.world.accounts["main"].truth.fills[-1]
    await until(lambda: any(f'"t":{fill.trade_id},' in event.text for event in _newest_events(ground)))


def _newest_events(ground: Ground) -> Sequence[SentEvent]:
    return list(ground.exchange.traffic.events)[-1_000:]


def own_disk(ground: Ground) -> None:
    """Put the recorder's data on a disk that fails on request."""
    data = Path(ground.recorder.variables["RECORDER_STORAGE__DATA_DIR"])
    data.mkdir(exist_ok=True)
    ground.disks["recorder"] = Disk(data, ground.folder / "recorder-disk")


def small_spool(ground: Ground) -> None:
    ground.recorder.variables["RECORDER_STORAGE__SPOOL_LIMIT"] = "1MiB"


def _disk(ground: Ground) -> Disk:
    return ground.disks["recorder"]


def _spool(ground: Ground) -> Path:
    return Path(ground.recorder.variables["RECORDER_STORAGE__DATA_DIR"]) / "spool"


async def _copy(folder: Path, copy: Path) -> None:
    copying = await asyncio.create_subprocess_exec("cp", "-a", folder, copy)
    assert await copying.wait() == 0


async def _died(ground: Ground) -> datetime:
    """Wait until the recorder has died by itself, and return when that was."""
    try:
        async with asyncio.timeout(NO_MORE_POINTS):
            finished = await ground.running.finished()
            assert finished.code == -9, f"it ended with {finished.code}: {finished.stderr}"
    except TimeoutError:
        return await ground.kill()
    return datetime.now(UTC)


async def _started_again(ground: Ground, since: datetime) -> float:
    before, started = await ground.recorded(), datetime.now(UTC)
    await ground.start()
    seconds = await ground.seconds_to_recover(before, started)
    await ground.was_away(since)
    return seconds


async def _well_again(ground: Ground) -> float:
    """Return the seconds from now to the next commit."""
    healed = datetime.now(UTC)
    return await ground.seconds_to_recover(await ground.recorded(), healed)


FAULTS = (
    Fault(name="killed at a point on disk", rows=(20,), provoke=killed_at_a_point, times=(1, 80), target=3,
          prepare=own_disk),
    Fault(name="killed without a database", rows=(2, 19), provoke=killed_without_a_database, times=(1, 50), target=5),
    Fault(name="stopped with a backlog", rows=(21,), provoke=stopped_with_a_backlog, times=(0, 3), target=3),
    Fault(name="no space for the spool", rows=(24,), provoke=disk_full, times=(1, 10), target=5, prepare=own_disk),
    Fault(name="no space, no database", rows=(24,), provoke=disk_full_without_a_database, times=(0, 10), target=5,
          prepare=own_disk),
    Fault(name="spool's disk broken", rows=(25,), provoke=disk_broken, times=(1, 10), target=5, prepare=own_disk),
    Fault(name="broken, then killed", rows=(25,), provoke=disk_broken_and_killed, times=(0, 10), target=3,
          prepare=own_disk),
    Fault(name="spool's disk slow", rows=(27,), provoke=disk_slow, times=(0, 5), target=5, prepare=own_disk),
    Fault(name="bound of the spool reached", rows=(26,), provoke=bound_reached, times=(0, 3), target=5,
          prepare=small_spool),
    Fault(name="spool damaged", rows=(22, 23), provoke=damaged, times=(0, 30), target=3),
    Fault(name="backup restored", rows=(16,), provoke=backup_restored, times=(0, 5), target=5),
    Fault(name="both killed", rows=(3, 19), provoke=both_killed, times=(0, 20), target=3),
    Fault(name="started twice", rows=(30,), provoke=started_twice, times=(1, 5), target=5),
)  # fmt: skip
