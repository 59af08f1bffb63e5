"""A PostgreSQL of the recorder's own, for when no database is configured.

All recorder processes with the same data directory share one server. Each holds a shared lock on ``postgres.users`` as
long as it needs the server; who leaves and can make that lock exclusive was the last, and stops it. Starting is done
under ``postgres.starting``. The kernel drops the locks of a process that is killed: nothing can go stale.
"""

import asyncio
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from recorder.exceptions import ConfigurationError, RecorderError, StorageUnavailable
from recorder.postgres.embedded.binaries import reachable_binaries, server_binaries
from recorder.postgres.embedded.cluster import Cluster
from recorder.postgres.embedded.postmaster import find_postmaster, launch, stop
from recorder.postgres.embedded.server_user import SYSTEM_DATA_DIR, ServerUser, make_data_dir, server_user

_log = logging.getLogger(__name__)

_POLL = 0.05  # seconds between two tries for a lock
_START_TIMEOUT = 300.0  # seconds; recovery from a crash may have much to read
_WATCH = 2.0  # seconds between two looks whether the server lives
_TRIES = 3
_BETWEEN_TRIES = 0.5  # seconds


@asynccontextmanager
async def embedded_postgres(data_dir: Path, *, binaries: Path | None = None) -> AsyncIterator[str]:
    """Have a server run on the cluster in *data_dir* and yield its URL, password included.

    The cluster is made when there is none. A server that dies in between is started again. *binaries* is the
    directory of another PostgreSQL than the installed extra's, of the same major version as the cluster.

    Raises:
        ConfigurationError: PostgreSQL is not installed, or cannot use *data_dir*.
        StorageUnavailable: It does not start; the error cites its log.
    """
    cluster = await asyncio.to_thread(_open_cluster, data_dir, binaries)
    with _lock_file(cluster.data_dir / "postgres.users") as users:
        await _lock(users, fcntl.LOCK_SH)
        try:
            url = await _start(cluster)
            watch = asyncio.create_task(_keep_running(cluster, url))
            try:
                yield url
            finally:
                watch.cancel()
                await asyncio.wait([watch])
        finally:
            if _is_last(users):
                await stop(cluster)


def prepare_data_dir(data_dir: Path) -> ServerUser | None:
    """Make *data_dir* where it is missing, and return who runs the server in it, who must reach it.

    Whoever else puts files there, and makes it, would close it to that user. Raises ``ConfigurationError``.
    """
    user = server_user(data_dir / "postgres")
    try:
        make_data_dir(data_dir, user)
    except OSError as exc:
        raise _unusable(data_dir, exc) from exc
    return user


def _open_cluster(data_dir: Path, binaries: Path | None) -> Cluster:
    data_dir = data_dir.resolve()
    user = prepare_data_dir(data_dir)
    try:
        if binaries is None:
            binaries = server_binaries() if user is None else reachable_binaries(user, SYSTEM_DATA_DIR)
    except OSError as exc:
        raise _unusable(data_dir, exc) from exc
    return Cluster(data_dir=data_dir, binaries=binaries.resolve(), user=user)


async def _start(cluster: Cluster) -> str:
    """Return the URL of the running server, after starting it if need be."""
    with _lock_file(cluster.data_dir / "postgres.starting") as starting:
        await _lock(starting, fcntl.LOCK_EX)
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                if not cluster.directory.exists():
                    await cluster.initialise(starting)
                port = await _ready_port(cluster)
                return await _answering(cluster, port)
        except TimeoutError as exc:
            raise StorageUnavailable(
                f"The embedded PostgreSQL in {cluster.directory} was not ready in {_START_TIMEOUT:.0f} s",
                why="it recovers from a crash, or the disk is very slow",
                fix=f"look into {cluster.log}, then start again",
            ) from exc
        except OSError as exc:
            raise _unusable(cluster.data_dir, exc) from exc


async def _ready_port(cluster: Cluster) -> int:
    tries = 0
    while (postmaster := find_postmaster(cluster)) is None or not postmaster.ready:
        if postmaster is not None:  # started by a process that was killed, or stopping
            await asyncio.sleep(_POLL)
            continue
        tries += 1
        try:
            await launch(cluster)
        except StorageUnavailable:
            # Over in a moment: sessions of a killed server still leaving, or a port taken since it was seen free.
            if tries == _TRIES:
                raise
            await asyncio.sleep(_BETWEEN_TRIES)
    return postmaster.port


async def _answering(cluster: Cluster, port: int) -> str:
    """Return the URL once proved: the server knows the password and serves this directory, not a copy of it."""
    url = cluster.url(port)
    try:
        connection = await asyncpg.connect(url, ssl=False, timeout=10)
        try:
            directory = await connection.fetchval("SELECT current_setting('data_directory')")
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as exc:
        raise StorageUnavailable(
            f"The embedded PostgreSQL on port {port} does not let the recorder in",
            why=str(exc),
            fix=f"look into {cluster.log}",
        ) from exc
    if directory != str(cluster.directory):
        raise StorageUnavailable(
            f"The PostgreSQL on port {port} serves {directory}, not {cluster.directory}",
            why="one data directory is a copy of the other",
            fix="stop that server, then start again",
        )
    return url


async def _keep_running(cluster: Cluster, url: str) -> None:
    while True:
        await asyncio.sleep(_WATCH)
        if find_postmaster(cluster) is not None:
            continue
        _log.warning("The embedded PostgreSQL is gone and is started again; its log is %s", cluster.log)
        try:
            if await _start(cluster) != url:
                _log.error("The embedded PostgreSQL had to take another port: restart the recorder")
        except RecorderError as exc:
            _log.error("%s: %s", exc.what, exc.why)


@contextmanager
def _lock_file(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        raise _unusable(path.parent, exc) from exc
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def _lock(descriptor: int, kind: int) -> None:
    while True:  # a thread in a blocking flock() could not be cancelled
        try:
            return fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(_POLL)


def _is_last(users: int) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unusable(data_dir: Path, exc: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"The embedded PostgreSQL cannot use the data directory {data_dir}",
        why=str(exc),
        fix="mend that, or set storage.data_dir to another directory",
    )
