"""``recorder db``: the schema, the roles, and how to get in."""

import asyncio

import typer

from recorder.cli.options import Config, Json, Verbosity

app = typer.Typer(no_args_is_help=True, help="Schema, roles for writers and readers, connection string.")


@app.command()
def upgrade(config: Config = None, log_level: Verbosity = "warning") -> None:
    """Bring the schema to the revision of this version; needs a role that may create schemas.

    The embedded database is upgraded by itself. Rights of the roles made by `recorder db roles` are renewed.
    """
    from recorder.cli.output import lines
    from recorder.cli.settings import load
    from recorder.postgres.database import open_database, revision
    from recorder.postgres.engine import create_unhurried_engine
    from recorder.postgres.roles import create_roles, roles_exist
    from recorder.postgres.schema import upgrade as migrate

    settings = load(config, log_level, need_accounts=False)

    async def work() -> tuple[str | None, str | None]:
        async with open_database(settings.database_url, settings.data_dir, engine_of=create_unhurried_engine) as engine:
            before = await revision(engine)
            await migrate(engine)
            if await roles_exist(engine):
                await create_roles(engine)
            return before, await revision(engine)

    before, after = asyncio.run(work())
    lines([f"The schema is at revision {after}." if before == after else f"Schema: {before or 'none'} → {after}."])


@app.command()
def status(json: Json = False, config: Config = None, log_level: Verbosity = "warning") -> None:
    """Show the schema's revision and how much is recorded of each account. Exit code 1 when it must be upgraded."""
    from recorder.cli.output import SUMMARY, lines, print_json, print_table
    from recorder.cli.settings import load
    from recorder.postgres.database import open_database, revision
    from recorder.postgres.questions import Rows, summary
    from recorder.postgres.schema import require_revision
    from recorder.postgres.tables import REVISION

    settings = load(config, log_level, need_accounts=False)

    async def work() -> tuple[str | None, Rows]:
        async with open_database(settings.database_url, settings.data_dir) as engine:
            found = await revision(engine)
            return found, await summary(engine) if found == REVISION else []

    found, rows = asyncio.run(work())
    if json:
        print_json({"revision": found, "expected_revision": REVISION, "accounts": rows})
    else:
        lines([f"Schema: revision {found or 'none'}, this version writes {REVISION}."])
        if found == REVISION:
            print_table(rows, SUMMARY, empty="Nothing is recorded yet.")
    require_revision(found)


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
