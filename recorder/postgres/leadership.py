"""Leadership: which of several recorders on one database watches an account.

Each account is a session-level advisory lock, held on a connection of its own that serves nothing else. PostgreSQL
ends that session, and with it the locks, when nothing was said on it for ``LEASE``: so the lock of a process that was
killed, that hangs or whose machine is gone is free again in that time, however its TCP connection looks.

An account is watched unless another recorder is known to hold its lock. So a leader goes on while PostgreSQL is away,
and a process that is started then begins; when PostgreSQL is back, one of them stands by.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recorder.exceptions import StorageError
from recorder.postgres.accounts import account_ids
from recorder.postgres.engine import storage_errors
from recorder.process.clock import steady

LOOK = timedelta(seconds=1)
"""How often the locks are looked at, which also keeps the session alive."""
LEASE = timedelta(seconds=8)
"""How long a recorder that says nothing keeps its locks."""
ANSWER = timedelta(seconds=3)
"""A connection that does not answer in this time is given up."""
KNOWN = timedelta(seconds=60)
"""How long a recorder stands by on account of what it saw before PostgreSQL went away."""

_INCUMBENT_FIRST = timedelta(seconds=3)
_SETTLING = timedelta(seconds=2)
_CLASS = "hashtext('recorder.watch')"

_SESSION = f"SET idle_session_timeout = '{LEASE.total_seconds():g}s'"
_TAKE = f"SELECT id FROM unnest($1::integer[]) AS wanted (id) WHERE pg_try_advisory_lock({_CLASS}, id)"
_GIVE = "SELECT pg_advisory_unlock_all()"
_LOOK = f"""
    SELECT wanted.id, locks.pid, newest."time" AS newest, pg_backend_pid() AS own_pid
    FROM unnest($1::integer[]) AS wanted (id)
    LEFT JOIN pg_locks AS locks
      ON locks.locktype = 'advisory' AND locks.objsubid = 2 AND locks.granted
      AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND locks.classid::bigint = {_CLASS}::bigint & 4294967295 AND locks.objid::bigint = wanted.id
    LEFT JOIN LATERAL (
      SELECT s."time" FROM recorder.snapshot s
      WHERE s.account_id = wanted.id AND locks.pid <> pg_backend_pid()
      ORDER BY s."time" DESC LIMIT 1
    ) AS newest ON true
"""
_TAKEN_JUST_NOW = -1

_POOLED = (
    "database.url leads through a pooler that gives each statement another session: no lock can last, and each "
    "recorder watches all of its accounts; to mend it: connect to PostgreSQL itself, or pool by session"
)

log = logging.getLogger(__name__)


class Leadership:
    """Holds the locks of the accounts that this process watches, or waits for them.

    Attributes:
        leads: The accounts that are this process's to watch.
        newest: Of the accounts of other recorders, the time of the newest snapshot in the tables.
        error: Why the locks cannot be looked at; empty while they can.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        accounts: Iterable[str],
        *,
        changed: Callable[[Sequence[str], Sequence[str]], None],
        fit: Callable[[], bool],
    ) -> None:
        """*changed* is called with the accounts to begin with, and those of which it is seen that another one has them.

        While this process is not *fit*, it gives its locks away, and goes on until another one has them.
        """
        self._engine = engine
        self._accounts = list(accounts)
        self._changed = changed
        self._fit = fit
        self._way: AsyncConnection | None = None
        self._connection: asyncpg.Connection | None = None
        self._ids: dict[str, int] = {}
        self._pid = 0
        self._former: set[int | None] = set()
        self._is_pooled = False
        self._try_from = self._seen_at = self._looked_at = float("-inf")
        self._blind_since = steady()
        self._looked = asyncio.Condition()
        self._lost = asyncio.Event()
        self._others: frozenset[str] = frozenset()
        self.leads: frozenset[str] = frozenset()
        self.newest: Mapping[str, datetime] = {}
        self.error = ""

    async def run(self) -> None:
        """Look after the locks until cancelled; then they are free at once."""
        try:
            while True:
                self._lost.clear()
                self._follow(await self._led_by_others())
                async with self._looked:
                    self._looked.notify_all()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK.total_seconds()):
                        await self._lost.wait()
        finally:
            await self._disconnect()

    @property
    def blind_for(self) -> timedelta:
        """For how long the locks cannot be looked at; 0 while they can."""
        return timedelta(seconds=steady() - self._blind_since) if self.error else timedelta(0)

    async def settled(self) -> None:
        """Wait until the locks were looked at since the process began or stood still, but not for long.

        When PostgreSQL does not answer, nothing is known of another recorder.
        """
        if not self._is_settled():
            with suppress(TimeoutError):
                async with asyncio.timeout(_SETTLING.total_seconds()), self._looked:
                    await self._looked.wait_for(self._is_settled)

    def _is_settled(self) -> bool:
        return steady() - self._looked_at < (LEASE - LOOK).total_seconds()

    async def _led_by_others(self) -> frozenset[str]:
        """Look at the locks, and once more on a new session: that the old one is lost tells nothing of the server."""
        why = ""
        for _ in range(2 if self._connection else 1):
            try:
                async with asyncio.timeout(ANSWER.total_seconds()):
                    others = await self._look()
            except (StorageError, TimeoutError) as error:
                why = error.why if isinstance(error, StorageError) else f"no answer in {ANSWER.total_seconds():g} s"
                await self._disconnect()
            else:
                self.error, self._seen_at = "", steady()
                return others
        if not self.error:
            self._blind_since = steady()
            log.warning("it cannot be seen whether another recorder is at work: %s", why)
        self.error = why
        return self._others if steady() - self._seen_at < KNOWN.total_seconds() else frozenset()

    async def _look(self) -> frozenset[str]:
        """Take what is free, and return the accounts whose locks other recorders hold."""
        with storage_errors():
            connection = self._connection or await self._connect()
            numbers = list(self._ids.values())
            locks = await connection.fetch(_LOOK, numbers)
            if locks[0]["own_pid"] != self._pid:
                if not self._is_pooled:
                    log.error(_POOLED)
                self._is_pooled = True
                return frozenset()
            holders: dict[int, int | None] = {lock["id"]: lock["pid"] for lock in locks}
            if not self._fit():
                await connection.execute(_GIVE)
            elif steady() >= self._try_from and (free := [id_ for id_ in numbers if holders[id_] is None]):
                holders |= dict.fromkeys(free, _TAKEN_JUST_NOW)
                holders |= {lock["id"]: self._pid for lock in await connection.fetch(_TAKE, free)}
        names = {number: name for name, number in self._ids.items()}
        self.newest = {names[lock["id"]]: lock["newest"] for lock in locks if lock["newest"]}
        self._former &= set(holders.values())
        return frozenset(names[number] for number, pid in holders.items() if self._is_other(pid, names[number]))

    def _is_other(self, pid: int | None, account: str) -> bool:
        """A free lock is left for a moment to whom it belonged; a session that this process lost is no other."""
        return account in self._others if pid is None else pid != self._pid and pid not in self._former

    async def _connect(self) -> asyncpg.Connection:
        """Open a session that is in no pool: closing it must end it."""
        async with self._engine.begin() as connection:
            self._ids = await account_ids(connection, self._accounts)
        self._way = await self._engine.connect()
        session: asyncpg.Connection = (await self._way.get_raw_connection()).driver_connection
        await self._way.run_sync(lambda connection: connection.detach())
        self._connection = session
        session.add_termination_listener(lambda _: self._lost.set())  # its locks are free, and must not be for long
        await session.execute(_SESSION)
        if self._pid:
            self._former.add(self._pid)
        self._pid = await session.fetchval("SELECT pg_backend_pid()")
        self._try_from = steady() + (_INCUMBENT_FIRST.total_seconds() if self._others else 0)
        return session

    async def _disconnect(self) -> None:
        way, self._way, self._connection = self._way, None, None
        if way is not None:
            with suppress(StorageError), storage_errors():
                await way.close()

    def _follow(self, others: frozenset[str]) -> None:
        leads = frozenset(self._accounts) - others
        begun = [name for name in self._accounts if name in leads - self.leads]
        left = [name for name in self._accounts if name in others - self._others]
        self.leads, self._others = leads, others
        self._looked_at = steady()
        if begun or left:
            self._changed(begun, left)
