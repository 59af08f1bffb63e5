"""Accounts: names to the numbers that stand for them in every table."""

from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.postgres.schema import Applied, require_revision

_ADD = text("""
    INSERT INTO recorder.account (name)
    SELECT name FROM unnest(CAST(:names AS text[])) AS wanted (name)
    WHERE NOT EXISTS (SELECT FROM recorder.account a WHERE a.name = wanted.name)
    ON CONFLICT (name) DO NOTHING
""")
# Writers of one account take turns, so that each sees all that the other committed.
_LOCK = text("""
    SELECT (SELECT version_num FROM recorder.alembic_version) AS revision,
           (SELECT s.oldest_writer FROM recorder.schema_revision s
            JOIN recorder.alembic_version v ON v.version_num = s.revision) AS oldest_writer,
           count(pg_advisory_xact_lock(hashtext('recorder.account'), id))
    FROM (SELECT unnest(CAST(:ids AS integer[])) AS id ORDER BY 1) AS accounts
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


async def take_turn(connection: AsyncConnection, names: Iterable[str]) -> dict[str, int]:
    """Return the number of each account, whose history nobody else writes until the transaction ends.

    Raises ``SchemaMismatch``, before anything is written, when the schema is not of this program's revision.
    """
    ids = await account_ids(connection, names)
    lock = await connection.execute(_LOCK, {"ids": list(ids.values())})
    found = lock.one()
    require_revision(Applied(found.revision, found.oldest_writer))
    return ids


async def _find(connection: AsyncConnection, names: list[str]) -> dict[str, int]:
    return {row.name: row.id for row in await connection.execute(_FIND, {"names": names})}
