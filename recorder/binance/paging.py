"""Paging: all rows of an interval from an exchange that gives a limited number at a time."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from recorder.domain.fill import Fill
from recorder.domain.income import Income

Row = TypeVar("Row", Income, Fill)

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, in order of time, none of them on another page.

    Attributes:
        until: Every row before this instant is on this page or an earlier one: where to go on after a stop.
    """

    rows: tuple[Row, ...]
    until: datetime


@dataclass(frozen=True, slots=True)
class Ledger(Generic[Row]):
    """How one of the exchange's lists is asked for.

    Attributes:
        between: Returns the first rows from an instant to another, both included.
        at: Yields the rows of one instant that has more of them than a page, given those that are known already,
            which it may yield again.
        limit: As many rows as a page can have: a page with fewer is the last.
        width: The longest interval that may be asked for at once.
    """

    between: Callable[[datetime, datetime], Awaitable[list[Row]]]
    at: Callable[[datetime, AbstractSet[Row]], AsyncGenerator[list[Row]]]
    limit: int
    width: timedelta

    async def pages(self, start: datetime, end: datetime) -> AsyncIterator[Page[Row]]:
        """Yield every row with *start* <= time < *end*, to whole milliseconds, oldest first.

        An interval without rows yields empty pages, one for each *width* of it.
        """
        for first, last in _windows(start, end, self.width):
            async for page in self._window(first, last):
                yield page

    async def _window(self, first: datetime, last: datetime) -> AsyncIterator[Page[Row]]:
        seen: set[Row] = set()
        while first <= last:
            rows = await self.between(first, last)
            new = [row for row in rows if row not in seen]
            if len(rows) < self.limit:
                yield _page(new, last + _MILLISECOND)
                return
            latest = max(row.time for row in rows)
            if latest > first:  # the next page begins with this instant, which may have more rows
                seen = {row for row in rows if row.time == latest}
                yield _page(new, latest)
                first = latest
                continue
            new.extend(await self._rest_of(first, seen.union(rows)))
            yield _page(new, first + _MILLISECOND)
            first += _MILLISECOND
            seen = set()

    async def _rest_of(self, instant: datetime, known: set[Row]) -> list[Row]:
        rest: list[Row] = []
        async with aclosing(self.at(instant, known)) as pages:
            async for page in pages:
                new = [row for row in page if row not in known]
                known.update(new)
                rest.extend(new)
        return rest


def _page(rows: list[Row], until: datetime) -> Page[Row]:
    return Page(tuple(sorted(rows, key=lambda row: row.time)), until)


def _windows(start: datetime, end: datetime, width: timedelta) -> Iterator[tuple[datetime, datetime]]:
    first, behind = _floor(start), _floor(end + _MILLISECOND - datetime.resolution)
    while first < behind:
        following = min(first + width, behind)
        yield first, following - _MILLISECOND
        first = following


def _floor(time: datetime) -> datetime:
    return time - timedelta(microseconds=time.microsecond % 1000)
