"""The system user that runs PostgreSQL for a recorder started as root, and the directory both of them use.

PostgreSQL refuses to run as root. No mode of a directory that exists already is ever changed to let that user in.
"""

import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recorder.exceptions import ConfigurationError

SYSTEM_DATA_DIR = Path("/var/lib/position-recorder")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUser:
    """An unprivileged user of this machine, without any supplementary group."""

    name: str
    uid: int
    gid: int

    def obstacle(self, path: Path) -> Path | None:
        """Return the outermost part of *path* that is closed to this user; what does not exist yet is not closed."""
        for part in _from_root(path.resolve()):
            try:
                status = part.stat()
            except FileNotFoundError:
                return None
            shift = 6 if status.st_uid == self.uid else 3 if status.st_gid == self.gid else 0
            if not status.st_mode >> shift & stat.S_IXOTH:
                return part
        return None


def server_user(cluster: Path) -> ServerUser | None:
    """Return who must run the server of *cluster*: nobody special unless this process is root's.

    A cluster that exists keeps its owner. A new one gets ``postgres``, where a package made that user, else ``nobody``.
    """
    if os.geteuid() != 0:
        return None
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return ServerUser(name=cluster.owner(), uid=owner.st_uid, gid=owner.st_gid)
    users = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in users:
            return ServerUser(name=name, uid=users[name].pw_uid, gid=users[name].pw_gid)
    raise ConfigurationError(
        "The embedded PostgreSQL cannot run here as root",
        why="PostgreSQL refuses to be root, and there is neither a user postgres nor a user nobody to run it",
        fix="run the recorder as a normal user, or set database.url",
    )


def process_options(user: ServerUser | None) -> dict[str, Any]:
    """Return how a program of PostgreSQL is started, as options of ``subprocess.Popen``.

    In a session of its own, out of reach of a terminal's Ctrl-C, and without this process's environment, which holds
    API keys and may hold ``PG*`` variables.
    """
    options: dict[str, Any] = {
        "cwd": "/",
        "env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        "start_new_session": True,
        "umask": 0o077,
    }
    if user is not None:
        options |= {"user": user.uid, "group": user.gid, "extra_groups": []}
    return options


def make_data_dir(data_dir: Path, user: ServerUser | None) -> None:
    """Make *data_dir* where it is missing: for the owner alone, or passable (not readable) for the sake of *user*.

    Raises:
        ConfigurationError: *user* cannot reach it, or it belongs to a third user.
    """
    if user is not None and (closed := user.obstacle(data_dir)) is not None:
        raise ConfigurationError(
            f"PostgreSQL cannot reach the data directory {data_dir}",
            why=f"started as root it runs as user {user.name}, to whom {closed} is closed",
            fix=f"set storage.data_dir to a place like {SYSTEM_DATA_DIR}, or run the recorder as a normal user",
        )
    for part in _from_root(data_dir):
        if not part.exists():
            part.mkdir(mode=0o700, exist_ok=True)
            part.chmod(0o700 if user is None else 0o711)
    if user is not None and (owner := data_dir.stat().st_uid) not in {0, user.uid}:
        raise ConfigurationError(
            f"The data directory {data_dir} belongs to another user (uid {owner}), and this is root",
            why="that user could no longer record into it, or could make root write elsewhere",
            fix="run the recorder as that user, or set storage.data_dir to a directory of root",
        )


def _from_root(path: Path) -> Iterator[Path]:
    yield from reversed(path.parents)
    yield path
