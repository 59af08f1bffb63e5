"""The checkpoint: up to where PostgreSQL has what the spool holds, and what was let go. Replaced as a whole."""

import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

import msgspec

from recorder.domain.gap import GapSource
from recorder.spool.folder import Folder

NAME = "checkpoint"
_NEXT = "checkpoint.next"


@dataclass(frozen=True, slots=True, kw_only=True)
class LettingGo:
    """What is observed of an account is let go, since the last instant of which it was kept."""

    account: str
    source: GapSource
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """How far PostgreSQL has what the spool holds.

    Attributes:
        instance: Which spool this is: PostgreSQL keeps under this name how far it has it.
        sequence: Everything up to this number is committed.
        at: When that was so.
    """

    instance: str = field(default_factory=lambda: uuid4().hex)
    sequence: int = 0
    at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    letting_go: tuple[LettingGo, ...] = ()


def read_checkpoint(folder: Folder) -> Checkpoint | None:
    """Return the checkpoint; ``None`` when there is none or it is damaged, so that everything is written again."""
    try:
        checksum, _, text = folder.read(NAME, 0).partition(b" ")
    except FileNotFoundError:
        return None
    try:
        if int(checksum, 16) != zlib.crc32(text):
            return None
        return msgspec.json.decode(text, type=Checkpoint)
    except (ValueError, msgspec.MsgspecError):
        return None


def write_checkpoint(folder: Folder, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint; at every moment the old or the new one is on disk. May raise ``OSError``."""
    text = msgspec.json.encode(checkpoint)
    folder.remove(_NEXT)
    file = folder.create(_NEXT)
    try:
        file.write(b"%08x %s" % (zlib.crc32(text), text))
        file.sync()
    finally:
        file.close()
    folder.rename(_NEXT, NAME)
    folder.sync()
