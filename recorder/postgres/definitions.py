"""Definitions: every view and function as it is now, each in one file of ``migrations/bi``.

Tables change by revisions, which are frozen once they landed. A view or function has no history: its file is edited,
and all files are applied again at every upgrade.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ORDER = (
    "partitions",
    "income_part",
    "state",
    "contradicted",
    "position_sample",
    "position_history",
    "position_latest",
    "positions_at",
    "snapshot",
    "gap",
    "fill",
    "income",
    "superseded",
    "pnl_curve",
    "account_equity",
    "pnl_daily",
    "position_episode",
    "pnl_series",
    "freshness",
)
"""The files, what stands on another after it; a test holds the list against the folder."""

REMOVED: tuple[str, ...] = ()
"""What an earlier version had and this one has not, as DROP is told of it, such as ``VIEW bi.name``.

It is dropped where nothing stands on it; else the upgrade says what does, and changes nothing.
"""

_CREATED = re.compile(r"^CREATE OR REPLACE (VIEW|FUNCTION) (\w+\.\w+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Definition:
    """One file.

    Attributes:
        name: Of the file, without its ending.
        script: Its SQL, which may be run any number of times.
        views: What it defines, each with its schema.
        functions: Likewise, without their arguments.
    """

    name: str
    script: str
    views: tuple[str, ...]
    functions: tuple[str, ...]


def migrations() -> Path:
    """The folder of the migrations: inside the installed package, or beside it in the repository."""
    package = Path(__file__).parents[1]
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


@cache
def definitions() -> tuple[Definition, ...]:
    """Every definition, in the order in which they are made."""
    return tuple(_read())


def _read() -> Iterator[Definition]:
    for name in ORDER:
        script = (migrations() / "bi" / f"{name}.sql").read_text(encoding="utf-8")
        created = _CREATED.findall(script)
        yield Definition(
            name=name,
            script=script,
            views=tuple(each for kind, each in created if kind == "VIEW"),
            functions=tuple(each for kind, each in created if kind == "FUNCTION"),
        )
