"""A week in small: one process, mishaps of every kind one after the other, and restarts."""

from datetime import timedelta

from tests.benchmarks.endurance import Course, endure
from tests.benchmarks.recorder_process import temporary_folder


async def test_no_slot_of_a_life_full_of_mishaps_is_unaccounted_for_and_its_record_is_proved() -> None:
    course = Course(slots=120, every="250ms", mishap_every=timedelta(seconds=1), restarts=2)
    with temporary_folder("endurance") as folder:
        outcome = await endure(course, folder)
    assert outcome.failures == []
    assert outcome.snapshots["ok"] > course.slots
    assert "violated" not in outcome.verified
