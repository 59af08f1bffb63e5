"""From a question to its printed answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.cli.output import print_json, print_table
from recorder.cli.settings import load
from recorder.postgres.database import open_database
from recorder.postgres.questions import Rows
from recorder.service import database_url


def answer(
    question: Callable[[AsyncEngine], Awaitable[Rows]],
    columns: Mapping[str, str],
    *,
    empty: str,
    config: Path | None,
    log_level: str,
    json: bool,
) -> None:
    """Ask the configured database and print what it says: every column as JSON, or *columns* for people."""
    settings = load(config, log_level, need_accounts=False)

    async def ask() -> Rows:
        async with open_database(database_url(settings), settings.data_dir) as engine:
            return await question(engine)  # not require_schema: a role that may only read bi cannot see the revision

    rows = asyncio.run(ask())
    if json:
        print_json(rows)
    else:
        print_table(rows, columns, empty=empty)
