"""What can happen to the recorder's process and to the machine under it."""

import asyncio
import os
import resource
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from recorder.simulator.knobs import Ban
from tests.faults.fault import Fault
from tests.faults.ground import Ground

MEGABYTE = 1 << 20
BAN = 4.0  # seconds
GRACE = 10.0  # seconds in which a stop is over


async def killed(ground: Ground, random: Random) -> float:
    """Kill the recorder at any moment of its life: while it starts, or while it works."""
    await asyncio.sleep(random.choice((random.uniform(0.1, 1), random.uniform(0.1, 5))))
    return await _killed_now(ground)


async def killed_while_starting(ground: Ground, random: Random) -> float:
    """Kill it twice: the second time before it is at work again."""
    killed_at = await ground.kill()
    await ground.start()
    await asyncio.sleep(random.uniform(0.1, 1.5))
    await ground.kill()
    return await _started_again(ground, killed_at)


async def killed_while_banned(ground: Ground, _: Random) -> float:
    """The exchange bans this address; the recorder is killed, and must not ask before the ban is over."""
    ground.exchange.knobs.on_request(Ban(418, timedelta(seconds=BAN)))
    refused = _refusals(ground)
    async with asyncio.timeout(30):
        while _refusals(ground) == refused:  # noqa: ASYNC110 - the exchange tells nobody
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)  # an answer is on its way
    during = ground.exchange.traffic.during_refusal
    seconds = await _killed_now(ground)
    assert ground.exchange.traffic.during_refusal == during, "it was asked during the ban"
    return max(0.0, seconds - BAN)


async def stopped_and_started(ground: Ground, random: Random) -> float:
    await asyncio.sleep(random.uniform(0, 1))
    stopped_at = datetime.now(UTC)
    async with asyncio.timeout(GRACE):
        assert await ground.stop() == 0
    return await _started_again(ground, stopped_at)


async def one_of_two_killed(ground: Ground, random: Random) -> float:
    """Kill the one that watches while another stands by."""
    await ground.stand_by()
    await asyncio.sleep(random.uniform(0, 2))
    killed_at = await ground.kill()
    before = await ground.recorded()
    await ground.swap()
    seconds = await ground.seconds_to_recover(before, killed_at)
    await ground.was_away(killed_at)
    return seconds


async def one_of_two_frozen(ground: Ground, random: Random) -> float:
    """The one that watches gets no time until another has taken over; then it gets some, and must not watch too."""
    await ground.stand_by()
    await asyncio.sleep(random.uniform(0, 2))
    frozen_at, frozen = datetime.now(UTC), ground.running
    os.kill(frozen.pid, signal.SIGSTOP)
    await asyncio.sleep(0.5)  # a commit is on its way
    before = await ground.recorded()
    while await ground.recorded() == before:  # noqa: ASYNC110 - the other machine tells nobody
        await asyncio.sleep(0.05)
    seconds = (datetime.now(UTC) - frozen_at).total_seconds()
    os.kill(frozen.pid, signal.SIGCONT)
    for account in ground.exchange.world.accounts:
        await frozen.says(f"another recorder watches {account}: this one stands by")
    await ground.swap()
    await ground.was_away(frozen_at)
    return seconds


async def frozen(ground: Ground, _: Random) -> float:
    """The process gets no time for some slots, as on a laptop that sleeps."""
    frozen_at = datetime.now(UTC)
    os.kill(ground.running.pid, signal.SIGSTOP)
    await asyncio.sleep(3.5)
    before, resumed = await ground.recorded(), datetime.now(UTC)
    os.kill(ground.running.pid, signal.SIGCONT)
    seconds = await ground.seconds_to_recover(before, resumed)
    await ground.was_away(frozen_at)
    return seconds


async def no_files_left(ground: Ground, _: Random) -> float:
    """Everything is disconnected, and no file can be opened to connect again."""
    pid = ground.running.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    since = datetime.now(UTC)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    assert ground.exchange.drop_connections() + ground.exchange.drop_streams() > 1
    await ground.server.end_sessions()
    await asyncio.sleep(3)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    before, healed = await ground.recorded(), datetime.now(UTC)
    seconds = await ground.seconds_to_recover(before, healed)
    await ground.was_away(since)
    return seconds


async def little_memory(ground: Ground, _: Random) -> float:
    """There is hardly more memory than it has, and nobody takes what it records."""
    pid = ground.running.pid
    limits = resource.prlimit(pid, resource.RLIMIT_AS)
    resource.prlimit(pid, resource.RLIMIT_AS, (_memory(pid) + 48 * MEGABYTE, limits[1]))
    ground.database.cut()
    await asyncio.sleep(4)
    await ground.database.mend()
    before, healed = await ground.recorded(), datetime.now(UTC)
    seconds = await ground.seconds_to_recover(before, healed)
    resource.prlimit(pid, resource.RLIMIT_AS, limits)
    return seconds


def _memory(pid: int) -> int:
    """Return how many bytes of addresses a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


def _refusals(ground: Ground) -> int:
    return sum(answer.status == 418 for answer in ground.exchange.traffic.answers)


async def _killed_now(ground: Ground) -> float:
    return await _started_again(ground, await ground.kill())


async def _started_again(ground: Ground, since: datetime) -> float:
    """Start it; return the seconds to the first commit, once it is at work."""
    before, started = await ground.recorded(), datetime.now(UTC)
    await ground.start()
    seconds = await ground.seconds_to_recover(before, started)
    await ground.was_away(since)
    return seconds


FAULTS = (
    Fault(name="recorder killed", rows=(19,), provoke=killed, times=(1, 200), target=3),
    Fault(name="recorder killed while it starts", rows=(19,), provoke=killed_while_starting, times=(0, 30), target=3),
    Fault(name="recorder killed while banned", rows=(36,), provoke=killed_while_banned, times=(0, 10), target=3),
    Fault(name="recorder stopped and started", rows=(21,), provoke=stopped_and_started, times=(0, 30), target=3),
    Fault(name="one of two killed", rows=(19, 30), provoke=one_of_two_killed, times=(0, 20), target=15),
    Fault(name="one of two frozen", rows=(30, 31), provoke=one_of_two_frozen, times=(0, 5), target=15),
    Fault(name="recorder frozen", rows=(31,), provoke=frozen, times=(1, 10), target=5),
    Fault(name="no files left", rows=(29,), provoke=no_files_left, times=(1, 10), target=8),
    Fault(name="little memory", rows=(28,), provoke=little_memory, times=(0, 5), target=5),
)
