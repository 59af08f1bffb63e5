"""What one account's stream tells, and when a snapshot proves that it does not."""

import tracemalloc
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from recorder.domain.event import AccountUpdate, Arrival, StreamPosition
from recorder.domain.gap import Gap, GapReason
from recorder.domain.position import Position
from recorder.domain.snapshot import Kind, Snapshot
from recorder.domain.stream import Connected, LossReason, Lost
from recorder.recording import Recording
from recorder.watching.listening import Listening

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Recorded:
    """Takes what a recording takes, and keeps the gaps."""

    def __init__(self) -> None:
        self.gaps: list[Gap] = []
        self.events: list[Any] = []

    def record_event(self, told: Any) -> None:
        self.events.append(told)

    def record_stream_state(self, state: Any) -> None:
        pass

    def record_gap(self, gap: Gap) -> None:
        self.gaps.append(gap)


class CountedTime(datetime):
    """A time that counts how often it, or another one, was compared."""

    comparisons = 0

    def __lt__(self, other: datetime) -> bool:  # type: ignore[override]
        CountedTime.comparisons += 1
        return super().__lt__(other)

    def __le__(self, other: datetime) -> bool:  # type: ignore[override]
        CountedTime.comparisons += 1
        return super().__le__(other)


class Ears:
    """A listening whose surroundings are lists."""

    def __init__(self) -> None:
        self.recorded = Recorded()
        self.reconnected: list[str] = []
        self.dated: list[timedelta] = []
        self.listening = Listening(
            "main",
            cast("Recording", self.recorded),
            reconnected=self.reconnected.append,
            dated=self.dated.append,
        )

    def tell(self, seconds: float, amount: str, *, late: float = 0) -> None:
        self.tell_at(at(seconds), amount, late=late)

    def tell_at(self, time: datetime, amount: str, *, late: float = 0) -> None:
        position = StreamPosition(
            symbol="BTCUSDT",
            position_side="BOTH",
            position_amt=Decimal(amount),
            entry_price=Decimal(100),
            break_even_price=None,
            accumulated_realized=Decimal(0),
            unrealized_profit=Decimal(0),
            margin_type="cross",
            isolated_wallet=Decimal(0),
            margin_asset="USDT",
        )
        event = AccountUpdate(
            time=time,
            event_time=time,
            reason="ORDER",
            balances=(),
            positions=(position,),
            symbol=None,
            raw=f'{{"pa":"{amount}"}}',
        )
        received_at = time + timedelta(seconds=late)
        self.listening.deliver(event, Arrival(number=1, received_at=received_at, clock_offset=None))

    def is_dead(self, seconds: float, *held: tuple[str, float]) -> bool:
        positions = tuple(
            Position(
                symbol="BTCUSDT",
                position_side="BOTH",
                position_amt=Decimal(amount),
                entry_price=Decimal(100),
                update_time=at(updated),
                mark_price=Decimal(100),
                unrealized_profit=Decimal(0),
            )
            for amount, updated in held
        )
        return self.listening.is_dead(
            Snapshot(account="main", time=at(seconds), kind=Kind.SLOT, taken_at=at(seconds), positions=positions)
        )

    @property
    def gaps(self) -> list[tuple[str, datetime, datetime | None]]:
        return [(gap.reason, gap.started_at, gap.ended_at) for gap in self.recorded.gaps]


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def ears() -> Ears:
    """Connected at second 0, with a snapshot at second 1 that shows 1 BTC."""
    ears = Ears()
    ears.listening.changed(Connected(at(0)))
    ears.is_dead(1, ("1", -50))
    return ears


def test_a_state_that_moved_without_an_event_proves_it_a_slot_later(ears: Ears) -> None:
    assert not ears.is_dead(10, ("2", 9))
    assert ears.is_dead(20, ("2", 9))


def test_a_position_that_vanished_without_an_event_proves_it(ears: Ears) -> None:
    assert not ears.is_dead(10)
    assert ears.is_dead(20)


def test_an_event_that_comes_after_the_snapshot_explains_it(ears: Ears) -> None:
    assert not ears.is_dead(10, ("2", 9.99))
    ears.tell(9.99, "2")
    assert not ears.is_dead(20, ("2", 9.99))


def test_a_position_that_was_opened_again_since_is_no_proof(ears: Ears) -> None:
    ears.tell(9, "0")
    ears.tell(10.5, "3")  # before the answer of second 10 was compared
    assert not ears.is_dead(10)
    assert not ears.is_dead(20, ("3", 10.5))


def test_what_changed_before_the_connection_is_no_proof() -> None:
    ears = Ears()
    ears.listening.changed(Connected(at(0)))
    assert not ears.is_dead(1)
    assert not ears.is_dead(10, ("2", -5))
    assert not ears.is_dead(20, ("2", -5))


def test_two_changes_within_the_lag_of_a_row_s_date_are_no_proof(ears: Ears) -> None:
    ears.tell(9.96, "2")
    ears.tell(9.97, "3")  # on its way while the answer was made
    assert not ears.is_dead(9.98, ("2", 10.0))
    assert not ears.is_dead(20, ("3", 10.01))


def test_an_answer_that_does_not_know_yet_of_a_position_opened_again_is_no_proof(ears: Ears) -> None:
    ears.tell(5, "0")
    ears.tell(9.999, "3")
    assert not ears.is_dead(10)
    assert not ears.is_dead(20, ("3", 9.999))


def test_two_snapshots_within_an_event_s_delay_are_no_proof(ears: Ears) -> None:
    assert not ears.is_dead(10, ("2", 9.999))
    assert not ears.is_dead(10.002, ("2", 9.999))
    ears.tell(9.999, "2")
    assert not ears.is_dead(20, ("2", 9.999))


def test_a_change_is_missed_though_a_second_snapshot_came_at_once(ears: Ears) -> None:
    assert not ears.is_dead(10, ("2", 9.999))
    assert not ears.is_dead(10.002, ("2", 9.999))
    assert ears.is_dead(20, ("2", 9.999))


def test_an_event_may_come_two_seconds_after_the_answer_that_shows_its_change(ears: Ears) -> None:
    assert not ears.is_dead(10, ("2", 9))
    assert not ears.is_dead(11.9, ("2", 9))
    assert ears.is_dead(12, ("2", 9))


def test_an_answer_that_comes_after_a_newer_one_is_no_proof(ears: Ears) -> None:
    ears.tell(9, "2")
    assert not ears.is_dead(10, ("2", 9))
    assert not ears.is_dead(8, ("1", -50))
    assert not ears.is_dead(20, ("2", 9))


def test_the_difference_of_the_two_times_is_told(ears: Ears) -> None:
    ears.tell(9, "2")
    assert not ears.is_dead(10, ("2", 9.004))
    assert ears.dated == [timedelta(milliseconds=4)]


def test_a_loss_opens_one_gap_that_the_next_connection_closes(ears: Ears) -> None:
    ears.listening.changed(Lost(at(5), LossReason.CONNECTION_LOST))
    assert ears.gaps == [("connection_lost", at(4), None)]
    assert not ears.reconnected
    ears.listening.changed(Connected(at(7)))
    assert ears.gaps[1:] == [("connection_lost", at(4), at(7))]
    assert ears.reconnected == ["main"]


@pytest.mark.parametrize(("late", "told"), [(0.2, 19), (1, 19), (4.5, 15.5), (3600, 0)])
def test_what_happened_as_shortly_before_a_loss_as_events_are_late_is_not_covered(
    ears: Ears, late: float, told: float
) -> None:
    ears.tell(10, "2", late=late)
    ears.listening.changed(Lost(at(20), LossReason.CONNECTION_LOST))
    assert ears.gaps == [("connection_lost", at(told), None)]


def test_a_stop_leaves_a_gap_that_begins_with_what_may_have_been_on_its_way(ears: Ears) -> None:
    ears.listening.stop(at(20))
    assert ears.gaps == [("stopped", at(19), None)]


@pytest.mark.parametrize("connected_first", [True, False])
def test_the_time_before_this_process_is_a_gap_until_the_first_connection(connected_first: bool) -> None:
    ears = Ears()
    if not connected_first:
        ears.listening.not_covered_since(at(-60), GapReason.NOT_RUNNING)
    ears.listening.changed(Connected(at(0)))
    if connected_first:
        ears.listening.not_covered_since(at(-60), GapReason.NOT_RUNNING)
    assert ears.gaps[-1] == ("not_running", at(-60), at(0))


def test_the_same_message_told_again_is_dropped_so_that_it_passes_for_no_newer_state(ears: Ears) -> None:
    ears.tell(5, "1")
    ears.tell(6, "2")
    ears.tell(5, "1")
    assert [told.event.time for told in ears.recorded.events] == [at(5), at(6)]


def test_a_flood_on_one_position_costs_each_event_the_same_however_many_came_before(ears: Ears) -> None:
    start = CountedTime.combine(NOON.date(), NOON.timetz())

    def compared(events: range) -> int:
        before = CountedTime.comparisons
        for number in events:
            ears.tell_at(start + timedelta(microseconds=200 * number), str(number))
        return CountedTime.comparisons - before

    assert compared(range(1_000)) <= 3_000
    assert compared(range(1_000, 3_000)) <= 6_000


def test_a_flood_within_one_instant_takes_no_more_memory_than_it_needs(ears: Ears) -> None:
    tracemalloc.start()
    try:
        for number in range(12_000):
            ears.tell(5, str(number))
            ears.recorded.events.clear()
        half, _ = tracemalloc.get_traced_memory()
        for number in range(12_000, 24_000):
            ears.tell(5, str(number))
            ears.recorded.events.clear()
        whole, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert whole < 1.2 * half
    assert not ears.is_dead(6, ("23999", 5))


def test_a_stream_that_could_not_be_opened_yet_waits_and_was_not_lost() -> None:
    waiting = Ears()
    waiting.listening.expected_since(at(-20))
    assert waiting.gaps == [("waiting_for_connection", at(-20), None)]
    waiting.listening.changed(Connected(at(0)))
    assert waiting.gaps[-1] == ("waiting_for_connection", at(-20), at(0))
    waiting.listening.expected_since(at(-20))
    assert len(waiting.gaps) == 2
