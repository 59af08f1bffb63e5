"""``recorder db``: the schema, the roles, and how to get in."""

import asyncio

import typer

from recorder.cli.options import Config, Json, Verbosity

app = typer.Typer(no_args_is_help=True, help="Schema, roles for writers and readers, connection string.")


@app.command()
def upgrade(config: Config = None, log_level: Verbosity = "warning") -> None:
    """Bring the tables to the revision of this version, and every view and function; needs their owner.

    One transaction: it succeeds whole or changes nothing. What others built on the views, and what was granted on
    them, stays. Rights of the roles made by `recorder db roles` are renewed. The embedded database is upgraded by
    itself.
    """
    from recorder.cli.output import lines
    from recorder.cli.settings import load
    from recorder.postgres.database import open_database, revision
    from recorder.postgres.engine import create_unhurried_engine
    from recorder.postgres.schema import upgrade as migrate

    settings = load(config, log_level, need_accounts=False)

    async def work() -> tuple[str | None, str | None]:
        async with open_database(settings.database_url, settings.data_dir, engine_of=create_unhurried_engine) as engine:
            before = await revision(engine)
            await migrate(engine)
            return before.revision, (await revision(engine)).revision

    before, after = asyncio.run(work())
    lines([f"The schema is at revision {after}." if before == after else f"Schema: {before or 'none'} → {after}."])


@app.command()
def status(json: Json = False, config: Config = None, log_level: Verbosity = "warning") -> None:
    """Show the schema's revision, whether anybody changed it, who else may read it, and what is recorded.

    Exit code 1 when the schema must be upgraded, or is not what this version made.
    """
    from recorder.cli.output import SUMMARY, lines, print_json, print_table
    from recorder.cli.settings import load
    from recorder.postgres.database import open_database, revision, structure
    from recorder.postgres.questions import Rows, summary
    from recorder.postgres.roles import grants_of_others
    from recorder.postgres.schema import Applied, require_revision, require_structure
    from recorder.postgres.structure import Difference
    from recorder.postgres.tables import REVISION

    settings = load(config, log_level, need_accounts=False)

    async def work() -> tuple[Applied, Difference, list[str], Rows]:
        async with open_database(settings.database_url, settings.data_dir) as engine:
            found = await revision(engine)
            if found.revision != REVISION:
                return found, Difference(), [], []
            return found, await structure(engine), await grants_of_others(engine), await summary(engine)

    found, differs, grants, rows = asyncio.run(work())
    if json:
        print_json(
            {
                "revision": found.revision,
                "expected_revision": REVISION,
                "changed_tables": differs.tables,
                "changed_definitions": differs.definitions,
                "added": differs.added,
                "grants": grants,
                "accounts": rows,
            }
        )
    else:
        lines([f"Schema: revision {found.revision or 'none'}, this version writes {REVISION}."])
        lines(f"Changed: {each}" for each in (*differs.tables, *differs.definitions))
        lines(f"Not the recorder's, and left alone: {each}" for each in (*differs.added, *grants))
        if found.revision == REVISION:
            print_table(rows, SUMMARY, empty="Nothing is recorded yet.")
    require_revision(found)
    require_structure(differs)


@app.command()
def roles(config: Config = None, log_level: Verbosity = "warning") -> None:
    """Make the group roles recorder_writer and recorder_reader, or bring their rights up to date.

    Grant them to login roles: CREATE ROLE grafana LOGIN PASSWORD '…' IN ROLE recorder_reader. A reader sees the
    views and functions of schema bi and nothing else; run this again to have its sessions begin read-only and with a
    time-out. Nobody but its owner can make temporary tables in the database afterwards.
    """
    from recorder.cli.output import lines
    from recorder.cli.settings import load
    from recorder.postgres.database import open_database, require_schema
    from recorder.postgres.roles import READER, WRITER, create_roles

    settings = load(config, log_level, need_accounts=False)

    async def work() -> list[str]:
        async with open_database(settings.database_url, settings.data_dir) as engine:
            await require_schema(engine)
            return await create_roles(engine)

    left = asyncio.run(work())
    lines(
        [
            f"Roles {WRITER} and {READER} are ready. Grant them to login roles, for example:",
            f"  CREATE ROLE grafana LOGIN PASSWORD '…' IN ROLE {READER};",
            f"  CREATE ROLE recorder LOGIN PASSWORD '…' IN ROLE {WRITER};",
        ]
    )
    if left:
        lines(["A role with more rights should also run:", *(f"  {statement};" for statement in left)])


@app.command()
def url(config: Config = None, log_level: Verbosity = "warning") -> None:
    """Print the connection string of the database, password included, for psql and BI tools.

    Example: psql "$(recorder db url)". The embedded database answers while `recorder run` runs.
    """
    from recorder.cli.settings import load
    from recorder.postgres.database import connection_string

    settings = load(config, log_level, need_accounts=False)
    typer.echo(asyncio.run(connection_string(settings.database_url, settings.data_dir)))
