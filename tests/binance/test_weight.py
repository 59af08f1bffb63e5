from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.binance.messages import RateLimit
from recorder.binance.weight import WeightBudget

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOTHING = timedelta(0)


def minute_counter(count: int, limit: int = 2400) -> list[RateLimit]:
    return [RateLimit("REQUEST_WEIGHT", "MINUTE", 1, limit, count)]


def test_what_is_over_the_budget_waits_for_the_next_minute() -> None:
    weight = WeightBudget(10)
    at = NOON + timedelta(seconds=20)
    assert weight.reserve(5, at) == NOTHING
    assert weight.reserve(5, at) == NOTHING
    assert weight.reserve(5, at) == timedelta(seconds=40)
    weight.settle(5, at)
    weight.settle(5, at)
    assert weight.used(at) == 10
    assert weight.reserve(5, NOON + timedelta(minutes=1)) == NOTHING


def test_what_is_under_way_counts_in_the_next_minute_too() -> None:
    weight = WeightBudget(10)
    weight.reserve(5, NOON)
    assert weight.used(NOON + timedelta(minutes=1)) == 5


def test_what_others_behind_the_address_use_is_left_to_them() -> None:
    weight = WeightBudget(1200)
    weight.observe(minute_counter(2279), NOON)
    assert weight.limit == 2400
    assert weight.reserve(2, NOON) == timedelta(minutes=1)
    assert weight.reserve(2, NOON + timedelta(minutes=1)) == NOTHING


def test_other_counters_are_not_weight() -> None:
    weight = WeightBudget(1200)
    weight.observe([RateLimit("ORDERS", "MINUTE", 1, 1, 1), RateLimit("REQUEST_WEIGHT", "DAY", 1, 1, 1)], NOON)
    assert weight.limit is None
    assert weight.reserve(5, NOON) == NOTHING


def test_a_pause_stops_everything_and_is_never_shortened() -> None:
    weight = WeightBudget(1200)
    weight.pause(NOON + timedelta(minutes=5))
    weight.pause(NOON + timedelta(minutes=3))
    assert weight.is_paused(NOON)
    assert weight.reserve(1, NOON) == timedelta(minutes=5)
    assert not weight.is_paused(NOON + timedelta(minutes=5))
    assert weight.reserve(1, NOON + timedelta(minutes=5)) == NOTHING


def test_a_clock_that_was_hours_ahead_does_not_freeze_the_budget() -> None:
    weight = WeightBudget(10)
    weight.reserve(10, NOON + timedelta(hours=5))
    weight.settle(10, NOON)
    assert weight.reserve(10, NOON) > NOTHING
    assert weight.reserve(10, NOON + timedelta(minutes=1)) == NOTHING


def test_a_correction_across_a_minute_gives_no_second_budget() -> None:
    weight = WeightBudget(10)
    weight.reserve(10, NOON)
    weight.settle(10, NOON)
    assert weight.reserve(10, NOON - timedelta(milliseconds=50)) > NOTHING
    assert weight.reserve(10, NOON + timedelta(milliseconds=50)) > NOTHING


def test_weight_settled_in_the_minute_after_counts_in_that_minute_too() -> None:
    weight, next_minute = WeightBudget(10), NOON + timedelta(minutes=1)
    weight.reserve(10, next_minute - timedelta(milliseconds=1))
    weight.settle(10, next_minute + timedelta(milliseconds=1))
    assert weight.used(next_minute + timedelta(milliseconds=2)) == 10


def test_a_budget_too_small_for_a_request_is_refused() -> None:
    with pytest.raises(ValueError, match="4"):
        WeightBudget(4)


@settings(max_examples=500)
@given(
    st.integers(5, 60),
    st.lists(st.tuples(st.sampled_from([2, 5]), st.integers(0, 20_000), st.integers(0, 30_000)), max_size=80),
)
def test_no_minute_of_the_exchange_sees_more_than_the_budget(budget: int, requests: list[tuple[int, int, int]]) -> None:
    """Each request is asked for so long after the last, and is counted and answered so long after it was sent."""
    weight, now = WeightBudget(budget), NOON
    under_way: list[tuple[datetime, int]] = []
    seen: Counter[datetime] = Counter()
    for cost, pause, latency in requests:
        now += timedelta(milliseconds=pause)
        for answered, settled in sorted(sent for sent in under_way if sent[0] <= now):
            under_way.remove((answered, settled))
            weight.settle(settled, answered)
        if weight.reserve(cost, now) == NOTHING:
            counted = now + timedelta(milliseconds=latency)
            under_way.append((counted, cost))
            seen[counted.replace(second=0, microsecond=0)] += cost
    assert max(seen.values(), default=0) <= budget


@given(st.integers(0, 3000), st.lists(st.sampled_from([2, 5]), max_size=60), st.integers(0, 5))
def test_the_limit_of_the_address_is_never_passed(others: int, costs: list[int], unanswered: int) -> None:
    weight, counted, under_way = WeightBudget(10_000), others, list[int]()
    weight.observe(minute_counter(counted), NOON)
    for cost in costs:
        if weight.reserve(cost, NOON) == NOTHING:
            counted += cost
            under_way.append(cost)
            assert counted <= 2400
        if len(under_way) > unanswered:
            weight.observe(minute_counter(counted - sum(under_way[1:])), NOON)
            weight.settle(under_way.pop(0), NOON)


def test_the_background_leaves_the_others_their_part() -> None:
    weight = WeightBudget(100)
    assert weight.reserve(30, NOON, background=True) == NOTHING
    assert weight.reserve(30, NOON, background=True) == timedelta(minutes=1)
    assert weight.reserve(50, NOON) == NOTHING
    assert weight.reserve(20, NOON, background=True) == NOTHING
    assert weight.reserve(1, NOON) > NOTHING
    for settled in (30, 20):
        weight.settle(settled, NOON, background=True)
    weight.settle(50, NOON)
    assert weight.reserve(50, NOON + timedelta(minutes=1), background=True) == NOTHING


def test_the_background_leaves_the_others_their_part_of_the_limit_too() -> None:
    weight = WeightBudget(1000, background=300)
    weight.observe(minute_counter(1520), NOON)
    assert weight.reserve(60, NOON, background=True) == NOTHING
    assert weight.reserve(1, NOON, background=True) > NOTHING
    assert weight.reserve(700, NOON) == NOTHING


def test_a_count_without_a_limit_is_taken_over() -> None:
    weight = WeightBudget(1200)
    weight.observe(minute_counter(5), NOON)
    weight.observe_count(2279, NOON)
    weight.observe_count(30, NOON)
    assert weight.reserve(2, NOON) > NOTHING
    assert weight.reserve(2, NOON + timedelta(minutes=1)) == NOTHING


@settings(max_examples=200)
@given(
    st.integers(60, 150),
    st.integers(30, 60),
    st.lists(
        st.tuples(st.sampled_from([2, 5, 30]), st.booleans(), st.integers(0, 20_000), st.integers(0, 30_000)),
        max_size=60,
    ),
)
def test_the_background_takes_its_share_at_most_and_never_that_of_the_others(
    budget: int, share: int, requests: list[tuple[int, bool, int, int]]
) -> None:
    weight, now = WeightBudget(budget, background=share), NOON
    under_way: list[tuple[datetime, int, bool]] = []
    seen: dict[bool, Counter[datetime]] = {True: Counter(), False: Counter()}
    window, others = NOON, 0
    for cost, background, pause, latency in requests:
        now += timedelta(milliseconds=pause)
        for request in sorted(sent for sent in under_way if sent[0] <= now):
            under_way.remove(request)
            weight.settle(request[1], request[0], background=request[2])
        if now.replace(second=0, microsecond=0) != window:
            window = now.replace(second=0, microsecond=0)
            others = sum(sent[1] for sent in under_way if not sent[2])
        if weight.reserve(cost, now, background=background) == NOTHING:
            counted = now + timedelta(milliseconds=latency)
            under_way.append((counted, cost, background))
            seen[background][counted.replace(second=0, microsecond=0)] += cost
            others += 0 if background else cost
        elif not background:
            assert others + cost > budget - share
    assert max(seen[True].values(), default=0) <= share
    assert max((seen[True] + seen[False]).values(), default=0) <= budget
