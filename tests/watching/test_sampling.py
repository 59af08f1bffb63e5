"""Which slots of an account are a gap, why, and from when to when."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.domain.snapshot import Kind, Outcome, Snapshot
from recorder.recording import Recording
from recorder.watching.sampling import Sampling

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def at(slot: float) -> datetime:
    return NOON + slot * MINUTE


@dataclass
class Sampled:
    """A sampling whose gaps go into a list, as (reason, began, ended) in slots."""

    gaps: list[tuple[str, float, float | None]] = field(default_factory=list)
    banned: bool = False

    def __post_init__(self) -> None:
        self.sampling = Sampling("main", cast("Recording", self), since=at(0), banned=lambda: self.banned)

    def record_gap(self, gap: Gap) -> None:
        ended = None if gap.ended_at is None else (gap.ended_at - NOON) / MINUTE
        self.gaps.append((gap.reason, (gap.started_at - NOON) / MINUTE, ended))

    def note(self, slot: float, outcome: Outcome = Outcome.OK, kind: Kind = Kind.SLOT) -> None:
        self.sampling.note(Snapshot(account="main", time=at(slot), kind=kind, taken_at=at(slot), outcome=outcome))

    def take_over(self, reason: GapReason, slot: float, *, missed: bool) -> None:
        gap = Gap(account="main", source=GapSource.SNAPSHOT, started_at=at(slot), ended_at=None, reason=reason)
        self.sampling.take_over([gap], last_ok=at(slot), missed=missed)


@pytest.fixture
def sampled() -> Sampled:
    return Sampled()


def test_failed_slots_are_one_gap_from_the_last_ok_snapshot_to_the_next(sampled: Sampled) -> None:
    for slot, outcome in enumerate((Outcome.OK, Outcome.UNREACHABLE, Outcome.TIMEOUT, Outcome.OK, Outcome.OK)):
        sampled.note(slot, outcome)
    assert sampled.gaps == [("exchange_unavailable", 0, None), ("exchange_unavailable", 0, 3)]


@pytest.mark.parametrize(
    ("outcome", "banned", "reason"),
    [
        (Outcome.TIMEOUT, False, "exchange_unavailable"),
        (Outcome.RATE_LIMITED, True, "banned"),
        (Outcome.RATE_LIMITED, False, "weight_used_up"),
        (Outcome.ACCOUNT_REJECTED, False, "key_rejected"),
        (Outcome.MALFORMED, False, "exchange_refused"),
        (Outcome.MISSED, False, "asleep"),
        (Outcome.STOPPED, False, "stopped"),
        (Outcome.INTERNAL_ERROR, False, "internal_error"),
    ],
)
def test_the_reason_is_that_of_the_first_failure(sampled: Sampled, outcome: Outcome, banned: bool, reason: str) -> None:
    sampled.banned = banned
    sampled.note(0)
    sampled.note(1, outcome)
    sampled.note(2, Outcome.CLOCK)
    assert sampled.gaps == [(reason, 0, None)]


def test_what_was_asked_for_besides_the_slots_may_end_a_gap_and_opens_none(sampled: Sampled) -> None:
    sampled.note(0)
    sampled.note(0.5, Outcome.TIMEOUT, Kind.RECONNECT)
    assert sampled.gaps == []
    sampled.note(1, Outcome.TIMEOUT)
    sampled.note(1.5, Outcome.OK, Kind.RECONNECT)
    assert sampled.gaps[-1] == ("exchange_unavailable", 0, 1.5)


def test_a_slot_that_fails_after_later_ones_were_ok_is_a_gap_between_those_beside_it(sampled: Sampled) -> None:
    for slot in (1, 4, 5):
        sampled.note(slot)
    sampled.note(2, Outcome.RATE_LIMITED)
    sampled.note(3, Outcome.TIMEOUT)
    sampled.note(6, Outcome.TIMEOUT)
    assert sampled.gaps == [
        *[("weight_used_up", 1, 4)] * 2,
        ("exchange_unavailable", 5, None),
    ]


def test_an_answer_that_comes_late_ends_what_was_told_of_its_slot(sampled: Sampled) -> None:
    sampled.note(1)
    sampled.note(4.5, kind=Kind.RECONNECT)
    sampled.note(3, Outcome.TIMEOUT)
    sampled.note(2)
    sampled.note(4)
    assert sampled.gaps[-3:] == [
        ("exchange_unavailable", 1, 1),
        ("exchange_unavailable", 2, 4.5),
        ("exchange_unavailable", 2, 4),
    ]


def test_a_gap_that_begins_where_a_stop_was_none_is_another_gap(sampled: Sampled) -> None:
    sampled.take_over(GapReason.STOPPED, 0, missed=False)
    sampled.note(0)
    sampled.note(1, Outcome.TIMEOUT)
    assert sampled.gaps == [("stopped", 0, 0), ("exchange_unavailable", timedelta(microseconds=1) / MINUTE, None)]


def test_a_slot_that_fails_late_within_a_gap_that_was_taken_over_adds_none(sampled: Sampled) -> None:
    sampled.take_over(GapReason.NOT_RUNNING, -2, missed=True)
    sampled.note(0.2, kind=Kind.START)
    sampled.note(0, Outcome.TIMEOUT)
    assert sampled.gaps == [("not_running", -2, 0.2)] * 2


def test_an_answer_that_comes_after_a_later_slot_failed_ends_the_gap_and_begins_another(sampled: Sampled) -> None:
    sampled.note(1)
    sampled.note(3, Outcome.TIMEOUT)
    sampled.note(2)
    sampled.note(4)
    assert [gap for gap in sampled.gaps if gap[2]] == [("exchange_unavailable", 1, 2), ("exchange_unavailable", 2, 4)]


@pytest.mark.parametrize("told_late", [False, True])
def test_a_gap_that_was_left_open_ends_at_the_first_ok_snapshot(sampled: Sampled, told_late: bool) -> None:
    if told_late:
        sampled.note(0)
    sampled.take_over(GapReason.BANNED, -9, missed=False)
    if not told_late:
        sampled.note(0)
    sampled.take_over(GapReason.BANNED, -9, missed=True)  # it is still open in the tables
    sampled.note(1)
    assert sampled.gaps == [("banned", -9, 0)]


@pytest.mark.parametrize("told_late", [False, True])
@pytest.mark.parametrize(("missed", "ended"), [(False, -1), (True, 0)])
def test_a_stop_that_missed_no_slot_was_no_gap(sampled: Sampled, told_late: bool, missed: bool, ended: float) -> None:
    if told_late:
        sampled.note(0)
    sampled.take_over(GapReason.STOPPED, -1, missed=missed)
    if not told_late:
        sampled.note(0)
    assert sampled.gaps == [("stopped", -1, ended)]


def test_a_stop_followed_by_a_failure_was_one(sampled: Sampled) -> None:
    sampled.take_over(GapReason.STOPPED, -1, missed=False)
    sampled.note(0, Outcome.UNREACHABLE)
    sampled.note(1)
    assert sampled.gaps == [("stopped", -1, 1)]


def test_a_stop_leaves_a_gap_open_from_the_last_ok_snapshot_on(sampled: Sampled) -> None:
    sampled.note(0)
    sampled.note(1)
    sampled.sampling.stop()
    assert sampled.gaps == [("stopped", 1, None)]


@pytest.mark.parametrize("told_late", [False, True])
def test_the_time_before_this_process_is_a_gap_until_the_first_ok_snapshot(sampled: Sampled, told_late: bool) -> None:
    if told_late:
        sampled.note(0)
    sampled.sampling.not_covered_since(at(-5), GapReason.NOT_RUNNING)
    if not told_late:
        sampled.note(0)
    assert sampled.gaps == [("not_running", -5, None), ("not_running", -5, 0)]
