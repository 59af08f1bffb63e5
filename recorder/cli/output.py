"""What commands print: data to stdout, for people or for programs; messages and errors to stderr."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from recorder.exceptions import RecorderError

SUMMARY = {
    "account": "account",
    "ok_snapshots": "ok snapshots",
    "failed_snapshots": "failed",
    "samples": "samples",
    "changes": "changes",
    "closes": "inferred closes",
    "gaps": "gaps",
    "first_time": "first",
    "last_time": "last",
}
"""The columns of a summary of what is recorded."""

_WIDE = 500  # when nobody looks: no line is ever cut or folded


def stdout() -> Console:
    return _console(stderr=False)


def stderr() -> Console:
    return _console(stderr=True)


def print_json(data: Any) -> None:
    """Print *data* as one JSON document: numbers as text, times in ISO 8601 with their zone, in UTC."""
    json.dump(data, sys.stdout, default=_plain, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


def print_table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, empty: str) -> None:
    """Print *rows*, or the sentence *empty* when there are none. *columns* maps keys to headings."""
    if rows:
        stdout().print(table(rows, columns))
    else:
        stderr().print(empty)


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> Table:
    """Lay *rows* out for people, one column for each key of *columns* under its heading."""
    laid_out = Table(box=None, header_style="bold", pad_edge=False)
    for key, heading in columns.items():
        numeric = any(isinstance(row[key], Decimal | int) for row in rows)
        laid_out.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        laid_out.add_row(*(_cell(key, row[key]) for key in columns))
    return laid_out


def print_error(error: RecorderError) -> None:
    """Say what happened, why, and what mends it."""
    console = stderr()
    console.print(Text.assemble(("error: ", "bold red"), error.what))
    for label, text in (("why", error.why), ("fix", error.fix)):
        if text:
            console.print(Text.assemble((f"  {label}: ", "bold"), text))


def print_findings(findings: Sequence[Mapping[str, str]]) -> None:
    """Print one line a finding, and under those that are not ok why it is so and what mends it."""
    console = stdout()
    for finding in findings:
        style = {"ok": "green", "warn": "yellow", "fail": "bold red"}[finding["grade"]]
        console.print(
            Text.assemble((f"{finding['grade']:<5}", style), (f"{finding['subject']}: ", "bold"), finding["what"])
        )
        for label in ("why", "fix"):
            if finding[label]:
                console.print(Text.assemble((f"       {label}: ", "bold"), finding[label]))


def show_time(time: datetime) -> str:
    """An instant for people: to the second, or to the millisecond where it has any."""
    utc = time.astimezone(UTC)
    return utc.strftime("%Y-%m-%d %H:%M:%S") + (f".{utc.microsecond // 1000:03}" if utc.microsecond else "") + "Z"


def show_duration(duration: timedelta) -> str:
    """A duration for people: two units at most."""
    seconds = int(duration.total_seconds())
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    shown = [f"{count}{unit}" for count, unit in parts if count]
    return " ".join(shown[:2]) or "0s"


def lines(texts: Iterable[str]) -> None:
    """Print messages for people to stderr."""
    for text in texts:
        stderr().print(text, highlight=False)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, soft_wrap=stderr, width=None if stream.isatty() else _WIDE, highlight=False)


def _cell(key: str, value: Any) -> Text:
    match value:
        case None:
            return Text("-", style="dim")
        case datetime():
            return Text(show_time(value))
        case timedelta():
            return Text(show_duration(value))
        case Decimal():
            loss = value < 0 and "profit" in key
            return Text(format(value, "f"), style="red" if loss else "")
        case _:
            return Text(str(value))


def _plain(value: Any) -> str | float:
    match value:
        case Decimal():
            return format(value, "f")
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case timedelta():
            return value.total_seconds()
        case _:
            return str(value)
