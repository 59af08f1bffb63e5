"""Finding the server of a cluster behind a pid file that a crash left."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from recorder.exceptions import StorageUnavailable
from recorder.postgres.embedded.binaries import server_binaries
from recorder.postgres.embedded.cluster import Cluster
from recorder.postgres.embedded.postmaster import find_postmaster
from recorder.postgres.embedded.server import embedded_postgres
from recorder.postgres.embedded.server_user import process_options, server_user


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    # Not pytest's tmp_path, which is closed to the user that PostgreSQL runs as for root.
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o711)
        yield Path(directory).resolve() / "data"


@pytest.fixture
def cluster(data_dir: Path) -> Cluster:
    return Cluster(data_dir=data_dir, binaries=server_binaries(), user=server_user(data_dir / "postgres"))


@pytest.fixture
def stranger(cluster: Cluster) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the server's user which has nothing to do with PostgreSQL."""
    with subprocess.Popen(["sleep", "600"], **process_options(cluster.user)) as process:  # noqa: S607
        yield process
        process.kill()


@pytest.fixture
def zombie(cluster: Cluster) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the server's user that ended, and was not reaped."""
    with subprocess.Popen(["true"], **process_options(cluster.user)) as process:  # noqa: S607
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        yield process


async def pid_file_after_crash(cluster: Cluster, pid: int) -> None:
    """Leave the pid file of a server that was killed, as if its number had gone to *pid*."""
    file = cluster.directory / "postmaster.pid"
    async with embedded_postgres(cluster.data_dir):
        _, _, rest = file.read_text().partition("\n")
    owner = cluster.directory.stat()
    file.write_text(f"{pid}\n{rest}")
    file.chmod(0o600)
    os.chown(file, owner.st_uid, owner.st_gid)


async def answers(data_dir: Path) -> bool:
    async with embedded_postgres(data_dir) as url:
        connection = await asyncpg.connect(url)
        try:
            return bool(await connection.fetchval("SELECT true"))
        finally:
            await connection.close()


async def test_a_running_server_is_found_with_its_port(cluster: Cluster) -> None:
    async with embedded_postgres(cluster.data_dir) as url:
        found = find_postmaster(cluster)
        assert found is not None
        assert found.ready
        assert f":{found.port}/" in url
    assert find_postmaster(cluster) is None


async def test_a_server_of_another_directory_is_not_taken_for_this_one(cluster: Cluster) -> None:
    async with embedded_postgres(cluster.data_dir):
        copied = (cluster.directory / "postmaster.pid").read_text()
        elsewhere = Cluster(data_dir=cluster.data_dir / "copy", binaries=cluster.binaries, user=cluster.user)
        elsewhere.directory.mkdir(parents=True)
        (elsewhere.directory / "postmaster.pid").write_text(copied)
        assert find_postmaster(elsewhere) is None


async def test_a_number_that_went_to_a_stranger_does_not_stop_a_start_nor_harm_the_stranger(
    cluster: Cluster, stranger: subprocess.Popen[bytes]
) -> None:
    await pid_file_after_crash(cluster, stranger.pid)
    assert find_postmaster(cluster) is None
    assert await answers(cluster.data_dir)
    assert stranger.poll() is None


async def test_a_zombie_does_not_stop_a_start(cluster: Cluster, zombie: subprocess.Popen[bytes]) -> None:
    await pid_file_after_crash(cluster, zombie.pid)
    assert find_postmaster(cluster) is None
    assert await answers(cluster.data_dir)


@pytest.mark.parametrize("text", ["", "x", "1\n2\n"])
async def test_a_torn_pid_file_does_not_stop_a_start(cluster: Cluster, text: str) -> None:
    await pid_file_after_crash(cluster, 1)
    (cluster.directory / "postmaster.pid").write_text(text)
    assert await answers(cluster.data_dir)


async def test_a_start_that_fails_cites_the_servers_log(cluster: Cluster) -> None:
    async with embedded_postgres(cluster.data_dir):
        pass
    settings = cluster.directory / "postgresql.conf"
    good = settings.read_text()
    settings.write_text(good + "no_such_setting = 1\n")
    try:
        with pytest.raises(StorageUnavailable) as failure:
            async with embedded_postgres(cluster.data_dir):
                pytest.fail("started")
        assert 'unrecognized configuration parameter "no_such_setting"' in failure.value.why
        assert str(cluster.log) in failure.value.fix
    finally:
        settings.write_text(good)


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


async def test_the_server_gets_nothing_of_the_recorders_environment(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BINANCE_API_SECRET", "canary")
    monkeypatch.setenv("PGDATA", "/nowhere")
    async with embedded_postgres(cluster.data_dir):
        server = find_postmaster(cluster)
        assert server is not None
        try:
            environment = environment_of(server.pid)
        except OSError as exc:
            pytest.skip(f"the environment of a process cannot be read here: {exc}")
        assert b"canary" not in environment
        assert b"PGDATA" not in environment
