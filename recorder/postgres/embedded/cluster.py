"""A PostgreSQL cluster of the recorder's own: its files, and how they come to be."""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import tempfile
import zlib
from asyncio.subprocess import PIPE, STDOUT
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe

from recorder.exceptions import StorageUnavailable
from recorder.postgres.embedded.server_user import ServerUser, process_options

_log = logging.getLogger(__name__)

_PORTS = range(20_000, 30_000)  # below what systems hand out to outgoing connections

_HBA = "host all all 127.0.0.1/32 scram-sha-256\n"

_SETTINGS = """
# position-recorder: what it relies on beyond this file it says on the server's command line
fsync = on
synchronous_commit = on
password_encryption = 'scram-sha-256'
max_connections = 50
shared_buffers = 64MB
max_wal_size = 256MB
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_checkpoints = off
log_min_error_statement = panic # statements may carry what must not be in a log
"""

_ROLES = """\
CREATE ROLE recorder LOGIN CREATEDB CREATEROLE PASSWORD '{password}'
GRANT pg_read_all_settings TO recorder
CREATE DATABASE positions OWNER recorder
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The cluster ``postgres`` in a data directory.

    Its only login is the role ``recorder``, owner of the database ``positions``; the superuser cannot log in.

    Attributes:
        data_dir: Absolute, without symbolic links.
        user: Who owns the files and runs the server; ``None`` is the user of this process.
    """

    data_dir: Path
    binaries: Path
    user: ServerUser | None

    @property
    def directory(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def log(self) -> Path:
        """Outside the cluster: root writes it, and must not write where another user can plant a link."""
        return self.data_dir / "postgres.log"

    def url(self, port: int) -> str:
        password = (self.directory / "recorder.password").read_text()
        return f"postgresql://recorder:{password}@127.0.0.1:{port}/positions"

    def free_port(self) -> int:
        """Return the port of the last start, so that saved connection strings live on, or another when it is taken."""
        file = self.data_dir / "postgres.port"
        saved = int(text) if file.exists() and (text := file.read_text().strip()).isdecimal() else None
        if saved is not None and _is_free(saved):
            return saved
        first = zlib.crc32(os.fsencode(self.data_dir))  # two data directories seldom want the same port
        port = next(filter(_is_free, (_PORTS[(first + n) % len(_PORTS)] for n in range(len(_PORTS)))))
        _write(file, f"{port}\n", owner=None)
        if saved is not None:
            _log.warning("Port %d is taken: the embedded PostgreSQL is now on port %d", saved, port)
        return port

    async def initialise(self, lock: int) -> None:
        """Make the cluster, or nothing: it gets its name when all of it is on disk.

        *lock* is the descriptor of the lock that allows this. The programs inherit it, so that it outlasts this
        process, if this is killed, until they have ended too.

        Raises:
            StorageUnavailable: One of PostgreSQL's programs failed.
        """
        unfinished = self._make_unfinished()
        try:
            await self._run(
                "initdb", f"--pgdata={unfinished}", "--username=postgres", "--auth=reject", "--encoding=UTF8",
                "--locale=C", "--data-checksums", "--no-sync", "--no-instructions", lock=lock,
            )  # fmt: skip
            password = token_urlsafe(24)
            await self._run(
                "postgres", "--single", "-F", "-D", str(unfinished), "-c", "exit_on_error=on",
                "-c", "log_min_error_statement=panic", "postgres", lock=lock, script=_ROLES.format(password=password),
            )  # fmt: skip
            self._configure(unfinished, password)
            await self._run("initdb", "--sync-only", f"--pgdata={unfinished}", lock=lock)
            self._finish(unfinished)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def _make_unfinished(self) -> Path:
        for leftover in self.data_dir.glob("postgres.unfinished-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(prefix="postgres.unfinished-", dir=self.data_dir))
        if self.user is not None:
            os.chown(unfinished, self.user.uid, self.user.gid)
        return unfinished

    def _configure(self, unfinished: Path, password: str) -> None:
        defaults = (unfinished / "postgresql.conf").read_text()
        _write(unfinished / "postgresql.conf", defaults + _SETTINGS, owner=self.user)
        _write(unfinished / "pg_hba.conf", _HBA, owner=self.user)
        _write(unfinished / "recorder.password", password, owner=self.user)

    def _finish(self, unfinished: Path) -> None:
        unfinished.rename(self.directory)
        parent = os.open(self.data_dir, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)

    def release_pid_file(self) -> None:
        """Make a dead server's pid file harmless, whatever process or zombie has its number now.

        PostgreSQL would refuse to start while such a process exists. It takes a file with the number of its own parent
        for stale, and still looks whether processes of the dead server use the cluster; removing the file would
        disable that check.
        """
        file = self.directory / "postmaster.pid"
        if file.exists():
            _, _, rest = file.read_text().partition("\n")
            _write(file, f"{os.getpid()}\n{rest}", owner=self.user)

    async def _run(self, program: str, *arguments: str, lock: int, script: str = "") -> None:
        process = await asyncio.create_subprocess_exec(
            self.binaries / program,
            *arguments,
            stdin=PIPE,
            stdout=PIPE,
            stderr=STDOUT,
            pass_fds=(lock,),
            **process_options(self.user),
        )
        try:
            output, _ = await process.communicate(script.encode())
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode != 0:
            raise StorageUnavailable(
                f"The embedded PostgreSQL could not be set up in {self.data_dir}: {program} failed",
                why=" | ".join(output.decode(errors="replace").strip().splitlines()[-5:]),
                fix="mend that and start again (nothing half-done was left), or set database.url",
            )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as PostgreSQL does
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return port != 0


def _write(path: Path, text: str, *, owner: ServerUser | None) -> None:
    """Replace *path* by a file of mode 0600 in one step, and never write through a link."""
    descriptor, new = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        if owner is not None:
            os.fchown(descriptor, owner.uid, owner.gid)
        os.fsync(descriptor)
    Path(new).replace(path)
