"""The lock: one process at a time writes a spool."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recorder.exceptions import SpoolInUse


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Be the only process that writes the spool in *folder*, until it ends however it ends. Raises ``SpoolInUse``."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
            raise SpoolInUse(
                f"another recorder writes the spool in {folder}",
                why=f"process {holder or 'unknown'} runs with the same storage.data_dir",
                fix="stop that one, or give this one a storage.data_dir of its own",
            ) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)
