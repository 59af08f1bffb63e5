import asyncio
from collections.abc import AsyncGenerator
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from recorder.binance.paging import Ledger, Page
from recorder.domain.income import Income

START = datetime(2026, 3, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
LIMIT = 3
WIDTH = timedelta(milliseconds=40)


class Exchange:
    """Has lines at some milliseconds after the start, and gives them a few at a time."""

    def __init__(self, times: list[int]) -> None:
        self.lines = [
            Income(
                time=START + time * MILLISECOND,
                income_type="FUNDING_FEE",
                symbol=None,
                asset="USDT",
                income=Decimal(1),
                tran_id=number,
                trade_id=None,
                info="",
            )
            for number, time in enumerate(sorted(times))
        ]
        self.asked: list[tuple[datetime, datetime]] = []

    async def between(self, first: datetime, last: datetime) -> list[Income]:
        self.asked.append((first, last))
        return list(reversed([line for line in self.lines if first <= line.time <= last][:LIMIT]))

    async def at(self, instant: datetime, _known: AbstractSet[Income]) -> AsyncGenerator[list[Income]]:
        lines = [line for line in self.lines if line.time == instant]
        for place in range(0, len(lines) + 1, LIMIT):
            yield lines[place : place + LIMIT]

    def pages(self, start: datetime, end: datetime) -> list[Page[Income]]:
        async def collected() -> list[Page[Income]]:
            return [page async for page in Ledger(self.between, self.at, LIMIT, WIDTH).pages(start, end)]

        return asyncio.run(collected())


times = st.lists(st.integers(0, 120) | st.sampled_from([0, 17, 39, 40, 41, 79, 80]), max_size=40)
moments = st.integers(-5, 130_000).map(lambda microseconds: START + timedelta(microseconds=microseconds))


@given(times, moments, moments)
def test_every_line_of_the_interval_comes_once_and_in_order(times: list[int], start: datetime, end: datetime) -> None:
    exchange = Exchange(times)
    lines = [line for page in exchange.pages(start, end) for line in page.rows]
    assert len(set(lines)) == len(lines)
    assert [line.time for line in lines] == sorted(line.time for line in lines)
    inside = {line for line in exchange.lines if start <= line.time < end}
    assert inside <= set(lines)
    assert all(start - MILLISECOND < line.time < end for line in lines)


@given(times, moments, moments)
def test_after_any_page_one_can_go_on_where_it_ended(times: list[int], start: datetime, end: datetime) -> None:
    exchange = Exchange(times)
    told: set[Income] = set()
    for page in exchange.pages(start, end):
        told.update(page.rows)
        assert {line for line in exchange.lines if start <= line.time < min(page.until, end)} <= told
        rest = {line for later in exchange.pages(page.until, end) for line in later.rows}
        assert {line for line in exchange.lines if start <= line.time < end} <= told | rest


@given(times, moments, moments)
def test_no_interval_is_wider_than_allowed_and_none_is_left_out(
    times: list[int], start: datetime, end: datetime
) -> None:
    exchange = Exchange(times)
    pages = exchange.pages(start, end)
    assert all(first <= last < first + WIDTH for first, last in exchange.asked)
    if start < end:
        assert pages[-1].until >= end
    elif end <= start - MILLISECOND:
        assert not pages


def test_empty_intervals_show_progress() -> None:
    pages = Exchange([]).pages(START, START + 100 * MILLISECOND)
    assert [page.until - START for page in pages] == [WIDTH, 2 * WIDTH, 100 * MILLISECOND]
    assert not any(page.rows for page in pages)


def test_an_exchange_that_ignores_what_it_is_asked_for_is_not_asked_for_ever() -> None:
    class Stubborn(Exchange):
        async def between(self, first: datetime, last: datetime) -> list[Income]:
            self.asked.append((first, last))
            return self.lines[:LIMIT]

    exchange = Stubborn([0, 1, 2, 3])
    pages = exchange.pages(START + 20 * MILLISECOND, START + 30 * MILLISECOND)
    assert pages[-1].until == START + 30 * MILLISECOND
    assert len(exchange.asked) <= 10
