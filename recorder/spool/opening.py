"""Opening a spool: for its one writer, or to look into it beside the writer."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from recorder.exceptions import SpoolUnusable
from recorder.spool.folder import Folder
from recorder.spool.lock import only_writer
from recorder.spool.log import Log
from recorder.spool.record import Record, scan
from recorder.spool.segment import find_segments


@contextmanager
def open_spool(data_dir: Path, *, limit: int, replay_window: timedelta) -> Iterator[Log]:
    """Yield the spool under *data_dir* to its only writer. Raises ``SpoolInUse`` or ``SpoolUnusable``."""
    folder = Folder(spool_path(data_dir))
    try:
        folder.make()
    except OSError as error:
        raise SpoolUnusable(
            f"the spool's folder {folder.path} cannot be made",
            why=error.strerror or str(error),
            fix="make storage.data_dir a folder that this user may write",
        ) from error
    with only_writer(folder.path), closing(Log(folder, limit=limit, replay_window=replay_window)) as log:
        yield log


def records_since(data_dir: Path, since: datetime) -> Iterator[Record]:
    """Yield the records that were accepted since then and are still held; only reads, also beside the writer."""
    folder = Folder(spool_path(data_dir))
    for segment in find_segments(folder):
        try:
            data = folder.read(segment.name, segment.start)
        except FileNotFoundError:
            continue  # deleted by the writer meanwhile: what it held is committed, and its window is over
        for found, _ in scan(data):
            if isinstance(found, Record) and found.accepted_at >= since:
                yield found


def spool_path(data_dir: Path) -> Path:
    return data_dir / "spool"
