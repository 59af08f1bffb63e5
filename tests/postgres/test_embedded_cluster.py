"""Making the cluster: whole or not at all, and closed to others."""

import asyncio
import logging
import os
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from recorder.postgres.embedded.server import embedded_postgres

REPOSITORY = Path(__file__).resolve().parents[2]

RECORDER = """
import asyncio, sys
from pathlib import Path
from recorder.postgres.embedded.server import embedded_postgres

async def main():
    async with embedded_postgres(Path(sys.argv[1])):
        pass

asyncio.run(main())
"""


@pytest.fixture
def parent() -> Iterator[Path]:
    # Not pytest's tmp_path, which is closed to the user that PostgreSQL runs as for root.
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def unfinished_in(data_dir: Path) -> list[Path]:
    return [path.parent for path in data_dir.glob("postgres.unfinished-*/PG_VERSION")]


async def half_made(data_dir: Path) -> Path:
    """Wait until the cluster is being made and return where."""
    async with asyncio.timeout(20):
        while not (unfinished := unfinished_in(data_dir)):  # noqa: ASYNC110 files have no events
            await asyncio.sleep(0.01)
    return unfinished[0]


async def answers(data_dir: Path) -> bool:
    async with embedded_postgres(data_dir) as url:
        connection = await asyncpg.connect(url)
        try:
            return bool(await connection.fetchval("SELECT true"))
        finally:
            await connection.close()


async def test_a_making_that_was_killed_is_done_again(parent: Path) -> None:
    data_dir = parent / "data"
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", RECORDER, data_dir, cwd=REPOSITORY)
    unfinished = await half_made(data_dir)
    killed.kill()
    await killed.wait()
    assert not (data_dir / "postgres").exists()
    assert await answers(data_dir)
    assert not unfinished.exists()


async def test_a_making_that_was_cancelled_leaves_nothing(parent: Path) -> None:
    data_dir = parent / "data"
    making = asyncio.create_task(answers(data_dir))
    await half_made(data_dir)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert {path.name for path in data_dir.iterdir()} == {"postgres.users", "postgres.starting"}
    assert await answers(data_dir)


async def test_files_are_closed_to_others_and_directories_of_others_stay_as_they_are(parent: Path) -> None:
    data_dir = parent / "new" / "data"
    assert await answers(data_dir)
    assert mode(parent) == 0o711
    made = 0o711 if os.geteuid() == 0 else 0o700
    assert mode(data_dir.parent) == mode(data_dir) == made
    assert mode(data_dir / "postgres") == 0o700
    assert mode(data_dir / "postgres" / "recorder.password") == 0o600
    assert {mode(path) for path in data_dir.iterdir() if path.is_file()} == {0o600}
    assert (data_dir / "postgres").stat().st_uid != 0


async def test_the_connection_string_stays_the_same(parent: Path) -> None:
    async with embedded_postgres(parent / "data") as first:
        pass
    async with embedded_postgres(parent / "data") as second:
        assert second == first


async def test_a_port_that_is_taken_is_given_up_for_good_with_a_warning(
    parent: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with embedded_postgres(parent / "data") as url:
        before = urlsplit(url).port
    with socket.create_server(("127.0.0.1", before or 0)), caplog.at_level(logging.WARNING):
        async with embedded_postgres(parent / "data") as url:
            after = urlsplit(url).port
    assert after != before
    assert f"Port {before} is taken" in caplog.text
    async with embedded_postgres(parent / "data") as url:
        assert urlsplit(url).port == after
