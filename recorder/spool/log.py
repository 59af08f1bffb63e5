"""The log: payloads in, durable when they are acknowledged; out again in their order until PostgreSQL has them.

Nothing here knows threads or tasks: one thread at a time calls it.
"""

import errno
import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from time import perf_counter

from recorder.exceptions import SpoolFull, SpoolUnusable
from recorder.spool.checkpoint import Checkpoint, LettingGo, read_checkpoint, write_checkpoint
from recorder.spool.folder import File, Folder
from recorder.spool.reader import Loss, Reader, keep_aside
from recorder.spool.record import Record, encode_record, scan
from recorder.spool.segment import HEADER, Segment, find_segments, header, next_number, segment_name

SEGMENT_BYTES = 8 * 1024 * 1024
_RESERVE = "reserve"
_RESERVE_BYTES = 64 * 1024
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})

log = logging.getLogger(__name__)


class Log:
    """A log on disk. Opened, it holds what an earlier process left.

    Attributes:
        limit: How many bytes all segments may have; more are kept only until what is committed can be deleted.
        last: The sequence number of the newest durable record.
        size: Bytes of all segments.
        waiting_size: Bytes of the segments that are not committed as a whole.
        torn: Bytes at the end that an interrupted process had not finished writing, and that were cut off.
        fsync_seconds: How long the newest append took to become durable.
    """

    def __init__(
        self, folder: Folder, *, limit: int, replay_window: timedelta, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        """Open the log in *folder*, which exists. Raises ``SpoolUnusable``.

        What is committed is kept for *replay_window*, and for less when *limit* is reached. It is the caller who does
        not append beyond the limit.
        """
        self._folder = folder
        self.limit = limit
        self._window = replay_window
        self._segment_bytes = min(segment_bytes, limit // 8)
        self._file: File | None = None
        self._has_reserve = False
        self.torn = 0
        self.fsync_seconds = 0.0
        try:
            self._segments = find_segments(folder)
            self._checkpoint = read_checkpoint(folder) or Checkpoint()
            self.last = max(self._end_of_records(), self._checkpoint.sequence)
            self._refill_reserve()
        except OSError as error:
            raise SpoolUnusable(
                f"the spool in {folder.path} cannot be opened",
                why=error.strerror or str(error),
                fix="make storage.data_dir a folder on a working disk that this user may write",
            ) from error
        self._number = next_number(folder)
        for segment in self._segments:
            if self._last_of(segment) <= self._checkpoint.sequence:
                segment.committed_at = self._checkpoint.at
        self._reader = Reader(folder, self._segments, self._checkpoint.sequence)
        self._measure()

    @property
    def checkpoint(self) -> Checkpoint:
        return self._checkpoint

    @property
    def damaged(self) -> int:
        """How many stretches of bytes were no record, so far."""
        return self._reader.damaged

    def append(self, payloads: Sequence[bytes], now: datetime) -> int:
        """Append *payloads*; they are durable when this returns the sequence number of the last one.

        Raises ``SpoolFull``: nothing of them counts, and all of them may be given again.
        """
        data = b"".join(
            encode_record(Record(number, now, payload)) for number, payload in enumerate(payloads, self.last + 1)
        )
        try:
            self._write(data)
        except OSError as error:
            self._abandon()
            if error.errno in _NO_SPACE:
                raise _full(error) from error
            log.error("the spool could not be written: %s; it goes on in a new file", error)
            try:  # what the failed file holds is not known, and an fsync that is repeated on it would lie
                self._write(data)
            except OSError as again:
                self._abandon()
                raise _full(again) from again
        self.last += len(payloads)
        if sum(segment.end for segment in self._segments) > self.limit:
            self._delete(now)
        self._refill_reserve()
        self._measure()
        return self.last

    def read(self) -> Iterator[Record | Loss]:
        """Yield, in their order, the durable records not yet yielded, and what was lost between them."""
        return self._reader.read(self.last)

    def rewind(self, after: int) -> None:
        """Yield again what comes after number *after*, and first the loss of what is held no longer."""
        self._seek(after)
        for segment in self._segments:
            if self._last_of(segment) > after:
                segment.committed_at = None
        self._measure()

    def skip(self, through: int) -> None:
        """Yield nothing up to number *through*: the caller has it at hand."""
        if through > self._reader.reached:
            self._seek(through)

    def commit(self, sequence: int, now: datetime, letting_go: Sequence[LettingGo] = ()) -> None:
        """Note durably that everything up to *sequence* is committed, then delete what nobody needs any more.

        May raise ``SpoolFull``: then nothing is deleted, and after a crash more is written to PostgreSQL once more.
        """
        checkpoint = replace(self._checkpoint, sequence=sequence, at=now, letting_go=tuple(letting_go))
        try:
            try:
                write_checkpoint(self._folder, checkpoint)
            except OSError as error:
                if error.errno not in _NO_SPACE:
                    raise
                self._folder.remove(_RESERVE)
                self._has_reserve = False
                write_checkpoint(self._folder, checkpoint)
        except OSError as error:
            raise _full(error) from error
        self._checkpoint = checkpoint
        for segment in self._segments:
            if segment.committed_at is None and self._last_of(segment) <= sequence:
                segment.committed_at = now
        self._delete(now)
        self._measure()

    def rename(self, instance: str) -> None:
        """Go on as the spool *instance*; it is on disk after the next ``commit``."""
        self._checkpoint = replace(self._checkpoint, instance=instance)

    def size_after(self, sequence: int) -> int:
        """Return the bytes of the segments that hold anything after number *sequence*."""
        return sum(segment.end for segment in self._segments if self._last_of(segment) > sequence)

    def has_expired(self, now: datetime) -> bool:
        """Whether ``commit`` would delete something that is kept for a replay no longer."""
        first = self._segments[0] if self._segments[bool(self._file) :] else None  # the last one may be in use
        return first is not None and first.committed_at is not None and now - first.committed_at >= self._window

    def keep_aside(self, name: str, data: bytes) -> None:
        """Copy *data*, which cannot be written to PostgreSQL or not be understood, into a file of its own."""
        keep_aside(self._folder, name, data)

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _seek(self, after: int) -> None:
        damaged, self._reader = self._reader.damaged, Reader(self._folder, self._segments, after)
        self._reader.damaged = damaged

    def _write(self, data: bytes) -> None:
        began = perf_counter()
        if self._file and self._segments[-1].end >= self._segment_bytes:
            self.close()
        file, segment = self._file or self._begin_segment(), self._segments[-1]
        file.write(data)
        file.sync()
        if segment.end == 0:
            self._folder.sync()
            segment.end = HEADER
        segment.end += len(data)
        segment.committed_at = None
        self.fsync_seconds = perf_counter() - began

    def _begin_segment(self) -> File:
        number, self._number = self._number, self._number + 1
        self._file = self._folder.create(segment_name(number))
        self._segments.append(Segment(number, self.last, HEADER, 0))
        self._file.write(header(self.last))
        return self._file

    def _abandon(self) -> None:
        """Never write to the newest segment again; cut off what was not acknowledged, as far as that is possible."""
        if self._file is None:
            return
        with suppress(OSError):
            self.close()
        self._file = None
        segment = self._segments[-1]
        if segment.end == 0:
            self._segments.pop()
            with suppress(OSError):
                self._folder.remove(segment.name)
        else:
            with suppress(OSError):
                self._folder.truncate(segment.name, segment.end)

    def _end_of_records(self) -> int:
        """Cut off what was torn at the end of the newest segment, and return its last sequence number."""
        if not self._segments:
            return 0
        segment = self._segments[-1]
        data = self._folder.read(segment.name, segment.start, segment.end)
        last, end = segment.follows, 0
        for found, ending in scan(data):
            if isinstance(found, Record):
                last, end = found.sequence, ending
        if end < len(data):
            self.torn = len(data) - end
            keep_aside(self._folder, f"torn-{segment.number:010}-{segment.start + end}", data[end:])
            segment.end = segment.start + end
            self._folder.truncate(segment.name, segment.end)
        return last

    def _last_of(self, segment: Segment) -> int:
        following = next((each for each in self._segments if each.number > segment.number), None)
        return self.last if following is None else following.follows

    def _delete(self, now: datetime) -> None:
        size = sum(segment.end for segment in self._segments)
        writing = self._segments[-1] if self._file else None
        for segment in list(self._segments):
            if segment is writing or segment.committed_at is None:
                break
            if size <= self.limit and now - segment.committed_at < self._window:
                break
            try:
                self._folder.remove(segment.name)
            except OSError as error:
                log.warning("%s could not be deleted, which loses nothing: %s", segment.name, error)
                break
            size -= segment.end
            self._segments.remove(segment)

    def _measure(self) -> None:
        self.size = sum(segment.end for segment in self._segments)
        self.waiting_size = sum(segment.end for segment in self._segments if segment.committed_at is None)

    def _refill_reserve(self) -> None:
        """Keep some bytes of the disk, so that on a full one there is room to note what was let go."""
        if self._has_reserve:
            return
        try:
            self._folder.remove(_RESERVE)
            file = self._folder.create(_RESERVE)
            try:
                file.write(bytes(_RESERVE_BYTES))
                file.sync()
            finally:
                file.close()
        except OSError as error:
            log.warning("the spool has no reserve on a disk that is full: %s", error)
            with suppress(OSError):
                self._folder.remove(_RESERVE)
        else:
            self._has_reserve = True


def _full(error: OSError) -> SpoolFull:
    return SpoolFull(
        "the spool cannot be written",
        why=error.strerror or str(error),
        fix="free disk space under storage.data_dir" if error.errno in _NO_SPACE else "replace the disk",
    )
