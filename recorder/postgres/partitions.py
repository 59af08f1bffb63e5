"""Partitions: the months of samples and balances, made ahead of need and without holding up who writes."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.exceptions import StorageError, StorageRefused
from recorder.postgres.engine import is_of_connections, storage_errors

AHEAD = timedelta(days=62)
"""Partitions are made this far ahead of need."""
SOON = timedelta(days=31)
"""One that is needed as soon as this, and cannot be made, is urgent."""

_SO_WILL_THE_NEXT = frozenset({"42501", "53100", "55P03", "57014"})
"""SQLSTATEs of what keeps any month from being made: a right, the disk, a lock, the time."""
_CENTURY = timedelta(days=36_525)

log = logging.getLogger(__name__)

_MISSING = text("""
    SELECT wanted.month, p.parent || '_' || to_char(wanted.month AT TIME ZONE 'UTC', 'YYYY_MM') AS name
    FROM unnest(ARRAY['sample', 'balance']) AS p (parent)
    CROSS JOIN LATERAL (
      SELECT month AT TIME ZONE 'UTC' AS month FROM generate_series(
        date_trunc('month', CAST(:since AS timestamptz) AT TIME ZONE 'UTC'),
        CAST(:until AS timestamptz) AT TIME ZONE 'UTC', interval '1 month'
      ) AS month
      UNION
      SELECT date_trunc('month', "time", 'UTC') FROM recorder.sample_default WHERE p.parent = 'sample' AND :of_rows
      UNION
      SELECT date_trunc('month', "time", 'UTC') FROM recorder.balance_default WHERE p.parent = 'balance' AND :of_rows
    ) AS wanted
    WHERE NOT EXISTS (
      SELECT FROM pg_inherits i JOIN pg_class r ON r.oid = i.inhrelid
      WHERE i.inhparent = to_regclass('recorder.' || p.parent)
        AND r.relname = p.parent || '_' || to_char(wanted.month AT TIME ZONE 'UTC', 'YYYY_MM')
    )
    ORDER BY 1, 2
""")
# As patient as any statement: who else makes partitions is soon done.
_TAKE_TURN = text("SELECT pg_advisory_xact_lock(hashtext('recorder.partitions'), 0)")
_MAKE = text("SELECT recorder.ensure_partitions(:month, :month)")


@dataclass(frozen=True, slots=True)
class Partition:
    """A month of a table that is not there, and the name that it will have."""

    month: datetime
    name: str


async def missing_partitions(
    engine: AsyncEngine, since: datetime, until: datetime, *, of_rows: bool = False
) -> list[Partition]:
    """Return what is missing from *since* to *until*, and *of_rows* that found no month. Raises ``StorageError``."""
    if until - since > _CENTURY:
        raise StorageRefused("no partitions are made", why=f"{since} to {until} are more partitions than anyone needs")
    with storage_errors():
        async with engine.connect() as connection:
            rows = await connection.execute(_MISSING, {"since": since, "until": until, "of_rows": of_rows})
            return [Partition(row.month, row.name) for row in rows]


async def overdue_partitions(engine: AsyncEngine, now: datetime) -> list[Partition]:
    """Return what a service should have made of this month and the next, if one ever ran. Raises ``StorageError``."""
    with storage_errors():
        async with engine.connect() as connection:
            if not await connection.scalar(text("SELECT EXISTS (SELECT FROM recorder.beginning)")):
                return []
    return await missing_partitions(engine, now, now + SOON)


async def prepare_partitions(engine: AsyncEngine, since: datetime, until: datetime) -> None:
    """Make the monthly partitions from *since* to *until* that are missing. Raises ``StorageError``.

    Rows without one are not lost: they lie in the default partition and are moved when theirs is made. Each month is a
    transaction of its own, which waits for no lock long enough to hold up who writes: where somebody reads for long,
    it fails and may be tried again.
    """
    await make_partitions(engine, await missing_partitions(engine, since, until))


async def prepare_partitions_if_possible(engine: AsyncEngine, since: datetime, until: datetime) -> None:
    """Make what is missing, or say why not: what is about to be written goes into the default partition then."""
    try:
        await prepare_partitions(engine, since, until)
    except StorageError as error:
        log.warning("a month has no partition yet: %s: %s; %s", error.what, error.why, error.fix)


async def make_partitions(engine: AsyncEngine, partitions: Sequence[Partition]) -> None:
    """Make *partitions*, the earliest month first. Raises ``StorageError`` when all that can be made are made."""
    failed: StorageError | None = None
    for month in dict.fromkeys(each.month for each in partitions):
        try:
            with storage_errors():
                async with engine.begin() as connection:
                    await connection.execute(_TAKE_TURN)
                    await connection.execute(_MAKE, {"month": month})
        except StorageError as error:
            failed = failed or error
            if error.sqlstate in _SO_WILL_THE_NEXT or is_of_connections(error):
                break
    if failed:
        raise failed
