"""Whatever the disk does, what was acknowledged is there after every crash, in its order, and nothing else is."""

import errno
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.exceptions import SpoolFull, SpoolUnusable
from recorder.spool.log import Log
from recorder.spool.record import Record
from tests.spool.treacherous import PowerCut, TreacherousDisk, TreacherousFolder

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ACTIONS = st.lists(st.sampled_from(["append", "append many", "read", "commit", "commit half", "restart"]), max_size=30)
FAILURES = st.dictionaries(st.integers(1, 120), st.sampled_from([errno.EIO, errno.ENOSPC]), max_size=6)


@dataclass
class Judge:
    """What was promised, and to whom.

    Attributes:
        acknowledged: The payload of each sequence number that was acknowledged.
        given: Everything that was ever given.
        committed: Up to where PostgreSQL was said to have it, by a call that returned or by one that did not.
    """

    acknowledged: dict[int, bytes] = field(default_factory=dict)
    given: set[bytes] = field(default_factory=set)
    committed: int = 0
    numbers: "count[int]" = field(default_factory=count)

    def work(self, log: Log, actions: list[str]) -> None:
        for action in actions:
            try:
                self._act(log, action)
            except SpoolFull:
                continue

    def look(self, log: Log) -> None:
        """See that what is read after a restart is what was promised."""
        assert log.checkpoint.sequence <= self.committed
        found = list(log.read())
        assert all(isinstance(each, Record) for each in found), found
        records = [each for each in found if isinstance(each, Record)]
        assert [each.sequence for each in records] == list(range(log.checkpoint.sequence + 1, log.last + 1))
        assert {each.payload for each in records} <= self.given
        there = {each.sequence: each.payload for each in records}
        for sequence, payload in self.acknowledged.items():
            if sequence > log.checkpoint.sequence:
                assert there[sequence] == payload
        # What was never acknowledged may be there all the same; from now on it counts.
        self.acknowledged |= there

    def _act(self, log: Log, action: str) -> None:
        match action:
            case "append" | "append many":
                payloads = [b"%06d" % next(self.numbers) * 5 for _ in range(1 if action == "append" else 7)]
                self.given |= set(payloads)
                last = log.append(payloads, NOON)
                self.acknowledged |= dict(enumerate(payloads, last - len(payloads) + 1))
            case "read":
                log.skip(log.checkpoint.sequence)
                for each in log.read():
                    assert isinstance(each, Record)
                    assert each.payload == self.acknowledged[each.sequence]
            case _:
                reached = log.last if action == "commit" else (log.last + log.checkpoint.sequence) // 2
                self.committed = max(self.committed, reached)
                log.commit(reached, NOON)


def opened(disk: TreacherousDisk) -> Log:
    return Log(TreacherousFolder(disk), limit=100_000, replay_window=timedelta(0), segment_bytes=300)


@settings(max_examples=600, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.tuples(ACTIONS, st.integers(1, 60)), min_size=1, max_size=4), FAILURES)
def test_what_was_acknowledged_is_there_after_every_power_cut(
    seed: int, lives: list[tuple[list[str], int]], failures: dict[int, int]
) -> None:
    disk, judge = TreacherousDisk(seed), Judge()
    for actions, cut_after in lives:
        disk.cut_at, disk.failing = disk.operations + cut_after, dict(failures)
        try:
            log = opened(disk)
            judge.look(log)
            judge.work(log, actions)
        except (PowerCut, SpoolUnusable):
            pass
        disk.cut_power()
    judge.look(opened(disk))


def test_a_power_cut_at_each_single_operation_of_append_rotation_checkpoint_and_deletion_loses_nothing() -> None:
    actions = ["append", "append many", "commit half", "append many", "append many", "commit", "append", "commit"]
    whole = TreacherousDisk(0)
    Judge().work(opened(whole), actions)
    assert whole.operations > 30
    for cut_at in range(1, whole.operations + 1):
        for seed in range(6):
            disk, judge = TreacherousDisk(seed), Judge()
            disk.cut_at = cut_at
            try:
                judge.work(opened(disk), actions)
            except PowerCut:
                disk.cut_power()
            judge.look(opened(disk))
