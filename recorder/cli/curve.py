"""A curve of profit, ready to be drawn: what is drawn is the same in the terminal and in a picture."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

_BUCKETS = tuple(
    [timedelta(seconds=each) for each in (1, 2, 5, 10, 15, 30)]
    + [timedelta(minutes=each) for each in (1, 2, 5, 10, 15, 30)]
    + [timedelta(hours=each) for each in (1, 2, 3, 6, 12)]
    + [timedelta(days=each) for each in (1, 2, 7, 14, 28)]
)

Line = Sequence[tuple[datetime, Decimal]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What holds from *begin* to *end*: the values of the last ok snapshot in between, in the curve's asset.

    Attributes:
        net_profit: Cumulative since the account's first ok snapshot, unrealised profit included.
    """

    begin: datetime
    end: datetime
    net_profit: Decimal
    unrealized_profit: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The profit of an account, or of one symbol of it, in one asset.

    Attributes:
        steps: In order of time, at least one; where one does not begin as the last one ends, nobody watched.
    """

    account: str
    symbol: str | None
    asset: str
    since: datetime
    until: datetime
    steps: Sequence[Step]

    @property
    def title(self) -> str:
        return " · ".join(part for part in (self.account, self.symbol, self.asset) if part)

    @property
    def range(self) -> str:
        since, until = (time.astimezone(UTC).strftime("%Y-%m-%d %H:%M") for time in (self.since, self.until))
        return f"{since} to {until} UTC"

    @property
    def was_held(self) -> bool:
        """Whether there ever was unrealised profit, or only what was booked, as of an asset that pays fees."""
        return any(step.unrealized_profit for step in self.steps)

    @property
    def extremes(self) -> tuple[Decimal, Decimal]:
        """The lowest and the highest value of all that is drawn, and zero."""
        values = [step.net_profit for step in self.steps]
        if self.was_held:
            values += [step.unrealized_profit for step in self.steps]
        return min(*values, Decimal(0)), max(*values, Decimal(0))

    def net_profit(self) -> Iterator[Line]:
        """Yield a line for each unbroken run of steps."""
        for run in self._runs():
            yield [point for step in run for point in ((step.begin, step.net_profit), (step.end, step.net_profit))]

    def unrealized_profit(self) -> Iterator[Line]:
        """Yield a line for each unbroken run of steps."""
        for run in self._runs():
            yield [
                point
                for step in run
                for point in ((step.begin, step.unrealized_profit), (step.end, step.unrealized_profit))
            ]

    def _runs(self) -> Iterator[list[Step]]:
        run: list[Step] = []
        for step in self.steps:
            if run and step.begin != run[-1].end:
                yield run
                run = []
            run.append(step)
        yield run


def bucket_for(span: timedelta, spacing: timedelta | None, points: int) -> timedelta:
    """Return the finest bucket that gives at most *points* of them and is not finer than the snapshots are."""
    finest = max(span / points, spacing or timedelta(0))
    return next((bucket for bucket in _BUCKETS if bucket >= finest), finest)


def curves(
    rows: Iterable[Mapping[str, Any]],
    *,
    account: str,
    symbol: str | None,
    since: datetime,
    until: datetime,
    bucket: timedelta,
) -> Iterator[Curve]:
    """Make a curve of each asset of ``bi.pnl_series``; of one in which nothing was held or booked there is none."""
    for asset, series in groupby(rows, lambda row: row["asset"]):
        steps = [
            Step(
                begin=max(row["time"], since),
                end=min(row["time"] + bucket, until),
                net_profit=row["net_profit"],
                unrealized_profit=row["unrealized_profit"],
            )
            for row in series
            if row["net_profit"] is not None
        ]
        if steps and asset is not None:
            yield Curve(account=account, symbol=symbol, asset=asset, since=since, until=until, steps=steps)
