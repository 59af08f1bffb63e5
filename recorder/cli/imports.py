"""``recorder import``: answers of the exchange that somebody saved."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from recorder.cli.options import At, Config, Json, Verbosity


def import_answers(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="JSON or one JSON document per line.")],
    account: Annotated[str, typer.Option("--account", "-a", metavar="NAME", help="Whose positions these are.")],
    at: At = None,
    json: Json = False,
    config: Config = None,
    log_level: Verbosity = "warning",
) -> None:
    """Record saved answers of v2/account.position or positionRisk: whole answers, arrays of rows, or single rows.

    An answer carries no time. It is taken from --at, or from the file's modification time; the answers of one call
    follow one another by a microsecond. The same answer at the same time is recorded once, however often it is
    imported. Each answer counts as complete: a position that it lacks is closed.

    Example: recorder import 2026-11-01.json --account main --at 2026-11-01T00:00
    """
    from recorder.access import database_url
    from recorder.cli.output import print_json, print_table
    from recorder.cli.settings import load
    from recorder.importing import import_files
    from recorder.postgres.database import open_database, require_schema

    settings = load(config, log_level, need_accounts=False)

    async def work() -> list[dict[str, object]]:
        async with open_database(database_url(settings), settings.data_dir) as engine:
            await require_schema(engine)
            return [
                {"file": str(each.file), "time": each.time, "rows": each.rows, "outcome": each.outcome}
                for each in await import_files(engine, files, account, at)
            ]

    rows = asyncio.run(work())
    if json:
        print_json(rows)
    else:
        print_table(
            rows, {"file": "file", "time": "time", "rows": "rows", "outcome": "outcome"}, empty="Nothing to import."
        )
