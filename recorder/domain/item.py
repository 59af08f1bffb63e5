"""What is recorded: everything that observation yields, each for one account."""

from recorder.domain.beginning import Beginning
from recorder.domain.event import Told
from recorder.domain.gap import Gap
from recorder.domain.snapshot import Snapshot
from recorder.domain.stream import StreamState

Item = Snapshot | Gap | Told | StreamState | Beginning


def size_of(item: Item) -> int:
    """Return how many rows *item* counts as: a snapshot's positions and itself, else one."""
    return 1 + len(item.positions) if isinstance(item, Snapshot) else 1
