"""Who runs the server, and that nobody's directory is opened for that user."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from recorder.exceptions import ConfigurationError
from recorder.postgres.embedded.server import embedded_postgres
from recorder.postgres.embedded.server_user import ServerUser, make_data_dir, process_options, server_user

REPOSITORY = Path(__file__).resolve().parents[2]
SITE_PACKAGES = Path(asyncpg.__file__).resolve().parents[1]

STRANGER = ServerUser(name="stranger", uid=54_321, gid=54_321)

RECORDER = """
import asyncio
import os
import asyncpg
from recorder.config.sources import default_data_dir
from recorder.postgres.embedded.server import embedded_postgres

data_dir = default_data_dir(os.environ, root=False)

async def main():
    async with embedded_postgres(data_dir) as url:
        connection = await asyncpg.connect(url)
        print(await connection.fetchval("SELECT 'recorded'"), data_dir)
        await connection.close()

asyncio.run(main())
"""


@pytest.fixture
def place() -> Iterator[Path]:
    # Not pytest's tmp_path, which is closed to everybody else already.
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o711)
        yield Path(directory).resolve()


@pytest.fixture
def root() -> ServerUser:
    """Who runs PostgreSQL for root."""
    user = server_user(Path("/nowhere"))
    if user is None:
        pytest.skip("needs root")
    return user


def python_of(user: ServerUser) -> list[str]:
    """Return a Python that *user* reaches and that can load what is installed here, or skip."""
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        command = [python, "-c", "import asyncpg, recorder.postgres"]
        options = process_options(user)
        options["env"] |= {"PYTHONPATH": f"{REPOSITORY}:{SITE_PACKAGES}", "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            subprocess.run(command, check=True, capture_output=True, **options)  # noqa: S603
        except (OSError, subprocess.CalledProcessError):
            continue
        return [python]
    pytest.skip(f"no Python that user {user.name} reaches can load what is installed here")


def test_a_directory_of_others_is_an_obstacle_by_owner_then_group_then_the_rest(place: Path) -> None:
    inner = place / "inner"
    inner.mkdir()
    owner = ServerUser(name="owner", uid=os.geteuid(), gid=54_321)
    group = ServerUser(name="group", uid=54_321, gid=os.getegid())
    reached = {}
    for mode in (0o700, 0o070, 0o007, 0o711):
        inner.chmod(mode)
        reached[mode] = [user.name for user in (owner, group, STRANGER) if user.obstacle(inner) is None]
    inner.chmod(0o700)
    assert reached == {
        0o700: ["owner"],
        0o070: ["group"],
        0o007: ["stranger"],
        0o711: ["owner", "group", "stranger"],
    }


def test_the_outermost_obstacle_is_named_and_what_does_not_exist_is_none(place: Path) -> None:
    assert STRANGER.obstacle(place / "not" / "yet") is None
    (place / "outer" / "inner").mkdir(parents=True)
    (place / "outer" / "inner").chmod(0o700)
    (place / "outer").chmod(0o700)
    assert STRANGER.obstacle(place / "outer" / "inner" / "file") == place / "outer"


async def test_root_is_told_the_setting_when_the_server_cannot_reach_the_data(place: Path, root: ServerUser) -> None:
    home = place / "home"
    home.mkdir(mode=0o700)
    with pytest.raises(ConfigurationError) as failure:
        async with embedded_postgres(home / "data"):
            pytest.fail("started")
    assert "storage.data_dir" in failure.value.fix
    assert str(home) in failure.value.why
    assert root.name in failure.value.why
    assert home.stat().st_mode & 0o777 == 0o700
    assert list(home.iterdir()) == []


@pytest.mark.usefixtures("root")
async def test_root_does_not_write_into_the_data_directory_of_a_user(place: Path) -> None:
    data_dir = place / "data"
    data_dir.mkdir(mode=0o755)
    os.chown(data_dir, STRANGER.uid, STRANGER.gid)
    with pytest.raises(ConfigurationError, match="belongs to another user") as failure:
        async with embedded_postgres(data_dir):
            pytest.fail("started")
    assert "storage.data_dir" in failure.value.fix
    assert list(data_dir.iterdir()) == []


def test_a_cluster_keeps_its_owner(place: Path, root: ServerUser) -> None:
    cluster = place / "postgres"
    cluster.mkdir()
    assert server_user(cluster) == root
    os.chown(cluster, 1, 1)
    owner = server_user(cluster)
    assert owner is not None
    assert (owner.uid, owner.gid) == (1, 1)


def test_directories_are_made_for_the_owner_alone(place: Path) -> None:
    make_data_dir(place / "new" / "data", None)
    assert [path.stat().st_mode & 0o777 for path in (place, place / "new", place / "new" / "data")] == [
        0o711, 0o700, 0o700,
    ]  # fmt: skip


def test_a_normal_user_records_into_the_directory_of_xdg(place: Path, root: ServerUser) -> None:
    nobody = ServerUser(name="nobody", uid=65_534, gid=65_534)
    assert root
    home = place / "home"
    home.mkdir(mode=0o700)
    os.chown(home, nobody.uid, nobody.gid)
    options = process_options(nobody)
    options["env"] |= {
        "PYTHONPATH": f"{REPOSITORY}:{SITE_PACKAGES}", "PYTHONDONTWRITEBYTECODE": "1", "XDG_DATA_HOME": str(home),
    }  # fmt: skip
    command = [*python_of(nobody), "-c", RECORDER]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # noqa: S603
    assert answer.stderr == ""
    assert answer.stdout == f"recorded {home / 'position-recorder'}\n"
    assert (home / "position-recorder").stat().st_mode & 0o777 == 0o700
    assert (home / "position-recorder" / "postgres").stat().st_uid == nobody.uid
