import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from recorder.cli.main import app
from tests.cli.command import REPOSITORY, Recorder

COMMANDS = (
    "demo",
    "run",
    "snapshot",
    "import",
    "check",
    "positions",
    "history",
    "gaps",
    "replay",
    "dead-letters",
    "db upgrade",
    "db status",
    "db roles",
    "db url",
    "simulate",
)
HEAVY = (  # not pydantic, which Typer itself needs
    "alembic",
    "apscheduler",
    "asyncpg",
    "cryptography",
    "msgspec",
    "prometheus_client",
    "pydantic_settings",
    "sqlalchemy",
    "starlette",
    "structlog",
    "uvicorn",
    "websockets",
)
WRONG_CALLS = (
    ("run", "--nonsense"),
    ("db", "nonsense"),
    ("import", "file.json"),
    ("import", "file.json", "--account", "main", "--at", "yesterday"),
    ("history", "--since", "999999999d"),
    ("demo", "--for", "5 minutes"),
    ("demo", "--days", "-1"),
    ("simulate", "--accounts", "0"),
    ("run", "--log-level", "loud"),
)
EVERY_HELP = f"""
import sys
from recorder.cli.main import app
for command in {COMMANDS!r}:
    print("=====", command)
    try:
        app([*command.split(), "--help"])
    except SystemExit as end:
        assert not end.code, command
print("=====", *sorted(set(sys.modules) & set({HEAVY!r})))
"""


@pytest.fixture
def alone(tmp_path: Path) -> Recorder:
    """The command without anything."""
    return Recorder(tmp_path)


async def test_help_of_every_command_explains_it_and_imports_nothing_heavy(alone: Recorder) -> None:
    finished = await alone(program=EVERY_HELP)

    assert finished.code == 0, finished.stderr
    assert finished.stderr == ""
    _, *helps, imported = finished.stdout.split("=====")
    assert imported.strip() == ""
    assert len(helps) == len(COMMANDS)
    for text in helps:
        assert re.search(r"\n [A-Z][^│\n]{20,}", text.partition("Usage")[2]), text  # a sentence of what it does
        assert "\n Usage: " in text


async def test_help_lists_every_command_and_the_exit_codes(alone: Recorder) -> None:
    finished = await alone("--help")

    assert finished.code == 0
    for command in COMMANDS:
        assert f"│ {command.split()[0]} " in finished.stdout
    assert "0 ok, 1 the work failed, 2 usage, 78 configuration" in " ".join(finished.stdout.split())
    assert "\x1b" not in finished.stdout


async def test_a_wrong_call_says_so_on_stderr_and_exits_2(alone: Recorder) -> None:
    finished = await asyncio.gather(*(alone(*call) for call in WRONG_CALLS))

    for call, each in zip(WRONG_CALLS, finished, strict=True):
        assert each.code == 2, call
        assert each.stdout == "", call
        assert "Usage: " in each.stderr, call
        assert "Traceback" not in each.stderr, call
        assert "\x1b" not in each.stderr, call


async def test_no_account_is_a_configuration_error_that_says_how_to_make_one(alone: Recorder) -> None:
    finished = await alone("run")

    assert finished.code == 78
    assert finished.stdout == ""
    assert "error: No account is configured" in finished.stderr
    assert "  fix: Set BINANCE_API_KEY and BINANCE_API_SECRET" in finished.stderr


async def test_a_file_that_is_named_and_not_there_is_a_configuration_error(alone: Recorder) -> None:
    finished = await alone("positions", "--config", "elsewhere.toml")

    assert finished.code == 78
    assert "elsewhere.toml" in finished.stderr


async def test_a_misspelt_setting_is_a_configuration_error_with_a_suggestion(alone: Recorder) -> None:
    (alone.folder / "recorder.toml").write_text('[snapshot]\nevry = "60s"\n')

    finished = await alone("gaps")

    assert finished.code == 78
    assert "Did you mean snapshot.every?" in finished.stderr


async def test_a_database_that_is_away_is_a_failure_with_what_why_and_fix(alone: Recorder) -> None:
    finished = await alone("positions", RECORDER_DATABASE__URL="postgresql://nobody@127.0.0.1:1/none")

    assert finished.code == 1
    assert finished.stdout == ""
    assert "error: PostgreSQL cannot be used" in finished.stderr
    assert "  why: " in finished.stderr
    assert "  fix: start PostgreSQL, or mend database.url" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_every_command_and_every_option_is_in_the_documentation() -> None:
    page = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
    for command, options in commands(typer.main.get_command(app), "recorder"):
        assert f"`{command}" in page, command
        section = page.partition(f"\n## `{' '.join(command.split()[:2])}")[2].partition("\n## ")[0]
        for option in options - {"--help"}:
            assert f"`{option}`" in section, f"{command} {option}"


def commands(command: Any, name: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each command with its long options."""
    for sub_name, sub_command in getattr(command, "commands", {}).items():
        yield from commands(sub_command, f"{name} {sub_name}")
    if not hasattr(command, "commands"):
        yield name, {option for each in command.params for option in each.opts if option.startswith("--")}
