"""Options that several commands share, and how their values are read."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Configuration file; default: $RECORDER_CONFIG, ./recorder.toml, the user's."),
]
Verbosity = Annotated[
    str, typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning or error; logs go to stderr.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs: numbers as text with every digit.")]
Account = Annotated[str | None, typer.Option("--account", "-a", metavar="NAME", help="Only this account.")]
Symbol = Annotated[str | None, typer.Option("--symbol", "-s", help="Only this symbol, for example BTCUSDT.")]

_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_time(text: str) -> datetime:
    """Read an instant: ISO 8601, in UTC unless it says otherwise, or ``24h`` for a day before now."""
    try:
        if _DURATION.fullmatch(text):
            return datetime.now(UTC) - parse_duration(text)
        time = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is no time; write 2026-11-22, 2026-11-22T09:30, 2026-11-22T09:30:00+01:00, or 24h for a day ago"
        ) from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def parse_duration(text: str) -> timedelta:
    """Read a duration as in the configuration: ``250ms``, ``10s``, ``5m``, ``1h``, ``30d``."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no duration; write for example 250ms, 10s, 5m, 1h or 30d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


Since = Annotated[
    datetime | None,
    typer.Option(
        "--since", metavar="TIME", parser=parse_time, help="From this time on: 2026-11-22, or 24h for a day ago."
    ),
]
At = Annotated[
    datetime | None,
    typer.Option(
        "--at", metavar="TIME", parser=parse_time, help="Then instead of now: 2026-11-22T09:30, or 24h for a day ago."
    ),
]
