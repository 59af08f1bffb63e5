"""Background work whose failures must be told of by themselves."""

import pytest

from recorder.exceptions import StorageUnavailable
from recorder.process.upkeep import LASTING, Upkeep

FULL = StorageUnavailable("it cannot be done", why="the disk is full", fix="free some space", sqlstate="53100")
DENIED = StorageUnavailable("it cannot be done", why="permission denied", sqlstate="42501")


def test_each_cause_is_said_once_until_it_works_again(caplog: pytest.LogCaptureFixture) -> None:
    upkeep = Upkeep(("task",), lambda *_: None)
    for error in (FULL, DENIED) * 10:
        upkeep.failed("task", error)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "the disk is full" in caplog.records[0].getMessage()
    assert "free some space" in caplog.records[0].getMessage()
    upkeep.done("task")
    upkeep.done("task")
    upkeep.failed("task", FULL)
    assert [record.getMessage().split(";")[0] for record in caplog.records[2:]] == [
        "task: done after all",
        "task: it cannot be done: the disk is full",
    ]


def test_what_fails_for_a_minute_or_urgently_is_a_reason_until_it_works_again() -> None:
    now = 0.0
    upkeep = Upkeep(("one", "other"), lambda *_: None, clock=lambda: now)
    upkeep.failed("one", FULL)
    upkeep.failed("other", DENIED, is_urgent=True)
    assert upkeep.reasons == {"other": "it cannot be done: permission denied"}
    now = LASTING.total_seconds()
    upkeep.failed("one", DENIED)
    assert upkeep.reasons == dict.fromkeys(("one", "other"), "it cannot be done: permission denied")
    upkeep.done("other")
    upkeep.done("one")
    assert upkeep.reasons == {}


def test_whether_a_task_fails_is_counted_from_the_beginning_on() -> None:
    told: list[tuple[str, int]] = []
    upkeep = Upkeep(("task",), lambda task, failing: told.append((task, failing)))
    upkeep.failed("task", FULL)
    upkeep.done("task")
    assert told == [("task", 0), ("task", 1), ("task", 0)]
