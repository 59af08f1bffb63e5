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
    import sys

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from recorder import importing
    from recorder.cli.output import print_json, print_table, stderr
    from recorder.cli.settings import load
    from recorder.config.problem import InvalidSetting
    from recorder.config.sections import check_name
    from recorder.postgres.database import open_database, require_schema

    settings = load(config, log_level, need_accounts=False)
    try:
        check_name(account)
    except InvalidSetting as error:
        raise typer.BadParameter(f"{error.what}. {error.fix}", param_hint="--account") from error
    answers = importing.read_files(files, at)
    progress = Progress(
        TextColumn("Recording saved answers"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=stderr(),
        transient=True,
        disable=not sys.stderr.isatty(),
    )

    async def work() -> list[dict[str, object]]:
        rows: list[dict[str, object]] = []
        async with open_database(settings.database_url, settings.data_dir) as engine:
            await require_schema(engine)
            with progress:
                task = progress.add_task("import", total=len(answers))
                async for each in importing.import_answers(engine, account, answers):
                    rows.append({"file": str(each.file), "time": each.time, "rows": each.rows, "outcome": each.outcome})
                    progress.advance(task)
        return rows

    rows = asyncio.run(work())
    if json:
        print_json(rows)
    else:
        print_table(
            rows, {"file": "file", "time": "time", "rows": "rows", "outcome": "outcome"}, empty="Nothing to import."
        )
