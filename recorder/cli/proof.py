"""The proof, printed: a line for each check, then where its promise is broken."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from recorder.cli.output import lines, print_json, print_table, show_time, stderr, stdout
from recorder.cli.settings import load
from recorder.exceptions import RecorderError
from recorder.postgres.database import open_database
from recorder.postgres.engine import create_unhurried_engine
from recorder.postgres.verification.audit import Progress as Step
from recorder.postgres.verification.audit import Result, audit

_STYLES = {"ok": "green", "violated": "bold red", "notice": "yellow", "nothing": "dim"}
_ALWAYS_THERE = {"objects", "constraints", "partitions"}
_EXAMPLES = {"check": "check", "account": "account", "time": "time", "symbol": "symbol", "what": "what"}


def prove(
    since: datetime | None, account: str | None, examples: int, *, json: bool, config: Path | None, log_level: str
) -> None:
    """Print every check and its answer. Raises ``RecorderError`` when a promise is broken."""
    settings = load(config, log_level, need_accounts=False)
    progress = Progress(
        TextColumn("Checking {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=stderr(),
        transient=True,
        disable=not sys.stderr.isatty(),
    )

    async def work() -> list[Result]:
        async with open_database(settings.database_url, settings.data_dir, engine_of=create_unhurried_engine) as engine:
            with progress:
                task = progress.add_task("", total=None)

                def tell(step: Step) -> None:
                    progress.update(task, description=step.check.name, completed=step.done, total=step.steps)

                return await audit(engine, account=account, since=since, examples=examples, tell=tell)

    results = asyncio.run(work())
    broken = [result for result in results if result.is_violated]
    if json:
        print_json(_document(since, account, results))
    else:
        print_results(results)
    if broken:
        raise RecorderError(
            f"{sum(result.answer.found for result in broken)} violations: "
            + ", ".join(result.check.name for result in broken),
            why="what is recorded is not what the recorder promises: somebody changed it, or this is a bug",
            fix="see `recorder verify --json --examples 100` for the places; please report what nobody changed",
        )


def print_results(results: Sequence[Result]) -> None:
    """Print a line for each check, and under them what was found."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for heading, justify in (("check", "left"), ("result", "left"), ("checked", "right"), ("seconds", "right")):
        shown.add_column(heading, justify="right" if justify == "right" else "left", no_wrap=True)
    shown.add_column("question", overflow="fold")
    for result in results:
        outcome = _outcome(result)
        found = f" {result.answer.found}" if result.answer.found else ""
        shown.add_row(
            result.check.name,
            Text(f"{outcome}{found}", style=_STYLES[outcome]),
            _checked(result),
            f"{result.seconds:.1f}",
            result.check.question,
        )
    stdout().print(shown)
    examples = [row for result in results for row in _examples(result)]
    if examples:
        stdout().print()
        print_table(examples, _EXAMPLES, empty="")
    if not any(result.answer.checked for result in results if result.check.unit not in _ALWAYS_THERE):
        lines(["Nothing is recorded yet: there was nothing to check."])


def _outcome(result: Result) -> str:
    if result.is_violated:
        return "violated"
    if result.answer.found:
        return "notice"
    return "ok" if result.answer.checked else "nothing"


def _checked(result: Result) -> str:
    of = result.answer.comparable_of
    return f"{result.answer.checked:,}{f' of {of:,}' if of is not None else ''} {result.check.unit}"


def _examples(result: Result) -> list[Mapping[str, Any]]:
    return [
        {
            "check": result.check.name,
            "account": each.account,
            "time": None if each.time is None else show_time(each.time),
            "symbol": each.symbol,
            "what": each.what,
        }
        for each in result.answer.examples
    ]


def _document(since: datetime | None, account: str | None, results: Sequence[Result]) -> dict[str, Any]:
    return {
        "since": since,
        "account": account,
        "ok": not any(result.is_violated for result in results),
        "checks": [
            {
                "name": result.check.name,
                "question": result.check.question,
                "result": _outcome(result),
                "unit": result.check.unit,
                "checked": result.answer.checked,
                "comparable_of": result.answer.comparable_of,
                "found": result.answer.found,
                "seconds": round(result.seconds, 3),
                "examples": [
                    {"account": each.account, "time": each.time, "symbol": each.symbol, "what": each.what}
                    for each in result.answer.examples
                ],
            }
            for result in results
        ],
    }
