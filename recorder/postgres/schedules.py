"""Schedules: from when on which slots were due, so that the database alone can tell which are missing."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.postgres.accounts import account_ids

# Two processes that begin in one slot may have two schedules: the last one stands.
_ADD = text("""
    INSERT INTO recorder.schedule (account_id, since, every)
    SELECT given.account_id, CAST(:since AS timestamptz), CAST(:every AS interval)
    FROM unnest(CAST(:account_ids AS integer[])) AS given (account_id)
    WHERE CAST(:every AS interval) IS DISTINCT FROM (
      SELECT s.every FROM recorder.schedule s
      WHERE s.account_id = given.account_id AND s.since <= :since
      ORDER BY s.since DESC LIMIT 1
    )
    ON CONFLICT (account_id, since) DO UPDATE SET every = excluded.every
""")


async def write_schedule(
    connection: AsyncConnection, accounts: Sequence[str], since: datetime, every: timedelta
) -> None:
    """Say that from *since* on the slots of *accounts* are due *every* so often; the same as before adds nothing."""
    ids = await account_ids(connection, accounts)
    await connection.execute(_ADD, {"account_ids": list(ids.values()), "since": since, "every": every})
