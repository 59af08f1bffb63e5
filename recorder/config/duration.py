"""Durations as people write them: ``250ms``, ``10s``, ``5m``, ``1h``, ``30d``."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator

from recorder.config.problem import InvalidSetting

_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_WRITTEN = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")


def parse_duration(text: object) -> timedelta:
    """Return a positive duration; raises InvalidSetting for anything else."""
    if isinstance(text, timedelta):
        duration = text
    else:
        written = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
        if written is None:
            unit = f'"{text}s"' if isinstance(text, int) and not isinstance(text, bool) else '"250ms", "10s", "5m"'
            raise InvalidSetting(
                f"is {text!r}, which is not a duration",
                why="A duration is a whole number with a unit: ms, s, m, h or d.",
                fix=f"Write it like {unit}.",
            )
        try:
            duration = int(written[1]) * _UNITS[written[2]]
        except OverflowError as exc:
            raise InvalidSetting(f"is {text!r}, longer than any calendar", fix='Write it like "30d".') from exc
    if duration <= timedelta(0):
        raise InvalidSetting(f"is {text!r}, which is no time at all", fix='Write a duration like "10s".')
    return duration


def format_duration(duration: timedelta) -> str:
    """Return the shortest form that ``parse_duration`` reads back, to the millisecond."""
    for unit, length in _UNITS.items():
        if duration % length == timedelta(0):
            return f"{duration // length}{unit}"
    return f"{duration // _UNITS['ms']}ms"


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
