"""A database of an earlier revision, filled with what a recorder of that time would have left in it."""

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.postgres.engine import create_engine
from recorder.postgres.schema import upgrade

_TABLES = """
    SELECT c.relname AS name, array_agg(quote_ident(a.attname) ORDER BY a.attnum) AS columns
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'recorder'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND c.relname NOT IN ('alembic_version', 'schema_revision')
    GROUP BY c.relname ORDER BY c.relname <> 'account', c.relname
"""
_COMMENTS = text("""
    SELECT pg_describe_object(d.classoid, d.objoid, d.objsubid) || ': ' || d.description
    FROM pg_description d
    WHERE d.classoid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_namespace'::regclass)
      AND pg_describe_object(d.classoid, d.objoid, d.objsubid) ~ '(recorder|bi)'
""")


Columns = dict[str, str]
"""Of each table."""


async def make(url: str, revision: str, source: str) -> Columns:
    """Bring the empty database at *url* to *revision*, and fill it with the rows of the database at *source*.

    What that revision has no place for is left out; return what it has.
    """
    engine = create_engine(url)
    await upgrade(engine, revision)
    await engine.dispose()
    given, taken = await asyncpg.connect(source), await asyncpg.connect(url)
    try:
        first = await given.fetchval('SELECT min("time") FROM recorder.snapshot')
        await taken.execute("SELECT recorder.ensure_partitions($1, now() + interval '62 days')", first)
        known = {row["name"]: row["columns"] for row in await given.fetch(_TABLES)}
        common = {
            name: ", ".join(column for column in columns if column in known[name])
            for name, columns in await taken.fetch(_TABLES)
        }
        for name, columns in common.items():
            await _copy(given, taken, name, columns)
        await taken.execute("SELECT setval('recorder.account_id_seq', (SELECT max(id) FROM recorder.account))")
        return common
    finally:
        await given.close()
        await taken.close()


async def _copy(given: asyncpg.Connection, taken: asyncpg.Connection, name: str, columns: str) -> None:
    rows = await given.fetch(f"SELECT {columns} FROM recorder.{name}")
    places = ", ".join(f"${place}" for place in range(1, columns.count(",") + 2))
    await taken.executemany(
        f"INSERT INTO recorder.{name} ({columns}) OVERRIDING SYSTEM VALUE VALUES ({places})",
        [tuple(row) for row in rows],
    )


async def rows(url: str, only: Columns | None = None) -> dict[str, list[str]]:
    """Every row of every table, or its columns in *only*, as text in order, by the table's name."""
    connection = await asyncpg.connect(url)
    try:
        every = {name: ", ".join(columns) for name, columns in await connection.fetch(_TABLES)}
        return {
            name: [
                row[0]
                for row in await connection.fetch(
                    f"SELECT to_jsonb(t)::text FROM (SELECT {columns} FROM recorder.{name}) AS t ORDER BY 1"
                )
            ]
            for name, columns in (only or every).items()
        }
    finally:
        await connection.close()


async def comments(connection: AsyncConnection) -> set[str]:
    """Everything that is explained, with the explanation."""
    return set(await connection.scalars(_COMMENTS))
