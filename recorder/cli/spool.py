"""``recorder replay`` and ``recorder dead-letters``: writing again."""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from recorder.cli.options import Config, Json, Verbosity, parse_time


def replay(
    since: Annotated[
        datetime,
        typer.Option(
            "--since", metavar="TIME", parser=parse_time, help="What came in from then on: 2026-11-22T09:30, or 1h."
        ),
    ],
    json: Json = False,
    config: Config = None,
    log_level: Verbosity = "warning",
) -> None:
    """Write again what the spool still holds, for a database that has lost some of it.

    What is there already stays as it is, so it may be repeated, and while the service runs. The spool holds what is
    not committed, and what was committed within storage.replay_window.

    Example: recorder replay --since 30m
    """
    import sys

    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from recorder import replaying
    from recorder.cli.output import lines, print_json, show_time, stderr
    from recorder.cli.settings import load
    from recorder.postgres.database import open_database, require_schema

    settings = load(config, log_level, need_accounts=False)
    progress = Progress(
        TextColumn("Writing again"),
        BarColumn(),
        TextColumn("{task.fields[records]} records, {task.fields[reached]}"),
        TimeRemainingColumn(),
        console=stderr(),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    began = datetime.now(UTC)

    async def work() -> replaying.Replayed:
        async with open_database(settings.database_url, settings.data_dir) as engine:
            await require_schema(engine)
            with progress:
                task = progress.add_task("replay", total=None, records=0, reached="")

                def tell(done: replaying.Replayed) -> None:
                    if done.first and done.last:
                        progress.update(
                            task,
                            completed=(done.last - done.first).total_seconds(),
                            total=(began - done.first).total_seconds(),
                            records=done.records,
                            reached=show_time(done.last),
                        )

                return await replaying.replay(engine, settings.data_dir, since, tell)

    done = asyncio.run(work())
    if json:
        print_json(asdict(done))
    elif done.first and done.last:
        span = f"from {show_time(done.first)} to {show_time(done.last)}"
        lines([f"{done.records} record(s) {span} written again: {done.new_snapshots} snapshot(s) were missing."])
    else:
        lines(["The spool holds nothing of that time."])
    if done.skipped:
        lines(
            [f"{done.skipped} record(s) were not written: PostgreSQL refuses them, or this version does not know them."]
        )
        raise typer.Exit(1)


def dead_letters(
    retry: Annotated[bool, typer.Option("--retry", help="Try to write each of them again.")] = False,
    json: Json = False,
    config: Config = None,
    log_level: Verbosity = "warning",
) -> None:
    """Show what PostgreSQL refused as what it is, with the reason; with --retry, write it again.

    Exit code 1 when something is refused again.
    """
    from recorder import replaying
    from recorder.cli.answers import ask
    from recorder.cli.output import print_json, print_table
    from recorder.postgres.dead_letters import open_letters

    async def work(engine: Any) -> list[dict[str, Any]]:
        rows = []
        for letter in await open_letters(engine):
            row = asdict(letter) | {"payload": letter.payload.decode("utf-8", "replace"), "outcome": "kept"}
            if retry:
                refused = await replaying.retry(engine, letter)
                row |= {"outcome": "refused", "reason": refused} if refused else {"outcome": "written"}
            rows.append(row)
        return rows

    rows = ask(work, config=config, log_level=log_level)
    if json:
        print_json(rows)
    else:
        print_table(
            rows,
            {
                "account": "account",
                "kind": "kind",
                "first_seen": "first seen",
                "outcome": "outcome",
                "sqlstate": "code",
                "reason": "reason",
            },
            empty="No dead letters: PostgreSQL took everything.",
        )
    if any(row["outcome"] == "refused" for row in rows):
        raise typer.Exit(1)
