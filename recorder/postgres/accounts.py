"""Accounts: names to the numbers that stand for them in every table."""

from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_ADD = text("""
    INSERT INTO recorder.account (name)
    SELECT name FROM unnest(CAST(:names AS text[])) AS wanted (name)
    WHERE NOT EXISTS (SELECT FROM recorder.account a WHERE a.name = wanted.name)
    ON CONFLICT (name) DO NOTHING
""")
_FIND = text("SELECT name, id FROM recorder.account WHERE name = ANY (CAST(:names AS text[]))")


async def account_ids(connection: AsyncConnection, names: Iterable[str]) -> dict[str, int]:
    """Return the number of each account, adding those that are new."""
    wanted = sorted(set(names))
    known = await _find(connection, wanted)
    if len(known) < len(wanted):
        await connection.execute(_ADD, {"names": wanted})
        known = await _find(connection, wanted)
    return known


async def _find(connection: AsyncConnection, names: list[str]) -> dict[str, int]:
    return {row.name: row.id for row in await connection.execute(_FIND, {"names": names})}
