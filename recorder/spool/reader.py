"""The reader: the durable records of a log in their order, whatever lies between them."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from recorder.spool.folder import Folder
from recorder.spool.record import Record, scan
from recorder.spool.segment import Segment

_SECTOR = 4096

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loss:
    """Records that were durable and cannot be read any more.

    Attributes:
        count: How many, by the sequence numbers around them.
        through: The number of the last one.
        since: When the last one before them was accepted; ``None`` when that is not known.
        until: The same of the first one after them.
    """

    count: int
    through: int
    since: datetime | None
    until: datetime | None


class Reader:
    """Reads on from a sequence number; of what is damaged it copies the bytes aside, once.

    *segments* may grow while it reads; each of them is read up to its ``end``.

    Attributes:
        reached: Everything up to this number was yielded.
        damaged: How many stretches of bytes that are no record were met.
    """

    def __init__(self, folder: Folder, segments: Sequence[Segment], after: int) -> None:
        self._folder = folder
        self._segments = segments
        self._number, self._offset = 0, 0
        self._data, self._begin, self._of = b"", 0, 0
        self._since: datetime | None = None
        self.reached = after
        self.damaged = 0
        self._seek(after)

    def read(self, through: int) -> Iterator[Record | Loss]:
        """Yield the records after the last one yielded, and what was lost between them, up to number *through*."""
        while self.reached < through and (segment := self._segment()):
            last = self._last_of(segment, through)
            for found in self._records(segment):
                if found.sequence > last:
                    break
                if found.sequence <= self.reached:
                    self._since = found.accepted_at
                    continue
                if found.sequence > self.reached + 1:
                    yield self._lost(found.sequence - 1, found.accepted_at)
                self.reached, self._since = found.sequence, found.accepted_at
                yield found
                if self.reached >= through:
                    return
            if self._next_of(segment) is None:
                break
            self._number, self._offset = segment.number + 1, 0
        if self.reached < through:
            yield self._lost(through, None)

    def _lost(self, through: int, until: datetime | None) -> Loss:
        loss = Loss(through - self.reached, through, self._since, until)
        self.reached = through
        return loss

    def _seek(self, after: int) -> None:
        for segment in self._segments:
            if segment.follows <= after or not self._number:
                self._number, self._offset = segment.number, 0

    def _segment(self) -> Segment | None:
        return next((each for each in self._segments if each.number >= self._number), None)

    def _next_of(self, segment: Segment) -> Segment | None:
        return next((each for each in self._segments if each.number > segment.number), None)

    def _last_of(self, segment: Segment, through: int) -> int:
        following = self._next_of(segment)
        return through if following is None else min(through, following.follows)

    def _records(self, segment: Segment) -> Iterator[Record]:
        if segment.number != self._number:  # those before it are gone
            self._number, self._offset = segment.number, 0
        self._offset = max(self._offset, segment.start)
        if (self._of, self._begin + len(self._data)) != (segment.number, segment.end) or self._begin > self._offset:
            self._data = _read(self._folder, segment, self._offset)
            self._of, self._begin = segment.number, self._offset
        data, begin = self._data, self._begin
        for found, end in scan(data, self._offset - begin):
            self._offset = begin + end
            if isinstance(found, Record):
                yield found
            else:
                self.damaged += 1
                keep_aside(self._folder, f"damaged-{segment.number:010}-{begin + found.start}", data[found.start : end])


def _read(folder: Folder, segment: Segment, start: int) -> bytes:
    """Return the bytes of *segment* from offset *start* on, with zeros for those that the disk does not give."""
    try:
        return folder.read(segment.name, start, segment.end)
    except FileNotFoundError:
        return b""
    except OSError as error:
        log.error("the disk does not give all of %s: %s", segment.name, error)
    parts = []
    for offset in range(start, segment.end, _SECTOR):
        end = min(offset + _SECTOR, segment.end)
        try:
            parts.append(folder.read(segment.name, offset, end))
        except OSError:
            parts.append(bytes(end - offset))
    return b"".join(parts)


def keep_aside(folder: Folder, name: str, data: bytes) -> None:
    """Copy what nobody can write or read into a file of its own, where there is still room for it."""
    log.error("%d bytes of the spool are put aside as %s", len(data), name)
    with suppress(OSError):
        file = folder.create(name)
        try:
            file.write(data)
            file.sync()
        finally:
            file.close()
