"""The embedded server as its users see it: sharing, leaving, failing."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from recorder.exceptions import ConfigurationError
from recorder.postgres.embedded.binaries import server_binaries
from recorder.postgres.embedded.server import embedded_postgres

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
REPOSITORY = Path(__file__).resolve().parents[2]

# A recorder in a process of its own: says the URL, stays until its input ends, and still works while it leaves.
RECORDER = """
import asyncio, sys
from pathlib import Path
import asyncpg
from recorder.postgres.embedded.server import embedded_postgres

async def main():
    async with embedded_postgres(Path(sys.argv[1]), binaries=Path(sys.argv[2])) as url:
        print(url, flush=True)
        try:
            reader = asyncio.StreamReader()
            await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
            await reader.read()
        finally:
            connection = await asyncpg.connect(url)
            print(await connection.fetchval("SELECT 'bye'"), flush=True)
            await connection.close()

asyncio.run(main())
"""


@pytest.fixture(scope="module", params=["embedded", "debian 15"])
def binaries(request: pytest.FixtureRequest) -> Path:
    if request.param == "embedded":
        return server_binaries()
    if not DEBIAN_15.exists():
        pytest.skip(f"no PostgreSQL 15 in {DEBIAN_15}")
    return DEBIAN_15


@pytest.fixture(scope="module")
def data_dir(binaries: Path) -> Iterator[Path]:  # noqa: ARG001 one cluster for each PostgreSQL
    # Not pytest's tmp_path, which is closed to the user that PostgreSQL runs as for root.
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o711)
        yield Path(directory) / "data"


@asynccontextmanager
async def other_recorder(data_dir: Path, binaries: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RECORDER, data_dir, binaries,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process, (await process.stdout.readline()).decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ask(url: str, question: str = "SELECT 1") -> object:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def server_pid(data_dir: Path) -> int | None:
    file = data_dir / "postgres" / "postmaster.pid"
    return int(file.read_text().split()[0]) if file.exists() else None


async def test_it_answers_with_the_version_of_the_binaries(data_dir: Path, binaries: Path) -> None:
    told = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout  # noqa: ASYNC221, S603
    async with embedded_postgres(data_dir, binaries=binaries) as url:
        assert await ask(url) == 1
        assert str(await ask(url, "SHOW server_version")) in told
        parts = urlsplit(url)
        assert (parts.scheme, parts.username, parts.hostname, parts.path) == (
            "postgresql", "recorder", "127.0.0.1", "/positions",
        )  # fmt: skip


async def test_the_role_owns_its_database_and_makes_roles_but_is_no_superuser(data_dir: Path, binaries: Path) -> None:
    async with embedded_postgres(data_dir, binaries=binaries) as url:
        role = "SELECT (rolsuper, rolcreaterole)::text FROM pg_roles WHERE rolname = current_user"
        assert await ask(url, role) == "(f,t)"
        owner = "SELECT datdba::regrole::text FROM pg_database WHERE datname = current_database()"
        assert await ask(url, owner) == "recorder"
        await ask(url, "CREATE ROLE somebody")
        await ask(url, "DROP ROLE somebody")


async def test_it_keeps_what_a_recorder_relies_on(data_dir: Path, binaries: Path) -> None:
    async with embedded_postgres(data_dir, binaries=binaries) as url:
        expected = {
            "fsync": "on",
            "synchronous_commit": "on",
            "TimeZone": "UTC",
            "server_encoding": "UTF8",
            "lc_messages": "C",
            "max_connections": "50",
            "password_encryption": "scram-sha-256",
            "data_checksums": "on",
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
        }
        assert {name: await ask(url, f"SHOW {name}") for name in expected} == expected


async def test_nobody_gets_in_without_the_password(data_dir: Path, binaries: Path) -> None:
    async with embedded_postgres(data_dir, binaries=binaries) as url:
        password, port = urlsplit(url).password, urlsplit(url).port
        for user, word in (("recorder", "guess"), ("postgres", password)):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(host="127.0.0.1", port=port, user=user, password=word, database="positions")


async def test_users_in_one_process_share_the_server(data_dir: Path, binaries: Path) -> None:
    async with embedded_postgres(data_dir, binaries=binaries) as mine:
        pid = server_pid(data_dir)
        async with embedded_postgres(data_dir, binaries=binaries) as yours:
            assert yours == mine
            assert server_pid(data_dir) == pid
        assert await ask(mine) == 1
    assert server_pid(data_dir) is None


async def test_many_who_come_at_once_share_the_server(data_dir: Path, binaries: Path) -> None:
    async def use() -> tuple[int | None, object]:
        async with embedded_postgres(data_dir, binaries=binaries) as url:
            pid = server_pid(data_dir)
            await together.wait()
            return pid, await ask(url)

    together = asyncio.Barrier(5)
    answers = await asyncio.gather(*(use() for _ in range(5)))
    assert len(set(answers)) == 1
    assert server_pid(data_dir) is None


async def test_the_server_outlives_who_started_it_and_the_last_user_stops_it(data_dir: Path, binaries: Path) -> None:
    async with other_recorder(data_dir, binaries) as (starter, url):
        async with embedded_postgres(data_dir, binaries=binaries) as mine:
            pid = server_pid(data_dir)
            await starter.communicate(b"")
            assert starter.returncode == 0
            assert mine == url
            assert await ask(mine) == 1
            assert server_pid(data_dir) == pid
        assert server_pid(data_dir) is None
        with pytest.raises(OSError, match="Connect call failed"):
            await ask(url)


async def test_a_killed_recorder_leaves_a_server_that_the_next_one_uses_and_stops(
    data_dir: Path, binaries: Path
) -> None:
    async with other_recorder(data_dir, binaries) as (killed, _):
        pid = server_pid(data_dir)
        killed.kill()
        await killed.wait()
        async with embedded_postgres(data_dir, binaries=binaries) as url:
            assert server_pid(data_dir) == pid
            assert await ask(url) == 1
        assert server_pid(data_dir) is None


async def test_ctrl_c_reaches_the_recorder_and_not_its_server(data_dir: Path, binaries: Path) -> None:
    async with other_recorder(data_dir, binaries) as (process, _):
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does
        output, _ = await process.communicate(b"")
        assert output == b"bye\n"
    assert server_pid(data_dir) is None
    assert (data_dir / "postgres.log").read_text().endswith("database system is shut down\n")


async def test_a_server_that_dies_is_started_again_on_its_port(data_dir: Path, binaries: Path) -> None:
    async with embedded_postgres(data_dir, binaries=binaries) as url:
        dead = server_pid(data_dir)
        assert dead is not None
        os.kill(dead, signal.SIGKILL)
        async with asyncio.timeout(20):
            while True:
                try:
                    assert await ask(url) == 1
                    break
                except (OSError, asyncpg.CannotConnectNowError):
                    await asyncio.sleep(0.1)
        assert server_pid(data_dir) != dead


async def test_what_was_committed_survives_a_killed_server(data_dir: Path, binaries: Path) -> None:
    async with embedded_postgres(data_dir, binaries=binaries) as url:
        await ask(url, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
        pid = server_pid(data_dir)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    async with embedded_postgres(data_dir, binaries=binaries) as url:
        assert await ask(url, "SELECT answer FROM kept") == 42


async def test_a_data_directory_that_cannot_be_one_is_a_configuration_error(data_dir: Path, binaries: Path) -> None:
    file = data_dir.parent / "file"
    file.write_text("")
    file.chmod(0o711)
    with pytest.raises(ConfigurationError, match="cannot use the data directory") as failure:
        async with embedded_postgres(file, binaries=binaries):
            pytest.fail("started")
    assert "storage.data_dir" in failure.value.fix
