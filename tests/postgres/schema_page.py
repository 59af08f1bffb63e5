"""docs/schema.md, written from the comments in the database.

``python -m tests.postgres.schema_page > docs/schema.md`` writes it again.
"""

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.postgres.database import open_database

PAGE = Path(__file__).parents[2] / "docs" / "schema.md"
_INTRODUCTION = """\
# Schema `bi`

{schema}

This page is written from the comments in the database, where `\\d+ bi.position_sample` in psql and every BI tool show
them too. The columns here are a contract: they are added to, not changed. Times are `timestamp with time zone`.

Read it as a login role that is a member of `recorder_reader`, which `recorder db roles` makes:

```sql
CREATE ROLE grafana LOGIN PASSWORD '…' IN ROLE recorder_reader;
```
"""
_SCHEMA = text("SELECT obj_description('bi'::regnamespace)")
_COLUMNS = text("""
    SELECT c.relname AS view, obj_description(c.oid) AS meaning, a.attname AS column,
           format_type(a.atttypid, a.atttypmod) AS type, col_description(c.oid, a.attnum) AS column_meaning
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'bi'::regnamespace AND c.relkind IN ('v', 'm', 'r', 'p', 'f')
    ORDER BY c.relname, a.attnum
""")
_FUNCTIONS = text("""
    SELECT proname AS name, pg_get_function_arguments(oid) AS arguments, pg_get_function_result(oid) AS result,
           obj_description(oid) AS meaning
    FROM pg_proc WHERE pronamespace = 'bi'::regnamespace ORDER BY proname
""")


async def schema_page(connection: AsyncConnection) -> str:
    """Return the page for the schema of this database."""
    schema = await connection.scalar(_SCHEMA)
    columns = [dict(row) for row in (await connection.execute(_COLUMNS)).mappings()]
    functions = [dict(row) for row in (await connection.execute(_FUNCTIONS)).mappings()]
    return "\n".join([_INTRODUCTION.format(schema=schema), *_views(columns), *map(_function, functions)])


def _views(columns: list[dict[str, Any]]) -> Iterator[str]:
    for view in dict.fromkeys(column["view"] for column in columns):
        rows = [column for column in columns if column["view"] == view]
        table = [f"| `{row['column']}` | {row['type']} | {_cell(row['column_meaning'])} |" for row in rows]
        yield "\n".join(
            [f"## `bi.{view}`\n", f"{rows[0]['meaning']}\n", "| column | type | meaning |", "|---|---|---|", *table, ""]
        )


def _function(row: dict[str, Any]) -> str:
    signature = f"bi.{row['name']}({row['arguments']})"
    return f"## `{signature}`\n\nReturns `{row['result']}`. {row['meaning']}\n"


def _cell(meaning: str | None) -> str:
    return (meaning or "").replace("|", "\\|")


async def _print(folder: Path) -> None:
    async with open_database(None, folder / "data") as engine, engine.connect() as connection:
        sys.stdout.write(await schema_page(connection))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)  # started as root, PostgreSQL runs as another user
        asyncio.run(_print(Path(name)))
