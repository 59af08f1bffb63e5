"""The server process of a cluster: found, started, stopped; also by a process that is not its parent."""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recorder.exceptions import StorageUnavailable
from recorder.postgres.embedded.cluster import Cluster
from recorder.postgres.embedded.server_user import process_options

_log = logging.getLogger(__name__)

_POLL = 0.02  # seconds
_LOG_BYTES = 1 << 20
_FAST_STOP = 60.0  # seconds: ends every session, then writes what is in memory
_IMMEDIATE_STOP = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Postmaster:
    """A living server process.

    Attributes:
        ready: Whether it says it takes connections; it does not while it recovers from a crash, or stops.
    """

    pid: int
    port: int
    ready: bool


def find_postmaster(cluster: Cluster) -> Postmaster | None:
    """Return the living server process of *cluster*, whoever started it.

    Its pid file alone is not believed: after a crash the number may be nobody's, a zombie's or a stranger's.
    """
    try:
        lines = (cluster.directory / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    match lines:  # https://www.postgresql.org/docs/18/storage-file-layout.html; src/include/utils/pidfile.h
        case [pid, _, _, port, *rest] if pid.isdecimal() and port.isdecimal() and _serves(int(pid), cluster):
            return Postmaster(pid=int(pid), port=int(port), ready="ready" in [line.strip() for line in rest])
        case _:
            return None


async def launch(cluster: Cluster) -> None:
    """Start the server as a child that outlives this process, and return when it is ready.

    Raises:
        StorageUnavailable: It ended before it was ready; the error cites its log.
    """
    cluster.release_pid_file()
    log = _open_log(cluster.log)
    try:
        start = os.fstat(log).st_size
        process = _spawn(cluster, log)
    finally:
        os.close(log)
    ready = False
    try:
        while not ready:
            await asyncio.sleep(_POLL)
            found = find_postmaster(cluster)
            ready = found is not None and found.pid == process.pid and found.ready
            if process.poll() is not None:
                raise StorageUnavailable(
                    f"The embedded PostgreSQL in {cluster.directory} does not start",
                    why=_tail(cluster.log, start),
                    fix=f"mend that and start again, or set database.url; the whole log is {cluster.log}",
                )
    finally:
        if not ready:
            process.send_signal(signal.SIGINT)


async def stop(cluster: Cluster) -> None:
    """Stop the server of *cluster*, if it has one, and return when it is gone."""
    postmaster = find_postmaster(cluster)
    if postmaster is None:
        return
    for how, seconds in ((signal.SIGINT, _FAST_STOP), (signal.SIGQUIT, _IMMEDIATE_STOP)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(postmaster.pid, how)
        try:
            async with asyncio.timeout(seconds):
                while _serves(postmaster.pid, cluster):  # noqa: ASYNC110 nobody but its parent is told of its end
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            _log.warning("The embedded PostgreSQL (pid %d) has not stopped in %d s", postmaster.pid, seconds)
        else:
            return


def _spawn(cluster: Cluster, log: int) -> subprocess.Popen[Any]:
    command = [str(cluster.binaries / "postgres"), "-D", str(cluster.directory), "-p", str(cluster.free_port())]
    for setting in ("listen_addresses=127.0.0.1", "unix_socket_directories=", "logging_collector=off"):
        command += ["-c", setting]
    options = process_options(cluster.user)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)  # noqa: S603 our own program
    # Whenever it ends, it must not stay as a zombie: not all containers have an init that would reap it.
    threading.Thread(target=process.wait, name="reap-postgres", daemon=True).start()
    return process


def _serves(pid: int, cluster: Cluster) -> bool:
    """Whether the process lives and was started on *cluster*; a zombie has no command line."""
    return f" -D {cluster.directory} " in _command_line(pid)


def _command_line(pid: int) -> str:
    if Path("/proc/self/cmdline").exists():
        try:
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    ps = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(ps, capture_output=True, text=True, check=False).stdout  # noqa: S603 constant but for a number


def _open_log(path: Path) -> int:
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    if os.fstat(log).st_size > _LOG_BYTES:
        os.ftruncate(log, 0)
    return log


def _tail(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(start)
        return " | ".join(file.read(_LOG_BYTES).decode(errors="replace").strip().splitlines()[-8:])
