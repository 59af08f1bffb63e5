"""A PostgreSQL that is this process's own child, so that its death can be caused, and waited for."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg

from recorder.postgres.embedded.binaries import reachable_binaries, server_binaries
from recorder.postgres.embedded.cluster import Cluster
from recorder.postgres.embedded.server_user import SYSTEM_DATA_DIR, make_data_dir, process_options, server_user
from recorder.postgres.engine import create_engine
from recorder.postgres.roles import create_roles
from recorder.postgres.schema import upgrade
from tests.conftest import SERVICE, as_service, create_service

_POLL = 0.02  # seconds
_PATIENCE = 60.0


class Server:
    """A cluster in *folder* with the recorder's schema in it, whose superuser may log in from this machine.

    Attributes:
        url: Of the database, as a recorder logs in: a member of recorder_writer and nothing more.
        superuser: The same as the superuser.
    """

    def __init__(self, folder: Path) -> None:
        folder = folder.resolve()
        folder.parent.chmod(0o711)  # started as root, PostgreSQL runs as another user
        user = server_user(folder / "postgres")
        make_data_dir(folder, user)
        binaries = server_binaries() if user is None else reachable_binaries(user, SYSTEM_DATA_DIR)
        self.cluster = Cluster(data_dir=folder, binaries=binaries.resolve(), user=user)
        self.url = self.superuser = ""
        self._port = 0
        self._process: subprocess.Popen[Any] | None = None
        self._variables: Mapping[str, str] = {}

    async def create(self) -> None:
        """Make the cluster, start it, and bring the schema up to date."""
        lock = os.open(self.cluster.data_dir, os.O_RDONLY | os.O_DIRECTORY)
        try:
            await self.cluster.initialise(lock)
        finally:
            os.close(lock)
        access = self.cluster.directory / "pg_hba.conf"
        access.write_text(f"host all postgres 127.0.0.1/32 trust\n{access.read_text()}")
        self._port = self.cluster.free_port()
        self.url = self.cluster.url(self._port)
        self.superuser = f"postgresql://postgres@127.0.0.1:{self._port}/positions"
        await self.start()
        engine = create_engine(self.url)
        await upgrade(engine)
        await create_roles(engine)
        await engine.dispose()
        await create_service(self.superuser)
        self.url = as_service(self.url)

    def preload(self, variables: Mapping[str, str]) -> None:
        """Start with these environment variables from now on."""
        self._variables = variables

    async def start(self) -> None:
        """Start, and return when sessions are let in; what a killed server left behind may take a moment to go."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                self.cluster.release_pid_file()
                self._process = self._spawn()
                while self._process.poll() is None:
                    if await self._answers():
                        return
                    await asyncio.sleep(_POLL)

    async def kill(self) -> None:
        """Kill it as the kernel does when memory is short."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """Stop it as its owner does: every session is ended, and everything is on disk."""
        await self._end(signal.SIGINT)

    async def execute(self, sql: str) -> None:
        """Run *sql* as the superuser."""
        always = {"default_transaction_read_only": "off"}
        connection = await asyncpg.connect(self.superuser, timeout=_PATIENCE, server_settings=always)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    async def end_sessions(self) -> int:
        """End every session of the recorder, and return how many there were."""
        connection = await asyncpg.connect(self.superuser, timeout=_PATIENCE)
        try:
            ended: int = await connection.fetchval(
                f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{SERVICE}'"
            )
        finally:
            await connection.close()
        return ended

    async def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            await asyncio.to_thread(process.wait)

    def _spawn(self) -> subprocess.Popen[Any]:
        options = process_options(self.cluster.user)
        options["env"] |= self._variables
        command = [str(self.cluster.binaries / "postgres"), "-D", str(self.cluster.directory), "-p", str(self._port)]
        with self.cluster.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own program
                [*command, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **options,
            )

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self.superuser, timeout=_PATIENCE)
        except (OSError, asyncpg.PostgresError, asyncpg.InternalClientError):
            return False
        await connection.close()
        return True
