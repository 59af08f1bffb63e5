"""``recorder db``: the schema, the roles, the connection string."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.snapshot import Kind, Outcome, Snapshot
from recorder.postgres.roles import READER
from recorder.postgres.tables import REVISION
from recorder.recording import write
from tests.cli.command import Recorder
from tests.conftest import EMBEDDED, Server

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def recorder(recorder: Recorder, database: str) -> Recorder:
    """The command as the owner of the database."""
    recorder.variables["RECORDER_DATABASE__URL"] = database
    return recorder


@pytest.fixture
async def empty(servers: dict[str, Server], recorder: Recorder) -> AsyncIterator[Recorder]:
    """The command with a database that has no schema."""
    server, name = servers[EMBEDDED], f"empty_{uuid4().hex}"
    await server.command(f"CREATE DATABASE {name}")
    recorder.variables["RECORDER_DATABASE__URL"] = server.database(name)
    yield recorder
    await server.command(f"DROP DATABASE {name} WITH (FORCE)")


async def test_upgrade_makes_the_schema_and_repeats_harmlessly(empty: Recorder) -> None:
    before = await empty("db", "status", "--json")
    first = await empty("db", "upgrade")
    second = await empty("db", "upgrade")
    after = await empty("db", "status", "--json")

    assert before.code == 1
    assert before.json == {
        "revision": None,
        "expected_revision": REVISION,
        "changed_tables": [],
        "changed_definitions": [],
        "added": [],
        "grants": [],
        "accounts": [],
    }
    assert "error: the database has no schema yet" in before.stderr
    assert "fix: recorder db upgrade" in before.stderr
    assert (first.code, first.stdout, first.stderr) == (0, "", f"Schema: none → {REVISION}.\n")
    assert (second.code, second.stderr) == (0, f"The schema is at revision {REVISION}.\n")
    assert after.code == 0
    assert after.json == {
        "revision": REVISION,
        "expected_revision": REVISION,
        "changed_tables": [],
        "changed_definitions": [],
        "added": [],
        "grants": [],
        "accounts": [],
    }


async def test_status_counts_what_is_recorded_of_each_account(recorder: Recorder, engine: AsyncEngine) -> None:
    late = NOON.replace(minute=1)
    await write(
        engine,
        [
            Snapshot(account="main", time=NOON, kind=Kind.SLOT, taken_at=NOON),
            Snapshot(account="main", time=late, kind=Kind.SLOT, taken_at=late, outcome=Outcome.TIMEOUT, detail="late"),
        ],
    )

    listed, told = await asyncio.gather(recorder("db", "status", "--json"), recorder("db", "status"))

    assert listed.code == told.code == 0
    assert listed.json["accounts"] == [
        {
            "account": "main",
            "ok_snapshots": 1,
            "failed_snapshots": 1,
            "samples": 0,
            "changes": 0,
            "closes": 0,
            "gaps": 0,
            "first_time": "2026-11-20T12:00:00Z",
            "last_time": "2026-11-20T12:01:00Z",
        }
    ]
    assert told.stderr == f"Schema: revision {REVISION}, this version writes {REVISION}.\n"
    assert told.stdout.splitlines()[1].split()[:3] == ["main", "1", "1"]


async def test_roles_are_made_and_a_reader_gets_answers(recorder: Recorder, database: str) -> None:
    made, again = await recorder("db", "roles"), await recorder("db", "roles")
    assert made.code == again.code == 0, made.stderr
    assert made.stdout == ""
    assert "Roles recorder_writer and recorder_reader are ready." in made.stderr
    name = f"analyst_{uuid4().hex}"
    owner = await asyncpg.connect(database)
    try:
        await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'analyst' IN ROLE {READER}")
        reader = make_url(database).set(username=name, password="analyst").render_as_string(hide_password=False)

        refused, *answered = await asyncio.gather(
            recorder("db", "upgrade", RECORDER_DATABASE__URL=reader),
            *(recorder(each, "--json", RECORDER_DATABASE__URL=reader) for each in ("positions", "history", "gaps")),
        )
        for finished in answered:
            assert (finished.code, finished.json) == (0, []), finished.stderr
        assert refused.code == 1
        assert "permission denied" in refused.stderr
        assert "owner of the database" in refused.stderr
        (roles,) = [await recorder("db", "roles", RECORDER_DATABASE__URL=reader)]
        assert roles.code == 1
        assert "fix" in roles.stderr
    finally:
        await owner.execute(f"DROP ROLE {name}")
        await owner.close()


async def test_roles_need_a_schema(empty: Recorder) -> None:
    finished = await empty("db", "roles")

    assert finished.code == 1
    assert "fix: recorder db upgrade" in finished.stderr


async def test_url_prints_the_configured_one_with_its_password(recorder: Recorder) -> None:
    url = "postgresql://recorder:p%40ss%2Fword@db.internal/positions"

    finished = await recorder("db", "url", RECORDER_DATABASE__URL=url)

    assert (finished.code, finished.stdout, finished.stderr) == (0, f"{url}\n", "")
