import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recorder.binance.allowance import Allowance
from recorder.binance.clock import ExchangeClock
from recorder.binance.messages import RateLimit, WireError
from recorder.binance.pause import PauseFile
from recorder.binance.weight import WeightBudget
from recorder.exceptions import AccountRejected, RateLimited, RequestRejected


class Address:
    """A moment shortly before a minute is over, after which time goes on as it does."""

    def __init__(self, budget: int = 100, left: float = 0.3, pause_file: PauseFile | None = None) -> None:
        ahead = datetime(2026, 3, 1, 12, 1, tzinfo=UTC) - timedelta(seconds=left) - datetime.now(UTC)
        self.clock = ExchangeClock(wall=lambda: datetime.now(UTC) + ahead)
        self.weight = WeightBudget(budget)
        self.allowance = Allowance(self.weight, self.clock, pause_file)


def soon(seconds: float = 5) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_the_background_waits_for_the_next_minute_in_turn() -> None:
    address, served = Address(), list[int]()

    async def ask(number: int) -> None:
        await address.allowance.reserve_in_background(30)
        served.append(number)
        address.allowance.settle(30, background=True)

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        for number in range(2):
            tasks.create_task(ask(number))
        await asyncio.sleep(0)
        await address.allowance.reserve(50, soon())
        assert served == [0]
    assert served == [0, 1]
    assert address.clock.now() >= datetime(2026, 3, 1, 12, 1, tzinfo=UTC)


async def test_the_background_does_not_wait_for_the_end_of_a_ban() -> None:
    address = Address()
    address.allowance.pause(address.clock.now() + timedelta(minutes=2))
    with pytest.raises(RateLimited):
        await address.allowance.reserve_in_background(5)
    assert address.weight.used(address.clock.now()) == 0


async def test_a_short_pause_is_waited_for() -> None:
    address = Address(left=30)
    end = address.clock.now() + timedelta(seconds=0.2)
    address.allowance.pause(end)
    assert timedelta(0) < address.allowance.pause_left <= timedelta(seconds=0.2)
    await address.allowance.reserve_in_background(5)
    assert address.clock.now() >= end
    assert address.allowance.pause_left == timedelta(0)


async def test_what_never_fits_is_refused_at_once() -> None:
    with pytest.raises(RequestRejected, match="30") as caught:
        await Address(budget=59).allowance.reserve_in_background(30)
    assert "60" in caught.value.fix


async def test_weight_that_comes_too_late_is_a_rate_limit() -> None:
    address = Address(budget=10, left=30)
    await address.allowance.reserve(10, soon())
    with pytest.raises(RateLimited, match="used up") as caught:
        await address.allowance.reserve(5, soon())
    assert abs(caught.value.until - datetime(2026, 3, 1, 12, 1, tzinfo=UTC)) < timedelta(seconds=1)


async def test_a_refusal_of_this_address_pauses_everything(tmp_path: Path) -> None:
    file = PauseFile(tmp_path / "pause.json")
    address = Address(pause_file=file)
    error = address.allowance.refused("Account main", 418, WireError(-1003, "key canary"), lambda said: said[:3])
    assert isinstance(error, RateLimited)
    assert "canary" not in error.what
    assert file.read() == error.until
    with pytest.raises(RateLimited):
        address.allowance.refuse_if_paused(soon())
    after_restart = Address(pause_file=file)
    after_restart.allowance.resume_pause()
    assert after_restart.allowance.paused_until == error.until


def test_a_refusal_of_an_account_pauses_nothing() -> None:
    address = Address()
    assert isinstance(address.allowance.refused("Account main", 401, WireError(-2015)), AccountRejected)
    assert address.allowance.paused_until is None


def test_a_refused_connection_pauses_everything() -> None:
    address = Address()
    until = address.clock.now() + timedelta(minutes=5)
    address.allowance.handshake_limited(RateLimited("", until=until))
    assert address.allowance.paused_until == until


def test_what_the_exchange_counts_is_taken_over() -> None:
    address = Address(budget=1000, left=30)
    address.allowance.observe([RateLimit("REQUEST_WEIGHT", "MINUTE", 1, 2400, 5)])
    address.allowance.observe_count(2280)
    assert address.weight.limit == 2400
    assert address.weight.reserve(1, address.clock.now()) > timedelta(0)
