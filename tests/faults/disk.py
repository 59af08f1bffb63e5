"""A disk that fails on request, under one process: full, broken, slow, or the place where the process dies."""

import errno
import mmap
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SOURCE = Path(__file__).with_name("failing_disk.c")
_FIELDS = ("points", "kill_at", "write_error", "sync_error", "delay_ms", "met")
_LAYOUT = struct.Struct(f"{len(_FIELDS)}i")


def compiler() -> str | None:
    """Return a C compiler, without which there is no such disk."""
    return shutil.which("cc") or shutil.which("gcc")


class Disk:
    """What lies under *folder* fails for every process that is started with ``variables``.

    The control file is in *control*, a folder that those processes can enter.
    """

    def __init__(self, folder: Path, control: Path) -> None:
        control.mkdir(exist_ok=True)
        library, shared = control / "failing_disk.so", control / "control"
        cc = compiler()
        assert cc, "there is no C compiler"
        subprocess.run(  # noqa: S603 - our own source
            [cc, "-O2", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"], check=True
        )
        shared.write_bytes(bytes(_LAYOUT.size))
        for path, mode in ((control, 0o755), (library, 0o755), (shared, 0o666)):
            path.chmod(mode)
        with shared.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _LAYOUT.size)
        self.variables = {
            "LD_PRELOAD": str(library),
            "FAILING_DISK_CONTROL": str(shared),
            "FAILING_DISK_FOLDER": f"{folder.resolve()}/",
        }

    @property
    def points(self) -> int:
        """How many calls have changed what is on the disk, or were about to."""
        return self._get("points")

    @property
    def met(self) -> int:
        """How many calls have failed or taken longer."""
        return self._get("met")

    def kill_at(self, point: int) -> None:
        """Let the process die at the *point*-th call from now on that changes what is on the disk; 0: no more."""
        self._set(points=0, kill_at=point)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Have no space for anything."""
        with self._while(write_error=errno.ENOSPC):
            yield

    @contextmanager
    def broken(self) -> Iterator[None]:
        """Be unable to keep what was written."""
        with self._while(sync_error=errno.EIO):
            yield

    @contextmanager
    def slow(self, milliseconds: int) -> Iterator[None]:
        """Take so much longer to keep what was written."""
        with self._while(delay_ms=milliseconds):
            yield

    @contextmanager
    def _while(self, **values: int) -> Iterator[None]:
        self._set(**values)
        try:
            yield
        finally:
            self._set(**dict.fromkeys(values, 0))

    def _get(self, field: str) -> int:
        value: int = _LAYOUT.unpack(self._shared[:])[_FIELDS.index(field)]
        return value

    def _set(self, **values: int) -> None:
        for field, value in values.items():
            struct.pack_into("i", self._shared, 4 * _FIELDS.index(field), value)
