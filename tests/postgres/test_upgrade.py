"""An upgrade keeps every row, every grant and what others built; and a schema that somebody edited is told."""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.position import Position
from recorder.domain.snapshot import Kind, Snapshot
from recorder.exceptions import SchemaMismatch
from recorder.postgres import definitions
from recorder.postgres.database import require_same_schema, structure
from recorder.postgres.embedded.binaries import server_binaries
from recorder.postgres.embedded.server import embedded_postgres
from recorder.postgres.engine import create_engine
from recorder.postgres.roles import READER, WRITER, create_roles, grants_of_others
from recorder.postgres.schema import upgrade
from recorder.postgres.structure import facts, page
from recorder.postgres.tables import REVISION
from recorder.postgres.verification.audit import audit
from recorder.recording import write
from tests.conftest import EMBEDDED, Server
from tests.postgres.filled import comments, make, rows
from tests.postgres.grants import grants
from tests.postgres.structure_page import structure_page
from tests.verification.month import record

MIGRATIONS = definitions.migrations()
SCRIPTS = ScriptDirectory(str(MIGRATIONS))
LANDED = sorted(script.revision for script in SCRIPTS.walk_revisions() if script.revision != REVISION)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
GRANTS = Path(__file__).parent / "grants.txt"
# Left by revision 0001: the stream told of BTCUSDT and XRPUSDT, which were closed while nobody listened.
PHANTOMS = (
    "SELECT recorder.ensure_partitions(CAST(:noon AS timestamptz), now() + interval '62 days')",
    "INSERT INTO recorder.account (name) VALUES ('main')",
    """INSERT INTO recorder.snapshot (account_id, "time", kind, taken_at, outcome, position_count, duration_ms)
       SELECT a.id, at, 'slot', at + interval '200 ms', 'ok', count, 100
       FROM recorder.account a, (VALUES (0, 0), (5, 1), (10, 1)) AS slot (seconds, count),
            LATERAL (SELECT CAST(:noon AS timestamptz) + seconds * interval '1 second' AS at) AS due""",
    """INSERT INTO recorder.sample (account_id, "time", update_time, symbol, position_side, position_amt, entry_price,
                                    mark_price, unrealized_profit)
       SELECT s.account_id, s."time", CAST(:noon AS timestamptz) + interval '3 seconds', 'ETHUSDT', 'BOTH', 2, 100,
              100, 0
       FROM recorder.snapshot s WHERE s.position_count = 1""",
    """INSERT INTO recorder.change (account_id, symbol, position_side, update_time, dated_by_exchange, position_amt,
                                    entry_price, margin_asset, source, observed_at, event_time)
       SELECT a.id, symbol, 'BOTH', at, true, amount, 100, 'USDT', 'stream', at, at
       FROM recorder.account a, (VALUES ('BTCUSDT', 2, 4), ('ETHUSDT', 3, 2), ('XRPUSDT', 8, -1))
              AS told (symbol, seconds, amount),
            LATERAL (SELECT CAST(:noon AS timestamptz) + seconds * interval '1 second' AS at) AS heard""",
)
HELD = "SELECT symbol, position_amt FROM bi.positions_at(:at) ORDER BY 1"
CLOSED = "SELECT symbol, update_time FROM bi.position_history WHERE source = 'inferred' ORDER BY 1"
FREEZE = (
    "this revision has landed: databases out there were made of it, and will never see the change. Put the file back, "
    "and make a new revision: docs/schema-changes.md"
)


def frozen() -> dict[str, str]:
    lines = (MIGRATIONS / "frozen.sha256").read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


@pytest.fixture(scope="module")
def lived(servers: dict[str, Server]) -> Iterator[str]:
    """The URL of a database of the newest revision with a month of simulated data."""
    server, name = servers[EMBEDDED], f"lived_{uuid4().hex}"

    async def fill() -> None:
        await server.command(f"CREATE DATABASE {name} TEMPLATE recorder_template")
        engine = create_engine(server.database(name))
        await record(engine, days=30, every=timedelta(hours=6))
        await engine.dispose()

    asyncio.run(fill())
    yield server.database(name)
    asyncio.run(server.command(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def empty(database: str) -> AsyncIterator[str]:
    """The URL of a database without schema, beside *database*."""
    server, name = Server(database), f"empty_{uuid4().hex}"
    await server.command(f"CREATE DATABASE {name}")
    yield server.database(name)
    await server.command(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def foreign(database: str) -> AsyncIterator[str]:
    """A login role of somebody else's."""
    name = f"analyst_{uuid4().hex}"
    server = Server(database)
    await server.command(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    yield name
    await server.command(f"DROP ROLE {name}")


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that PostgreSQL reaches also as another user, as which it runs when root starts it."""
    with tempfile.TemporaryDirectory(prefix="recorder-tests-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def test_what_has_landed_is_never_edited() -> None:
    for name, digest in frozen().items():
        assert sha256((MIGRATIONS / name).read_bytes()).hexdigest() == digest, f"migrations/{name}: {FREEZE}"


def test_every_file_of_a_landed_revision_is_frozen() -> None:
    for revision in LANDED:
        (version,) = (MIGRATIONS / "versions").glob(f"{revision}_*.py")
        files = {version, page(revision), *(MIGRATIONS / "sql" / revision).iterdir()}
        assert {str(file.relative_to(MIGRATIONS)) for file in files} <= set(frozen())


def test_every_definition_has_its_place_in_the_order() -> None:
    assert sorted(definitions.ORDER) == sorted(file.stem for file in (MIGRATIONS / "bi").glob("*.sql"))


def test_every_new_revision_says_how_old_a_program_may_go_on_writing() -> None:
    for script in SCRIPTS.walk_revisions():
        if script.revision != "0001":
            assert "0001" <= script.module.oldest_writer <= script.revision


@pytest.mark.every_postgres
@pytest.mark.parametrize("revision", LANDED)
async def test_an_upgraded_database_equals_a_new_one_and_keeps_rows_grants_and_what_others_built(
    foreign: str, revision: str, engine: AsyncEngine, empty: str, lived: str
) -> None:
    known = await make(empty, revision, lived)
    upgraded = create_engine(empty)
    try:
        await create_roles(engine)
        async with upgraded.begin() as connection:
            for statement in (
                f"GRANT USAGE ON SCHEMA bi TO {foreign}",
                f"GRANT SELECT ON bi.pnl_daily TO {foreign} WITH GRANT OPTION",
                f"GRANT SELECT (account, symbol) ON bi.fill TO {foreign}",
                f"GRANT EXECUTE ON FUNCTION bi.positions_at(timestamptz) TO {foreign}",
                f"GRANT SELECT ON recorder.income TO {foreign}",
                "CREATE SCHEMA desk",
                "CREATE VIEW desk.pnl AS SELECT account, day, net_profit FROM bi.pnl_daily",
                "CREATE VIEW desk.held AS SELECT * FROM bi.positions_at(now())",
                "CREATE VIEW bi.of_the_desk AS SELECT h.* FROM bi.position_history h",
                f"GRANT SELECT ON desk.pnl, bi.of_the_desk TO {foreign}",
                "CREATE INDEX of_the_desk ON recorder.income (account_id, asset)",
            ):
                await connection.execute(text(statement))
            built = (await connection.execute(text("SELECT * FROM desk.pnl ORDER BY 1, 2"))).all()
            others = {line for line in await grants(connection) if line.startswith(foreign)}

        await upgrade(upgraded)

        await require_same_schema(upgraded)
        async with engine.connect() as fresh, upgraded.connect() as connection:
            assert (await facts(connection)) - (await facts(fresh)) == {
                (
                    "table recorder.income index CREATE INDEX of_the_desk ON recorder.income "
                    "USING btree (account_id, asset)"
                ),
                *(line for line in await facts(connection) if line.startswith("view bi.of_the_desk")),
            }
            assert (await facts(fresh)) <= (await facts(connection))
            assert await comments(fresh) <= await comments(connection)
            granted = await grants(connection)
            assert {line for line in granted if line.startswith(foreign)} == others
            assert {line for line in granted if line.startswith((WRITER, READER))} == {
                line for line in await grants(fresh) if line.startswith((WRITER, READER))
            }
            assert (await connection.execute(text("SELECT * FROM desk.pnl ORDER BY 1, 2"))).all() == built
        assert any(f"SELECT on bi.pnl_daily granted to {foreign}" in line for line in await grants_of_others(upgraded))
        assert await rows(empty, known) == await rows(lived, known)
        assert [result.check.name for result in await audit(upgraded) if result.is_violated] == []
    finally:
        await upgraded.dispose()


@pytest.mark.every_postgres
async def test_an_upgrade_closes_what_only_the_stream_told_of_and_the_next_snapshot_lacked(empty: str) -> None:
    upgraded = create_engine(empty)
    try:
        await upgrade(upgraded, "0001")
        async with upgraded.begin() as connection:
            for statement in PHANTOMS:
                await connection.execute(text(statement), {"noon": NOON})
        await upgrade(upgraded)

        for slot, updated in ((15, 3), (20, 9)):  # the second tells of a change before a snapshot of the time before
            await write(upgraded, [held_on(slot, updated)])
            async with upgraded.connect() as connection:
                said = await connection.execute(text(HELD), {"at": NOON + timedelta(seconds=slot + 1)})
                assert said.all() == [("BTCUSDT", 0), ("ETHUSDT", 2), ("XRPUSDT", 0)]
                closed = (await connection.execute(text(CLOSED))).all()
                assert closed == [("BTCUSDT", NOON + timedelta(seconds=5)), ("XRPUSDT", NOON + timedelta(seconds=10))]
            assert [result.check.name for result in await audit(upgraded) if result.is_violated] == []
    finally:
        await upgraded.dispose()


def held_on(slot: int, updated: int) -> Snapshot:
    """A snapshot of the account of PHANTOMS, in which only ETHUSDT is open."""
    position = Position(
        symbol="ETHUSDT",
        position_side="BOTH",
        position_amt=Decimal(2),
        entry_price=Decimal(100),
        update_time=NOON + timedelta(seconds=updated),
        mark_price=Decimal(100),
        unrealized_profit=Decimal(0),
    )
    time = NOON + timedelta(seconds=slot)
    return Snapshot(
        account="main",
        time=time,
        kind=Kind.SLOT,
        taken_at=time + timedelta(seconds=0.2),
        duration=timedelta(seconds=0.1),
        positions=(position,),
    )


async def test_a_dump_restored_into_a_new_server_equals_the_original(lived: str, reachable: Path) -> None:
    original = create_engine(lived)
    await create_roles(original)
    dump = subprocess.run(  # noqa: ASYNC221, S603
        [server_binaries() / "pg_dump", "--dbname", lived], check=True, capture_output=True
    ).stdout
    async with embedded_postgres(reachable / "new") as url:
        server = Server(url)
        for role in (WRITER, READER):
            await server.command(f"CREATE ROLE {role} NOLOGIN")
        await server.command("CREATE DATABASE restored")
        restored = create_engine(server.database("restored"))
        subprocess.run(  # noqa: ASYNC221, S603
            [server_binaries() / "psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", server.database("restored")],
            input=dump, check=True, capture_output=True,
        )  # fmt: skip

        await require_same_schema(restored)
        async with original.connect() as there, restored.connect() as here:
            assert await facts(here) == await facts(there)
            assert await comments(here) == await comments(there)
            assert await grants(here) == await grants(there)
        assert await rows(server.database("restored")) == await rows(lived)
        assert [result.check.name for result in await audit(restored) if result.is_violated] == []
        await restored.dispose()
    await original.dispose()


@pytest.mark.every_postgres
async def test_the_rights_of_both_groups_are_these(engine: AsyncEngine) -> None:
    await create_roles(engine)
    async with engine.connect() as connection:
        found = {line for line in await grants(connection) if line.startswith((WRITER, READER, "PUBLIC"))}
    if os.environ.get("UPDATE"):
        GRANTS.write_text("".join(f"{line}\n" for line in sorted(found)), encoding="utf-8")

    assert sorted(found) == GRANTS.read_text(encoding="utf-8").splitlines(), "if that is meant: UPDATE=1 pytest …"


@pytest.mark.every_postgres
async def test_the_page_about_the_structure_says_what_the_database_is_made_of(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        found = await structure_page(connection)

    assert page(REVISION).read_text(encoding="utf-8") == found, "run: make migrations/structure"


@pytest.mark.every_postgres
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("DROP VIEW bi.freshness", "view bi.freshness"),
        (("CREATE OR REPLACE VIEW recorder.state AS SELECT a.name AS account, c.* FROM recorder.change c "
         "JOIN recorder.account a ON a.id = c.account_id"), "view recorder.state"),
        (("CREATE OR REPLACE FUNCTION recorder.income_part(income_type text) RETURNS text LANGUAGE sql IMMUTABLE "
         "AS $$ SELECT 'commission' $$"), "function recorder.income_part(text)"),
        ("DROP FUNCTION bi.positions_at(timestamptz)", "function bi.positions_at(timestamp with time zone)"),
        ("ALTER FUNCTION bi.positions_at(timestamptz) SECURITY INVOKER",
         "function bi.positions_at(timestamp with time zone)"),
    ],
)  # fmt: skip
async def test_a_view_or_function_that_was_edited_is_told_and_made_again_by_an_upgrade(
    engine: AsyncEngine, change: str, named: str
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(change))

    with pytest.raises(SchemaMismatch) as caught:
        await require_same_schema(engine)
    assert named in caught.value.what
    assert caught.value.fix == "recorder db upgrade"

    await upgrade(engine)
    await require_same_schema(engine)


@pytest.mark.every_postgres
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("ALTER TABLE recorder.gap DROP COLUMN detail", "table recorder.gap column detail text"),
        (
            "ALTER TABLE recorder.snapshot ALTER COLUMN kind DROP NOT NULL",
            "snapshot column kind text not null",
        ),
        ("ALTER TABLE recorder.account DROP CONSTRAINT account_name_key", "account_name_key UNIQUE (name)"),
        ("DROP INDEX recorder.change_undated_idx", "change_undated_idx"),
        ("DROP TABLE recorder.dead_letter", "recorder.dead_letter"),
        ("ALTER TABLE recorder.sample ALTER COLUMN mark_price TYPE numeric(20, 2)", "mark_price"),
    ],
)
async def test_a_table_that_was_edited_is_told_and_no_command_is_advised_that_does_nothing(
    engine: AsyncEngine, change: str, named: str
) -> None:
    async with engine.begin() as connection:
        if "mark_price" in change:
            await connection.execute(text("DROP SCHEMA bi CASCADE"))
        await connection.execute(text(change))

    with pytest.raises(SchemaMismatch) as caught:
        await require_same_schema(engine)
    assert named in caught.value.what
    assert not caught.value.fix.startswith("recorder db upgrade")
    with pytest.raises(SchemaMismatch, match="not those of its revision"):
        await upgrade(engine)


async def test_a_database_of_a_version_that_was_never_released_is_refused_before_anything_is_changed(
    empty: str,
) -> None:
    engine = create_engine(empty)
    await upgrade(engine, "0001")
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE recorder.beginning"))
        before = await facts(connection)

    with pytest.raises(SchemaMismatch, match=r"recorder\.beginning"):
        await upgrade(engine)

    async with engine.connect() as connection:
        assert await facts(connection) == before
    await engine.dispose()


@pytest.mark.every_postgres
async def test_what_somebody_added_is_told_and_is_no_fault(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE recorder.fill ADD COLUMN desk text"))
        await connection.execute(text("CREATE INDEX ON recorder.fill (account_id, symbol)"))
        await connection.execute(text("CREATE VIEW bi.of_the_desk AS SELECT 1 AS one"))

    await require_same_schema(engine)
    differs = await structure(engine)

    assert differs.tables == differs.definitions == ()
    assert [line.split(" ")[:3] for line in differs.added] == [
        ["table", "recorder.fill", "column"], ["table", "recorder.fill", "index"],
    ]  # fmt: skip
    await upgrade(engine)


@pytest.mark.every_postgres
async def test_a_view_is_not_removed_while_somebody_elses_stands_on_it(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("CREATE VIEW bi.retired AS SELECT 1 AS one"))
        await connection.execute(text("CREATE VIEW public.of_the_desk AS SELECT one FROM bi.retired"))
    monkeypatch.setattr(definitions, "REMOVED", ("VIEW bi.retired",))

    with pytest.raises(SchemaMismatch) as caught:
        await upgrade(engine)
    assert "view public.of_the_desk depends on view bi.retired" in caught.value.why

    async with engine.begin() as connection:
        await connection.execute(text("DROP VIEW public.of_the_desk"))
    await upgrade(engine)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT to_regclass('bi.retired')")) is None


async def test_a_view_that_was_replaced_by_one_with_other_columns_is_not_destroyed(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("DROP VIEW bi.income"))
        await connection.execute(text("CREATE VIEW bi.income AS SELECT 1 AS one"))

    with pytest.raises(SchemaMismatch, match="not the recorder's"):
        await upgrade(engine)

    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT one FROM bi.income")) == 1


@pytest.mark.every_postgres
async def test_a_program_goes_on_writing_into_a_newer_schema_for_as_long_as_that_lets_it(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE recorder.alembic_version SET version_num = '9999'"))
        await connection.execute(text(f"INSERT INTO recorder.schema_revision VALUES ('9999', '{REVISION}')"))
    snapshot = Snapshot(account="main", time=NOON, kind=Kind.SLOT, taken_at=NOON)

    assert len(await write(engine, [snapshot])) == 1
    with pytest.raises(SchemaMismatch, match="revision 9999"):
        await upgrade(engine)

    async with engine.begin() as connection:
        await connection.execute(text("UPDATE recorder.schema_revision SET oldest_writer = '9999'"))
    with pytest.raises(SchemaMismatch, match="revision 9999"):
        await write(engine, [snapshot])


@pytest.mark.every_postgres
async def test_an_upgrade_brings_the_rights_of_the_roles_up_to_date(empty: str, engine: AsyncEngine) -> None:
    await create_roles(engine)
    upgraded = create_engine(empty)
    await upgrade(upgraded, LANDED[0])
    await upgrade(upgraded)

    async with upgraded.connect() as connection, engine.connect() as fresh:
        assert await grants(connection) == await grants(fresh)
    await upgraded.dispose()


async def test_a_half_applied_schema_is_told(engine: AsyncEngine, database: str) -> None:
    owner = await asyncpg.connect(database)
    await owner.execute("DROP VIEW bi.gap; ALTER TABLE recorder.gap DROP COLUMN detail, DROP COLUMN symbol CASCADE")
    await owner.close()

    with pytest.raises(SchemaMismatch, match=r"recorder\.gap column detail"):
        await require_same_schema(engine)
