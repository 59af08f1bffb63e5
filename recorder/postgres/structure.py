"""Structure: what the schema of this version is made of, and how that of a database differs.

The revision number says which migrations ran. That nobody changed anything since, and that the database is not of a
version that never was released, is seen in the catalogue alone.
"""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.postgres.definitions import migrations

# Partitions are made by the service, each like its table. Versions of PostgreSQL write the names in a view with another
# prefix or with none, so these do not count.
_FACTS = text("""
    SELECT 'table ' || c.oid::regclass || ' column ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
           || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
           || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
           || CASE WHEN a.attidentity <> '' THEN ' identity' ELSE '' END
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = to_regnamespace('recorder') AND c.relkind IN ('r', 'p')
      AND (NOT c.relispartition OR c.relname LIKE '%\\_default')
    UNION ALL
    SELECT 'table ' || k.conrelid::regclass || ' constraint ' || k.conname || ' ' || pg_get_constraintdef(k.oid)
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE c.relnamespace = to_regnamespace('recorder') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND k.contype <> 'n'
    UNION ALL
    SELECT 'table ' || i.indrelid::regclass || ' index ' || pg_get_indexdef(i.indexrelid)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relnamespace = to_regnamespace('recorder') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
    UNION ALL
    SELECT 'table ' || t.tgrelid::regclass || ' trigger ' || t.tgname
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = to_regnamespace('recorder') AND NOT t.tgisinternal
    UNION ALL
    SELECT 'view ' || c.oid::regclass || ' is ' || md5(regexp_replace(pg_get_viewdef(c.oid), '\\m[a-z_]+\\.', '', 'g'))
    FROM pg_class c
    WHERE c.relnamespace IN (to_regnamespace('recorder'), to_regnamespace('bi')) AND c.relkind = 'v'
    UNION ALL
    SELECT 'function ' || p.oid::regprocedure || ' is ' || md5(concat_ws(
             ' ', p.prosrc, pg_get_function_result(p.oid), p.provolatile, p.prosecdef::text, p.proconfig::text))
    FROM pg_proc p
    WHERE p.pronamespace IN (to_regnamespace('recorder'), to_regnamespace('bi'))
""")

_SEARCH_PATH = text("SET LOCAL search_path = pg_catalog")  # or names would be written without their schema


@dataclass(frozen=True, slots=True)
class Difference:
    """How a database differs from what its revision makes.

    Attributes:
        tables: What its tables lack: with such a table nothing can be recorded, or not as it should be.
        definitions: The views and functions that are not there or not as this version has them.
        added: What somebody added to its tables. It is theirs, and no fault.
    """

    tables: tuple[str, ...] = ()
    definitions: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


async def facts(connection: AsyncConnection) -> set[str]:
    """Everything that the schemas recorder and bi are made of, a line each, the same on every version of PostgreSQL."""
    async with connection.begin_nested():
        await connection.execute(_SEARCH_PATH)
        return set(await connection.scalars(_FACTS))


async def difference(connection: AsyncConnection, revision: str) -> Difference:
    """Hold the database against what *revision*, which it is said to have, is made of."""
    expected = set(page(revision).read_text(encoding="utf-8").splitlines())
    return compare(expected, await facts(connection))


def compare(expected: set[str], found: set[str]) -> Difference:
    """Sort what is missing and what was added by what can be done about it."""
    of_table = {line for line in expected if line.startswith("table ")}
    return Difference(
        tables=tuple(sorted(of_table - found)),
        definitions=tuple(sorted({_object(line) for line in expected - of_table - found})),
        added=tuple(sorted(line for line in found - expected if line.startswith("table "))),
    )


def page(revision: str) -> Path:
    """The file that says what *revision* is made of."""
    return migrations() / "structure" / f"{revision}.txt"


def _object(line: str) -> str:
    """The view or function of which a line says how it is defined."""
    return line.partition(" is ")[0]
