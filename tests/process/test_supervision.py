"""Works that break are started again, and nobody can fail to notice."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from recorder.exceptions import ConfigurationError
from recorder.process.supervision import TRIES, Supervision

LIMIT = 10.0  # seconds; what takes longer does not come


class Breaking:
    """A work that does as it is told at each start: raise, end, or go on for ever."""

    def __init__(self, *acts: Exception | str) -> None:
        self.acts = list(acts)
        self.starts = 0
        self.going_on = asyncio.Event()

    async def run(self) -> None:
        self.starts += 1
        act = self.acts.pop(0) if self.acts else "go on"
        if isinstance(act, Exception):
            raise act
        if act == "end":
            return
        if act == "await what is cancelled":
            waited = asyncio.get_running_loop().create_future()
            waited.cancel()
            await waited
        self.going_on.set()
        await asyncio.Event().wait()


@pytest.fixture
def restarts() -> list[tuple[str, int]]:
    return []


@pytest.fixture
async def supervision(restarts: list[tuple[str, int]]) -> AsyncIterator[Supervision]:
    async with Supervision(lambda name, times: restarts.append((name, times))) as opened:
        yield opened


@pytest.mark.parametrize(
    "act", [ValueError("no"), "end", "await what is cancelled", ExceptionGroup("some", [OSError("no")])], ids=repr
)
async def test_a_work_that_ends_in_whatever_way_is_started_again_and_counted(
    supervision: Supervision, restarts: list[tuple[str, int]], act: Exception | str
) -> None:
    work, other = Breaking(act), Breaking()
    supervision.start("work", work.run)
    supervision.start("other", other.run)
    async with asyncio.timeout(LIMIT):
        await work.going_on.wait()
    assert restarts == [("work", 0), ("other", 0), ("work", 1)]
    assert supervision.report() == {"work": "running", "other": "running"}
    assert other.starts == 1


async def test_the_trace_of_a_fault_is_told_once_and_its_text_is_in_no_report(
    supervision: Supervision, caplog: pytest.LogCaptureFixture
) -> None:
    work = Breaking(ValueError("canary"), ValueError("canary"), OSError("canary"))
    supervision.start("work", work.run)
    reports = set()
    async with asyncio.timeout(LIMIT):
        while not work.going_on.is_set():
            reports |= set(supervision.report().values())
            await asyncio.sleep(0.01)
    assert [(record.levelno, record.exc_info is not None) for record in caplog.records] == [
        (logging.ERROR, True),
        (logging.ERROR, False),
        (logging.ERROR, True),
    ]
    assert any("ValueError" in report for report in reports)
    assert not any("canary" in report for report in reports)


async def test_one_that_keeps_breaking_makes_the_process_unwell_until_it_has_run_for_a_while() -> None:
    work = Breaking(*(ValueError() for _ in range(TRIES)))
    async with Supervision(pause=lambda _: 0.0, proven=0.2) as supervision:
        supervision.start("work", work.run)
        was_well = supervision.well
        async with asyncio.timeout(LIMIT):
            await work.going_on.wait()
            was_well_when_broken = supervision.well
            while not supervision.well:  # noqa: ASYNC110 - time is all it takes
                await asyncio.sleep(0.01)
        assert supervision.report() == {"work": "running"}
    assert (was_well, was_well_when_broken) == (True, False)


async def test_a_wrong_setting_met_on_the_way_ends_the_service(supervision: Supervision) -> None:
    work = Breaking(ExceptionGroup("some", [ConfigurationError("wrong")]))
    supervision.start("work", work.run)
    async with asyncio.timeout(LIMIT):
        with pytest.raises(ConfigurationError, match="wrong"):
            await supervision.failed()


async def test_what_is_stopped_is_cancelled_at_once_also_while_it_waits_to_be_started_again(
    supervision: Supervision,
) -> None:
    going, waiting = Breaking(), Breaking(*(ValueError() for _ in range(50)))
    for name, work in (("going", going), ("waiting", waiting)):
        supervision.start(name, work.run)
    async with asyncio.timeout(LIMIT):
        await going.going_on.wait()
        while waiting.starts < 3:  # noqa: ASYNC110 - it waits for half a second now
            await asyncio.sleep(0.01)
        await supervision.stop()
    assert supervision.report() == {}


async def test_a_name_belongs_to_one_work(supervision: Supervision) -> None:
    supervision.start("work", Breaking().run)
    with pytest.raises(ValueError, match="runs already"):
        supervision.start("work", Breaking().run)


async def test_what_breaks_the_pause_before_a_restart_does_not_end_the_work() -> None:
    asked: list[int] = []

    def pause(failures: int) -> float:
        asked.append(failures)
        if len(asked) == 1:
            raise OverflowError
        return 0.0

    work = Breaking(ValueError())
    async with Supervision(pause=pause) as supervision:
        supervision.start("work", work.run)
        async with asyncio.timeout(LIMIT):
            await work.going_on.wait()
    assert work.starts == 2
