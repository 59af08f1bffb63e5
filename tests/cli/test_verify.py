"""``recorder verify``: what it prints, and with which exit code it ends."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.snapshot import Kind, Outcome, Snapshot
from recorder.postgres.roles import READER, WRITER, create_roles
from recorder.postgres.schedules import write_schedule
from recorder.postgres.verification.audit import CHECKS
from recorder.recording import write
from tests.cli.command import Recorder

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
COMMANDS = Path(__file__).parents[2] / "docs" / "commands.md"


@pytest.fixture
async def holed(engine: AsyncEngine) -> AsyncEngine:
    """A database in which three of eleven slots are missing."""
    times = [NOON + number * MINUTE for number in range(11) if number not in {3, 4, 7}]
    await write(
        engine,
        [Snapshot(account="main", time=time, kind=Kind.SLOT, taken_at=time, outcome=Outcome.TIMEOUT) for time in times],
    )
    async with engine.begin() as connection:
        await write_schedule(connection, ["main"], NOON, MINUTE)
        await connection.execute(text("UPDATE recorder.snapshot SET recorded_at = taken_at"))
        await connection.execute(
            text("SELECT recorder.ensure_partitions(:noon, :later)"), {"noon": NOON, "later": NOON + timedelta(days=40)}
        )
    return engine


@pytest.fixture
async def logins(holed: AsyncEngine, database: str) -> AsyncIterator[dict[str, str]]:
    """The URLs of a login of each group role."""
    await create_roles(holed)
    names = {group: f"login_{uuid4().hex}" for group in (READER, WRITER)}
    async with holed.begin() as connection:
        for group, name in names.items():
            await connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'secret' IN ROLE {group}"))
    url = make_url(database)
    yield {
        group: url.set(username=name, password="secret").render_as_string(hide_password=False)
        for group, name in names.items()
    }
    async with holed.begin() as connection:
        for name in names.values():
            await connection.execute(text(f"DROP ROLE {name}"))


async def test_an_empty_database_has_nothing_to_check_and_breaks_no_promise(recorder: Recorder) -> None:
    shown, listed = await asyncio.gather(recorder("verify"), recorder("verify", "--json"))
    assert (shown.code, shown.stderr) == (0, "Nothing is recorded yet: there was nothing to check.\n")
    assert (listed.code, listed.stderr) == (0, "")
    assert listed.json["ok"]
    assert {each["found"] for each in listed.json["checks"]} == {0}


@pytest.mark.usefixtures("holed")
async def test_a_violation_is_shown_with_its_places_and_ends_with_1(recorder: Recorder) -> None:
    shown, few = await asyncio.gather(recorder("verify"), recorder("verify", "--json", "--examples", "2"))

    assert shown.code == few.code == 1
    assert "error: 3 violations: slots" in shown.stderr
    (slots,) = (line for line in shown.stdout.splitlines() if line.startswith("slots  ") and "main" not in line)
    assert slots.split()[:5] == ["slots", "violated", "3", "11", "slots"]
    assert "slots     main     2026-11-20 12:03:00Z  -       neither a snapshot nor a gap" in shown.stdout
    assert not few.json["ok"]
    (check,) = (each for each in few.json["checks"] if each["name"] == "slots")
    assert check | {"question": "", "seconds": 0} == {
        "name": "slots",
        "question": "",
        "result": "violated",
        "unit": "slots",
        "checked": 11,
        "comparable_of": None,
        "found": 3,
        "seconds": 0,
        "examples": [
            {"account": "main", "time": time, "symbol": None, "what": "neither a snapshot nor a gap"}
            for time in ("2026-11-20T12:03:00Z", "2026-11-20T12:04:00Z")
        ],
    }


@pytest.mark.usefixtures("holed")
async def test_since_and_account_choose_what_is_checked(recorder: Recorder) -> None:
    later, main, other = await asyncio.gather(
        recorder("verify", "--json", "--since", "2026-11-20T12:08"),
        recorder("verify", "--json", "--account", "main"),
        recorder("verify", "--account", "mian"),
    )
    assert (later.code, later.json["since"], later.json["account"]) == (0, "2026-11-20T12:08:00Z", None)
    assert (main.code, main.json["account"]) == (1, "main")
    assert (other.code, other.stdout) == (1, "")
    assert other.stderr.startswith("error: nothing is recorded of an account 'mian'\n  why: recorded are: main\n")


async def test_a_reader_is_told_which_role_it_takes_and_a_writer_has_it(
    recorder: Recorder, logins: dict[str, str]
) -> None:
    reader, writer = await asyncio.gather(
        recorder("verify", RECORDER_DATABASE__URL=logins[READER]),
        recorder("verify", "--json", RECORDER_DATABASE__URL=logins[WRITER]),
    )
    assert (reader.code, reader.stdout) == (1, "")
    assert "error: this role may not read the tables of schema recorder" in reader.stderr
    assert f"verify as a member of {WRITER}" in reader.stderr
    assert [each["name"] for each in writer.json["checks"] if each["result"] == "violated"] == ["slots"]


def test_every_check_is_documented() -> None:
    page = COMMANDS.read_text(encoding="utf-8")
    assert [check.name for check in CHECKS if f"| `{check.name}` | {check.question} |" not in page] == []
