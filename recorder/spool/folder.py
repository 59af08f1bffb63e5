"""The folder of the spool: the one place that touches the disk, so that tests can put a treacherous one there."""

import os
from contextlib import suppress
from pathlib import Path


class File:
    """A new file that is only appended to."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes) -> None:
        """Append all of *data*; it is durable only after ``sync``."""
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]

    def sync(self) -> None:
        """Make durable what was written. After an error nobody knows what is on disk: never call it again."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


class Folder:
    """Files for the owner alone. Every method may raise ``OSError``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self) -> None:
        """Make the folder where it is missing, durably, closed to everybody else."""
        missing = [part for part in (self.path, *self.path.parents) if not part.exists()]
        for part in reversed(missing):
            part.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(part.parent)
        self.path.chmod(0o700)

    def names(self) -> list[str]:
        with suppress(FileNotFoundError):
            return sorted(os.listdir(self.path))  # noqa: PTH208 - names are wanted, not paths
        return []

    def size(self, name: str) -> int:
        return (self.path / name).stat().st_size

    def read(self, name: str, start: int, end: int | None = None) -> bytes:
        """Return what lies between two offsets, less when the file is shorter."""
        with (self.path / name).open("rb", buffering=0) as file:
            file.seek(start)
            return file.readall() if end is None else _read_up_to(file.fileno(), end - start)

    def create(self, name: str) -> File:
        """Make a new file; its name is durable after ``sync``."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        return File(os.open(self.path / name, flags, 0o600))

    def truncate(self, name: str, size: int) -> None:
        """Cut a file down to *size*, durably."""
        descriptor = os.open(self.path / name, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: str, new: str) -> None:
        (self.path / old).replace(self.path / new)

    def remove(self, name: str) -> None:
        """Delete a file; that it is gone already is fine."""
        (self.path / name).unlink(missing_ok=True)

    def sync(self) -> None:
        """Make durable which names there are."""
        _sync_folder(self.path)


def _read_up_to(descriptor: int, size: int) -> bytes:
    parts = []
    while size > 0 and (part := os.read(descriptor, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
