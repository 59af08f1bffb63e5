"""A batch: what is committed at once, from memory or read back from the spool."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from recorder.domain.item import Item, size_of
from recorder.exceptions import UnknownRecord
from recorder.spool.codec import decode_item
from recorder.spool.log import Log
from recorder.spool.reader import Loss

BATCH_ROWS = 4_000
"""So many rows that what a transaction costs by itself is little, and so few that it takes no second."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """An item on its way to its commit.

    Attributes:
        payload: As the spool keeps it.
        sequence: Its number in the spool; 0 while it has none.
    """

    accepted_at: datetime
    item: Item
    payload: bytes
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be committed next.

    Attributes:
        through: Everything up to this number of the spool is committed when the batch is.
        lost: What could not be read between the entries, and is in none of them.
    """

    entries: Sequence[Entry]
    through: int
    lost: Sequence[Loss] = ()


def read_batch(spool: Log, after: int) -> Batch:
    """Return what comes after number *after*, up to ``BATCH_ROWS`` and a little more.

    A record that this version does not know is put aside and counts as lost.
    """
    spool.skip(after)
    entries: list[Entry] = []
    lost: list[Loss] = []
    rows, through = 0, after
    for found in spool.read():
        if isinstance(found, Loss):
            through = found.through
            lost.append(found)
            continue
        through = found.sequence
        try:
            item = decode_item(found.payload)
        except UnknownRecord as error:
            log.error("%s: %s; %s", error.what, error.why, error.fix)
            spool.keep_aside(f"unknown-{through:020}", found.payload)
            lost.append(Loss(1, through, found.accepted_at, found.accepted_at))
            continue
        entries.append(Entry(found.accepted_at, item, found.payload, through))
        rows += size_of(item)
        if rows >= BATCH_ROWS:
            break
    return Batch(entries, through, lost)
