"""A folder on a disk that betrays: it forgets what was not synced, in any order, and fails when it is told to."""

import errno
from pathlib import Path
from random import Random

from typing_extensions import override

from recorder.spool.folder import File, Folder


class PowerCut(Exception):
    """The machine is gone."""


class _Contents:
    """A file's bytes: those that are durable, and all that the page cache shows."""

    def __init__(self) -> None:
        self.durable = b""
        self.shown = b""


class TreacherousDisk:
    """What outlasts a power cut, and how many operations it takes until then.

    Attributes:
        operations: How many were done.
        cut_at: The number of the operation during which the power is cut.
        failing: The numbers of the operations that fail, each with its errno.
    """

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)  # noqa: S311 - to be repeatable
        self.operations = 0
        self.cut_at: int | None = None
        self.failing: dict[int, int] = {}
        self.durable: dict[str, _Contents] = {}
        self.shown: dict[str, _Contents] = {}

    def step(self) -> None:
        """Count an operation; it fails, or is the last one, if that was said."""
        self.operations += 1
        if self.operations == self.cut_at:
            raise PowerCut
        if code := self.failing.get(self.operations):
            raise OSError(code, errno.errorcode[code])

    def cut_power(self) -> None:
        """Lose what was not synced: of names any, of a file's new bytes any part behind a prefix, or zeros."""
        for name in self.durable.keys() | self.shown.keys():
            if self.durable.get(name) is not self.shown.get(name) and self.chance.random() < 0.5:
                _put(self.durable, name, self.shown.get(name))
        for file in self.durable.values():
            new = file.shown[len(file.durable) :] if file.shown.startswith(file.durable) else b""
            kept = new[: self.chance.randint(0, len(new))]
            hole = self.chance.randint(0, len(kept))
            if self.chance.random() < 0.3:
                kept = kept[:hole] + bytes(len(kept) - hole)
            file.durable = file.shown = file.durable + kept
        self.shown = dict(self.durable)
        self.cut_at, self.failing = None, {}


def _put(names: dict[str, _Contents], name: str, file: _Contents | None) -> None:
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file


class _TreacherousFile(File):
    def __init__(self, disk: TreacherousDisk, contents: _Contents) -> None:
        self._disk = disk
        self._contents = contents

    @override
    def write(self, data: bytes) -> None:
        before = self._contents.shown
        self._contents.shown += data[: self._disk.chance.randint(0, len(data))]
        self._disk.step()
        self._contents.shown = before + data

    @override
    def sync(self) -> None:
        self._disk.step()
        self._contents.durable = self._contents.shown

    @override
    def close(self) -> None:
        pass


class TreacherousFolder(Folder):
    """The folder of the spool on a `TreacherousDisk`."""

    def __init__(self, disk: TreacherousDisk) -> None:
        super().__init__(Path("treacherous"))
        self._disk = disk

    @override
    def names(self) -> list[str]:
        return sorted(self._disk.shown)

    @override
    def size(self, name: str) -> int:
        return len(self._file(name).shown)

    @override
    def read(self, name: str, start: int, end: int | None = None) -> bytes:
        return self._file(name).shown[start:end]

    @override
    def create(self, name: str) -> File:
        self._disk.step()
        if name in self._disk.shown:
            raise FileExistsError(errno.EEXIST, name)
        self._disk.shown[name] = _Contents()
        return _TreacherousFile(self._disk, self._disk.shown[name])

    @override
    def truncate(self, name: str, size: int) -> None:
        self._disk.step()
        file = self._file(name)
        file.shown = file.shown[:size]
        self._disk.step()
        file.durable = file.shown

    @override
    def rename(self, old: str, new: str) -> None:
        self._disk.step()
        self._disk.shown[new] = self._disk.shown.pop(old)

    @override
    def remove(self, name: str) -> None:
        self._disk.step()
        self._disk.shown.pop(name, None)

    @override
    def sync(self) -> None:
        self._disk.step()
        self._disk.durable = dict(self._disk.shown)

    def _file(self, name: str) -> _Contents:
        if name not in self._disk.shown:
            raise FileNotFoundError(errno.ENOENT, name)
        return self._disk.shown[name]
