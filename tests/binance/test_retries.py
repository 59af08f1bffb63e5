from datetime import UTC, datetime

import pytest

from recorder.binance.errors import SignatureRejected
from recorder.binance.retries import Retries, with_retries
from recorder.exceptions import (
    AccountRejected,
    AnswerTimeout,
    ClockRejected,
    ExchangeError,
    ExchangeUnavailable,
    MalformedAnswer,
    RateLimited,
    RequestRejected,
)


@pytest.mark.parametrize("kind", [AnswerTimeout, ClockRejected, SignatureRejected])
def test_each_of_these_is_tried_again_once(kind: type[ExchangeError]) -> None:
    retries = Retries()
    assert retries.delay(kind("")) == 0
    assert retries.delay(kind("")) is None


def test_a_fault_is_tried_again_four_times_ever_later() -> None:
    retries = Retries()
    for longest in (0.2, 0.4, 0.8, 1.6):
        delay = retries.delay(ExchangeUnavailable(""))
        assert delay is not None
        assert longest / 2 <= delay <= longest
    assert retries.delay(ExchangeUnavailable("")) is None


@pytest.mark.parametrize(
    "error",
    [AccountRejected(""), RequestRejected(""), MalformedAnswer(""), RateLimited("", until=datetime.now(UTC))],
)
def test_what_cannot_get_better_is_not_tried_again(error: ExchangeError) -> None:
    assert Retries().delay(error) is None


class Attempts:
    """Fails with one error after the other, and then works."""

    def __init__(self, *errors: ExchangeError) -> None:
        self.errors = list(errors)
        self.measured = 0

    async def attempt(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "answer"

    async def measure_clock(self) -> None:
        self.measured += 1


async def test_what_may_get_better_is_attempted_until_it_works() -> None:
    attempts = Attempts(ExchangeUnavailable(""), ClockRejected(""), AnswerTimeout(""))
    assert await with_retries(attempts.attempt, attempts.measure_clock) == "answer"
    assert attempts.measured == 1


async def test_a_final_error_is_raised() -> None:
    attempts = Attempts(ClockRejected("first"), ClockRejected("second"))
    with pytest.raises(ClockRejected, match="second"):
        await with_retries(attempts.attempt, attempts.measure_clock)
    assert attempts.measured == 1
