"""From a question to its printed answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.cli.output import print_json, print_table
from recorder.cli.settings import load
from recorder.postgres.database import open_database
from recorder.postgres.questions import Rows

Answer = TypeVar("Answer")


def ask(question: Callable[[AsyncEngine], Awaitable[Answer]], *, config: Path | None, log_level: str) -> Answer:
    """Ask the configured database."""
    settings = load(config, log_level, need_accounts=False)

    async def put() -> Answer:
        async with open_database(settings.database_url, settings.data_dir) as engine:
            return await question(engine)  # not require_schema: a role that may only read bi cannot see the revision

    return asyncio.run(put())


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
    rows = ask(question, config=config, log_level=log_level)
    if json:
        print_json(rows)
    else:
        print_table(rows, columns, empty=empty)
