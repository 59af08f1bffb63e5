"""What can happen to PostgreSQL and to the way there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random

import asyncpg

from tests.conftest import SERVICE
from tests.faults.disk import Disk
from tests.faults.fault import Fault
from tests.faults.ground import Ground

MEANWHILE = 2.5  # slots that pass while PostgreSQL is away
REFUSALS = ("40001", "40P01", "57014", "53100", "53200", "55P03", "XX000")
"""Serialization, deadlock, cancelled, disk full, out of memory, lock not available, and an error nobody foresaw."""

_REFUSE = """
    CREATE SEQUENCE refusals;
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
      IF nextval('public.refusals') <= {times} THEN
        RAISE EXCEPTION 'no, says the test' USING ERRCODE = '{state}';
      END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON recorder.snapshot FOR EACH ROW EXECUTE FUNCTION refuse();
"""
_REFUSE_NO_MORE = """
    DROP TRIGGER refuse ON recorder.snapshot; DROP FUNCTION refuse(); DROP SEQUENCE refusals;
"""
_COMMIT = b"COMMIT"
_ANSWER_TO_COMMIT = 19  # bytes: what the commit was, and that the server is ready


async def stopped(ground: Ground, _: Random) -> float:
    """PostgreSQL is stopped, slots pass, and it is started again."""
    await ground.server.stop()
    await asyncio.sleep(MEANWHILE)
    await ground.server.start()
    return await _well_again(ground)


async def stopped_for_an_hour(ground: Ground, _: Random) -> float:
    """The same for sixty slots: at one a minute that is an hour."""
    await ground.server.stop()
    await asyncio.sleep(60)
    await ground.server.start()
    return await _well_again(ground)


async def killed(ground: Ground, random: Random) -> float:
    await asyncio.sleep(random.uniform(0, 1))
    await ground.server.kill()
    await ground.server.start()
    return await _well_again(ground)


async def sessions_ended(ground: Ground, _: Random) -> float:
    await asyncio.sleep(1)
    assert await ground.server.end_sessions() > 0
    return await _well_again(ground)


async def commit_answer_lost(ground: Ground, random: Random) -> float:
    """The server has committed, and at most a part of its saying so arrives."""
    lost = ground.database.lost_answers
    ground.database.lose_the_answer_to(_COMMIT, random.randrange(_ANSWER_TO_COMMIT))
    async with asyncio.timeout(10):
        while ground.database.lost_answers == lost:  # noqa: ASYNC110 - the proxy tells nobody
            await asyncio.sleep(0.005)
    return await _well_again(ground)


async def cut(ground: Ground, random: Random) -> float:
    """The way is cut at any moment, also in the middle of a transaction."""
    await asyncio.sleep(random.uniform(0, 1))
    ground.database.cut()
    await asyncio.sleep(random.uniform(0, MEANWHILE))
    await ground.database.mend()
    return await _well_again(ground)


async def swallowed(ground: Ground, _: Random) -> float:
    """Nothing passes and nobody says so, for longer than a statement may take."""
    before = ground.database.connections
    ground.database.swallow()
    async with asyncio.timeout(20):
        while ground.database.connections == before:  # noqa: ASYNC110 - the proxy tells nobody
            await asyncio.sleep(0.02)
    await ground.database.mend()
    return await _well_again(ground)


async def slow(ground: Ground, _: Random) -> float:
    """Every answer takes half a second: a commit of several statements takes some."""
    ground.database.delay = 0.5
    await asyncio.sleep(MEANWHILE)
    ground.database.delay = 0.0
    return await _well_again(ground)


async def locked(ground: Ground, _: Random) -> float:
    """Somebody holds a table for longer than the recorder waits for a lock."""
    connection = await asyncpg.connect(ground.server.superuser)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE recorder.snapshot IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(7)
            waiting = await connection.fetchval(
                f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{SERVICE}' AND pid <> pg_backend_pid()"
            )
            assert 1 <= waiting <= 5, f"{waiting} sessions wait for the lock"
    finally:
        await connection.close()
    return await _well_again(ground)


async def no_connection_left(ground: Ground, _: Random) -> float:
    async with _server_says(
        ground, f"ALTER ROLE {SERVICE} CONNECTION LIMIT 0", f"ALTER ROLE {SERVICE} CONNECTION LIMIT -1"
    ):
        await asyncio.sleep(MEANWHILE)
    return await _well_again(ground)


async def read_only(ground: Ground, _: Random) -> float:
    """As after a failover, when the address is still that of the old primary."""
    async with _server_says(
        ground,
        "ALTER DATABASE positions SET default_transaction_read_only = on",
        "ALTER DATABASE positions RESET default_transaction_read_only",
    ):
        await asyncio.sleep(MEANWHILE)
    return await _well_again(ground)


async def password_changed(ground: Ground, _: Random) -> float:
    """The recorder's password is not valid for a while."""
    async with _server_says(
        ground, f"ALTER ROLE {SERVICE} PASSWORD 'another'", f"ALTER ROLE {SERVICE} PASSWORD '{SERVICE}'"
    ):
        await asyncio.sleep(MEANWHILE)
    return await _well_again(ground)


async def another_schema(ground: Ground, _: Random) -> float:
    """Somebody upgraded the schema for a newer version, and goes back."""
    await ground.server.execute("UPDATE recorder.alembic_version SET version_num = '9' || version_num")
    await asyncio.sleep(MEANWHILE)
    assert "9000" in ground.running.stderr, "nobody said so"
    await ground.server.execute("UPDATE recorder.alembic_version SET version_num = substr(version_num, 2)")
    return await _well_again(ground)


async def refused(ground: Ground, random: Random) -> float:
    """The server refuses what it will take later, for each of the reasons there are."""
    state, times = random.choice(REFUSALS), random.randint(1, 6)
    await ground.server.execute(_REFUSE.format(state=state, times=times))
    await ground.until(lambda met: met, f"SELECT last_value >= {times} FROM refusals")
    seconds = await _well_again(ground)
    await ground.server.execute(_REFUSE_NO_MORE)
    return seconds


async def disk_full(ground: Ground, _: Random) -> float:
    """No table can grow any more. What is written in the meantime fits nowhere."""
    disk = _disk(ground)
    met = disk.met
    with disk.full():
        async with asyncio.timeout(60):
            while disk.met < met + 3:  # noqa: ASYNC110 - the disk tells nobody
                await asyncio.sleep(0.05)
    return await _well_again(ground)


def own_disk(ground: Ground) -> None:
    """Put the tables on a disk that fails on request; the journal, without which there is no server, stays outside."""
    ground.disks["server"] = Disk(ground.server.cluster.directory / "base", ground.folder / "server-disk")
    ground.server.preload(ground.disks["server"].variables)


def _disk(ground: Ground) -> Disk:
    return ground.disks["server"]


async def _well_again(ground: Ground) -> float:
    """Return the seconds from now to the next commit."""
    healed = datetime.now(UTC)
    return await ground.seconds_to_recover(await ground.recorded(), healed)


@asynccontextmanager
async def _server_says(ground: Ground, this: str, that: str) -> AsyncIterator[None]:
    """Have the server obey *this* for a while and then *that*, for sessions that begin anew."""
    await ground.server.execute(this)
    await ground.server.end_sessions()
    try:
        yield
    finally:
        await ground.server.execute(that)
        await ground.server.end_sessions()


FAULTS = (
    Fault(name="database stopped", rows=(1,), provoke=stopped, times=(1, 10), target=5),
    Fault(name="database away for an hour of slots", rows=(1,), provoke=stopped_for_an_hour, times=(0, 1), target=5),
    Fault(name="database killed", rows=(3,), provoke=killed, times=(1, 50), target=5),
    Fault(name="sessions ended every second", rows=(4,), provoke=sessions_ended, times=(1, 300), target=5),
    Fault(name="answer to a commit cut", rows=(5, 20), provoke=commit_answer_lost, times=(5, 500), target=5),
    Fault(name="way to the database cut", rows=(1, 5), provoke=cut, times=(1, 50), target=5),
    Fault(name="way to the database swallows", rows=(6,), provoke=swallowed, times=(0, 3), target=10),
    Fault(name="slow database", rows=(7,), provoke=slow, times=(0, 5), target=5),
    Fault(name="table locked", rows=(8,), provoke=locked, times=(1, 5), target=6),
    Fault(name="no connection left", rows=(10,), provoke=no_connection_left, times=(1, 10), target=5),
    Fault(name="database read-only", rows=(11,), provoke=read_only, times=(1, 10), target=5),
    Fault(name="transactions refused", rows=(12,), provoke=refused, times=(1, 50), target=6),
    Fault(name="schema of another revision", rows=(14,), provoke=another_schema, times=(0, 5), target=5),
    Fault(name="password changed", rows=(15,), provoke=password_changed, times=(0, 10), target=30),
    Fault(name="disk of the database full", rows=(9,), provoke=disk_full, times=(1, 10), target=5, prepare=own_disk),
)
