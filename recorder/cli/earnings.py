"""What accounts earned, as a table, as JSON, and as curves in the terminal or in a picture."""

from datetime import UTC
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.cli.answers import ask
from recorder.cli.curve import Curve, bucket_for, curves
from recorder.cli.output import print_json, print_table, stderr
from recorder.cli.span import Span, Unit, beginning
from recorder.exceptions import RecorderError
from recorder.postgres import earnings

_EMPTY = "Nothing is recorded for that. Is `recorder run` running? See: recorder positions, recorder gaps"
_COLUMNS = {
    "account": "account",
    "time": "time",
    "asset": "asset",
    "realized_profit": "realised profit",
    "commission": "commission",
    "funding": "funding",
    "net_profit": "net profit",
    "unrealized_profit": "unrealised profit",
}
_TIMES = {Unit.HOUR: "%Y-%m-%d %H:%MZ", Unit.DAY: "%Y-%m-%d", Unit.MONTH: "%Y-%m"}


def show(
    account: str | None, symbol: str | None, span: Span, by: Unit, *, json: bool, config: Path | None, log_level: str
) -> None:
    """Print what was earned in each bucket, the first one whole, and then in all per account and asset."""
    since = beginning(span.since, by)
    buckets, totals = ask(
        lambda engine: earnings.earned(engine, account, symbol, since=since, until=span.until, unit=by.value),
        config=config,
        log_level=log_level,
    )
    if json:
        print_json(
            {
                "since": since,
                "until": span.until,
                "by": by.value,
                "symbol": symbol,
                "buckets": buckets,
                "totals": totals,
            }
        )
        return
    shown: list[dict[str, Any]] = [
        *({**row, "time": row["time"].astimezone(UTC).strftime(_TIMES[by])} for row in buckets),
        *({**row, "time": "total"} for row in totals),
    ]
    print_table(shown, _COLUMNS, empty=_EMPTY)


def plot(account: str | None, symbol: str | None, span: Span, *, config: Path | None, log_level: str) -> None:
    """Draw the curves in the terminal."""
    from recorder.cli.chart import POINTS, print_curves

    drawn = ask(lambda engine: read_curves(engine, account, symbol, span, POINTS), config=config, log_level=log_level)
    if drawn:
        print_curves(drawn)
    else:
        stderr().print(_EMPTY)


def save(
    account: str | None, symbol: str | None, span: Span, file: Path, *, config: Path | None, log_level: str
) -> None:
    """Draw the curves into *file*. Raises ``ConfigurationError`` without what it takes to draw pictures."""
    from recorder.cli.picture import POINTS, require_matplotlib, save_curves

    require_matplotlib()
    drawn = ask(lambda engine: read_curves(engine, account, symbol, span, POINTS), config=config, log_level=log_level)
    if not drawn:
        raise RecorderError(
            f"{file} was not written: there is nothing to draw",
            why="no ok snapshot in that time, or nothing held and nothing booked",
            fix="choose another --since, --account or --symbol; see: recorder pnl",
        )
    save_curves(drawn, file)
    stderr().print(f"Wrote {file}", markup=False, highlight=False)


async def read_curves(
    engine: AsyncEngine, account: str | None, symbol: str | None, span: Span, points: int
) -> list[Curve]:
    """Return each account's curves in at most *points* steps, from its first ok snapshot in *span* on."""
    found: list[Curve] = []
    for name, spacing in (await earnings.spacings(engine, account)).items():
        since, bucket = span.since, bucket_for(span.until - span.since, spacing, points)
        rows = await earnings.curve(engine, name, symbol, since=since, until=span.until, bucket=bucket)
        watched = [row["time"] for row in rows if row["net_profit"] is not None]
        if not watched:
            continue
        since = max(min(watched), since)
        finer = bucket_for(span.until - since, spacing, points)
        if finer < bucket:
            bucket = finer
            rows = await earnings.curve(engine, name, symbol, since=since, until=span.until, bucket=bucket)
        found += curves(rows, account=name, symbol=symbol, since=since, until=span.until, bucket=bucket)
    return found
