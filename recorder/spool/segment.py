"""Segments: the files of the log, numbered, each with a header that says what it follows."""

import re
import struct
import zlib
from dataclasses import dataclass
from datetime import datetime

from recorder.exceptions import SpoolUnusable
from recorder.spool.folder import Folder
from recorder.spool.record import Record, scan

FORMAT = 1
"""The format that is written. Older ones are read as well, newer ones are refused."""

_MAGIC = b"\x89RECSPL\n"
_HEADER = struct.Struct("<8sIQI")  # magic, format, follows, checksum of what is before
_NAME = re.compile(r"([0-9]{10})\.log")

HEADER = _HEADER.size


@dataclass(slots=True)
class Segment:
    """One file of the log.

    Attributes:
        follows: The last sequence number that was durable when it was begun: what earlier segments hold beyond it
            was never acknowledged and counts for nothing.
        start: Where its records begin.
        end: Where its durable records end.
        committed_at: When all of it was committed to PostgreSQL; ``None`` while it is not.
    """

    number: int
    follows: int
    start: int
    end: int
    committed_at: datetime | None = None

    @property
    def name(self) -> str:
        return segment_name(self.number)


def segment_name(number: int) -> str:
    return f"{number:010}.log"


def next_number(folder: Folder) -> int:
    """Return the number of the next segment: larger than any there is, also of those that hold nothing."""
    return 1 + max((int(match[1]) for name in folder.names() if (match := _NAME.fullmatch(name))), default=0)


def header(follows: int) -> bytes:
    """Return the beginning of a segment whose records come right after sequence number *follows*."""
    head = _HEADER.pack(_MAGIC, FORMAT, follows, 0)[:-4]
    return head + zlib.crc32(head).to_bytes(4, "little")


def find_segments(folder: Folder) -> list[Segment]:
    """Return the segments there are, oldest first; one that holds no record is none.

    Raises ``SpoolUnusable`` when a newer version of the recorder wrote one.
    """
    found = [int(match[1]) for name in folder.names() if (match := _NAME.fullmatch(name))]
    return [segment for number in sorted(found) if (segment := _read_segment(folder, number))]


def _read_segment(folder: Folder, number: int) -> Segment | None:
    name = segment_name(number)
    try:
        size, head = folder.size(name), folder.read(name, 0, HEADER)
    except FileNotFoundError:
        return None  # deleted meanwhile by the service, which a replay reads beside
    if len(head) == HEADER:
        magic, version, follows, checksum = _HEADER.unpack(head)
        if magic == _MAGIC and checksum == zlib.crc32(head[:-4]):
            if version > FORMAT:
                raise SpoolUnusable(
                    f"the spool's {name} is of format {version}",
                    why=f"a newer version of the recorder wrote it, this one reads formats up to {FORMAT}",
                    fix="install that version again, or move the spool's folder away, and with it what waits in it",
                )
            return Segment(number, follows, HEADER, size)
    # A header that was never finished, or damaged later: what records there are tell what it follows.
    for found, _ in scan(folder.read(name, 0)):
        if isinstance(found, Record):
            return Segment(number, found.sequence - 1, 0, size)
    return None
