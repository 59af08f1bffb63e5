"""Sizes as people write them: ``64MiB``, ``1GiB``."""

import re
from typing import Annotated

from pydantic import BeforeValidator

from recorder.config.problem import InvalidSetting

_UNITS = {"GiB": 1024**3, "MiB": 1024**2, "KiB": 1024}
_WRITTEN = re.compile(r"([0-9]{1,9})(KiB|MiB|GiB)")


def parse_size(text: object) -> int:
    """Return a number of bytes; raises InvalidSetting for anything that is not written with its unit."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    written = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
    if written is None:
        raise InvalidSetting(
            f"is {text!r}, which is not a size",
            why="A size is a whole number with a unit: KiB, MiB or GiB.",
            fix='Write it like "64MiB" or "1GiB".',
        )
    return int(written[1]) * _UNITS[written[2]]


def format_size(size: int) -> str:
    """Return the shortest form that ``parse_size`` reads back, to the KiB."""
    for unit, length in _UNITS.items():
        if size % length == 0:
            return f"{size // length}{unit}"
    return f"{size // 1024}KiB"


Size = Annotated[int, BeforeValidator(parse_size)]
