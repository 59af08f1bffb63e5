import asyncio
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from recorder.binance.reconnection import Backoff, ConnectionBudget, life, replacement_due


def test_delays_double_from_nothing_to_half_a_minute() -> None:
    backoff = Backoff(lambda _, highest: highest)
    assert [backoff.delay() for _ in range(10)] == [0, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30]
    assert backoff.delay() == 30
    backoff.reset()
    assert [backoff.delay() for _ in range(2)] == [0, 0.2]


def test_the_jitter_is_full() -> None:
    backoff = Backoff()
    delays = [backoff.delay() for _ in range(200)]
    assert min(delays[20:]) < 10
    assert max(delays) <= 30
    assert len(set(delays)) > 100


@given(st.lists(st.floats(0, 100), max_size=300))
def test_no_five_minutes_see_more_than_sixty_connections(pauses: list[float]) -> None:
    budget, now, opened = ConnectionBudget(), 0.0, list[float]()
    for pause in pauses:
        now += pause
        if budget.wait(now) == timedelta(0):
            budget.spend(now)
            opened.append(now)
    assert all(later - earlier >= 300 - 1e-6 for earlier, later in zip(opened, opened[60:], strict=False))


def test_a_server_that_accepts_and_closes_gets_sixty_connections_in_five_minutes_at_most() -> None:
    budget, now, opened = ConnectionBudget(), 0.0, list[float]()
    while now < 3600:
        now += max(budget.wait(now).total_seconds(), 0.001)
        if not budget.wait(now):
            budget.spend(now)
            opened.append(now)
    assert len(opened) <= 13 * 60
    assert len(opened) >= 11 * 60


async def test_a_replacement_is_due_when_a_connection_is_ending_or_old() -> None:
    ending = asyncio.Event()
    async with asyncio.timeout(5):
        await replacement_due(ending, timedelta(milliseconds=10))
        ending.set()
        await replacement_due(ending)


def test_connections_are_replaced_after_a_day_at_the_latest_and_not_all_at_once() -> None:
    lives = [life() for _ in range(100)]
    assert min(lives) >= 23 * 3600
    assert max(lives) <= (23 * 60 + 50) * 60
    assert len(set(lives)) > 90
