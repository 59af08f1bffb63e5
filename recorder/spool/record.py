"""Records: how one payload lies in a segment, and how the next one is found behind bytes that are none.

A record is a magic, a CRC-32 of all that follows it, the payload's length, its sequence number, the time at which it
was accepted, and the payload. Payloads are mostly UTF-8, in which the magic's first byte never occurs.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MAGIC = b"\xffREC"
LONGEST = 64 * 1024 * 1024
"""No payload is longer; a length beyond it is damage."""

_HEAD = struct.Struct("<4sIIQQ")
_PROTECTED = 8  # where the checksum's reach begins
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

OVERHEAD = _HEAD.size
"""Bytes of a record besides its payload."""


@dataclass(frozen=True, slots=True)
class Record:
    """One payload, and when it was accepted. Sequence numbers count up by one."""

    sequence: int
    accepted_at: datetime
    payload: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """A stretch of bytes that is no record."""

    start: int
    end: int


def encode_record(record: Record) -> bytes:
    """Return *record* as it lies on disk."""
    microseconds = (record.accepted_at - _EPOCH) // _MICROSECOND
    head = _HEAD.pack(MAGIC, 0, len(record.payload), record.sequence, microseconds)
    checksum = zlib.crc32(record.payload, zlib.crc32(head[_PROTECTED:]))
    return head[:4] + checksum.to_bytes(4, "little") + head[_PROTECTED:] + record.payload


def scan(data: bytes, start: int = 0) -> Iterator[tuple[Record | Damage, int]]:
    """Yield each record from offset *start* on, and each stretch between them that is none, with where it ends."""
    offset = start
    while offset < len(data):
        if found := _record_at(data, offset):
            yield found
            offset = found[1]
        else:
            end = _next_record(data, offset + 1)
            yield Damage(offset, end), end
            offset = end


def _record_at(data: bytes, offset: int) -> tuple[Record, int] | None:
    if len(data) - offset < OVERHEAD:
        return None
    magic, checksum, length, sequence, microseconds = _HEAD.unpack_from(data, offset)
    end = offset + OVERHEAD + length
    if magic != MAGIC or length > LONGEST or end > len(data):
        return None
    if zlib.crc32(memoryview(data)[offset + _PROTECTED : end]) != checksum:
        return None
    return Record(sequence, _EPOCH + microseconds * _MICROSECOND, data[offset + OVERHEAD : end]), end


def _next_record(data: bytes, offset: int) -> int:
    while (offset := data.find(MAGIC, offset)) >= 0:
        if _record_at(data, offset):
            return offset
        offset += 1
    return len(data)
