"""The audit: all checks, one after the other, of one state of the database."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recorder.exceptions import RecorderError, StorageUnavailable
from recorder.postgres.engine import storage_errors
from recorder.postgres.roles import READER, WRITER
from recorder.postgres.schema import applied, require_revision
from recorder.postgres.verification.books import BOOKS, FILLS, PROFIT
from recorder.postgres.verification.check import NOTHING, Answer, Check, put
from recorder.postgres.verification.clashes import RESTATED, REUSED
from recorder.postgres.verification.gaps import GAPS, OPEN_GAPS, REPAIRS
from recorder.postgres.verification.history import CHANGES, HISTORY
from recorder.postgres.verification.slots import OPEN_END, SLOTS
from recorder.postgres.verification.snapshots import BALANCES, SNAPSHOTS
from recorder.postgres.verification.streams import STREAMS
from recorder.postgres.verification.structure import KEYS, PARTITIONS, REVISION_AND_RIGHTS
from recorder.postgres.verification.times import TIMES

CHECKS = (
    REVISION_AND_RIGHTS,
    KEYS,
    PARTITIONS,
    SLOTS,
    STREAMS,
    GAPS,
    OPEN_GAPS,
    REPAIRS,
    SNAPSHOTS,
    BALANCES,
    TIMES,
    CHANGES,
    HISTORY,
    BOOKS,
    PROFIT,
    FILLS,
    RESTATED,
    REUSED,
    OPEN_END,
)

EXAMPLES = 5
"""So many places are named of each violation, unless more are asked for."""

# The months of samples are read one after the other, each within this memory: more goes through PostgreSQL's disk.
_SETTINGS = ("SET LOCAL work_mem = '64MB'", "SET LOCAL jit = off")
# Other partitions are reached through their table, and nothing is granted on them.
_MAY_READ = text("""
    SELECT has_schema_privilege('recorder', 'USAGE') AND coalesce(bool_and(has_table_privilege(oid, 'SELECT')), true)
    FROM pg_class
    WHERE relnamespace = to_regnamespace('recorder') AND relkind IN ('r', 'p', 'v')
      AND (NOT relispartition OR relname IN ('sample_default', 'balance_default'))
    HAVING to_regnamespace('recorder') IS NOT NULL
""")
_RANGE = text("""
    SELECT least(snapshot.first, sample.first) AS first, greatest(snapshot.last, sample.last) AS last
    FROM (
      SELECT min(edge.first) AS first, max(edge.last) AS last
      FROM recorder.account a
      CROSS JOIN LATERAL (
        SELECT min("time") AS first, max("time") AS last FROM recorder.snapshot s WHERE s.account_id = a.id
      ) AS edge
      WHERE CAST(:account AS text) IS NULL OR a.name = :account
    ) AS snapshot,
    (
      SELECT min(edge.first) AS first, max(edge.last) AS last
      FROM recorder.account a
      CROSS JOIN LATERAL (
        SELECT min("time") AS first, max("time") AS last FROM recorder.sample s WHERE s.account_id = a.id
      ) AS edge
      WHERE CAST(:account AS text) IS NULL OR a.name = :account
    ) AS sample
""")


@dataclass(frozen=True, slots=True)
class Result:
    """A check, its answer, and how long it took."""

    check: Check
    answer: Answer
    seconds: float

    @property
    def is_violated(self) -> bool:
        return self.check.is_violation and self.answer.found > 0


@dataclass(frozen=True, slots=True)
class Progress:
    """Which check is being asked, and how many of all steps are done."""

    check: Check
    done: int
    steps: int


async def audit(
    engine: AsyncEngine,
    *,
    account: str | None = None,
    since: datetime | None = None,
    examples: int = EXAMPLES,
    tell: Callable[[Progress], None] = lambda _: None,
) -> list[Result]:
    """Put every check to one state of the database, which is not written to; what is recorded meanwhile is not seen.

    Raises ``SchemaMismatch``, or another ``StorageError`` when the role may not read the tables.
    """
    with storage_errors():
        state = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        async with state.connect() as connection:
            return await audit_in(connection, account=account, since=since, examples=examples, tell=tell)


async def audit_in(
    connection: AsyncConnection,
    *,
    account: str | None = None,
    since: datetime | None = None,
    examples: int = EXAMPLES,
    tell: Callable[[Progress], None] = lambda _: None,
) -> list[Result]:
    """Put every check to what the transaction of *connection* sees."""
    for setting in _SETTINGS:
        await connection.execute(text(setting))
    await _require_rights(connection)
    require_revision(await applied(connection))
    await _require_account(connection, account)
    months = await _months(connection, account, since)
    steps = sum(len(months) if check.by_month else 1 for check in CHECKS)
    done = 0
    results = []
    for check in CHECKS:
        began = time.monotonic()
        answer = NOTHING
        for begins, ends in months if check.by_month else [(since, None)]:
            tell(Progress(check, done, steps))
            found = await put(connection, check, account=account, since=begins, until=ends, examples=examples)
            answer = answer.plus(found, examples)
            done += 1
        results.append(Result(check, answer, time.monotonic() - began))
    return results


async def _require_rights(connection: AsyncConnection) -> None:
    if await connection.scalar(_MAY_READ) is False:
        raise StorageUnavailable(
            "this role may not read the tables of schema recorder",
            why=f"a member of {READER} sees schema bi alone, and what must be proved lies behind it",
            fix=f"verify as a member of {WRITER}, or as the owner of the schema: see recorder db roles",
        )


async def _require_account(connection: AsyncConnection, account: str | None) -> None:
    recorded = set(await connection.scalars(text("SELECT name FROM recorder.account")))
    if account is not None and account not in recorded:
        raise RecorderError(
            f"nothing is recorded of an account {account!r}",
            why=f"recorded are: {', '.join(sorted(recorded)) or 'none'}",
        )


async def _months(
    connection: AsyncConnection, account: str | None, since: datetime | None
) -> list[tuple[datetime, datetime]]:
    (row,) = (await connection.execute(_RANGE, {"account": account})).all()
    if row.first is None:
        return []
    return list(_between(max(row.first, since) if since else row.first, row.last))


def _between(first: datetime, last: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield the months, in UTC, from *first* to *last*, both included; the first one begins with *first*."""
    begins = first.astimezone(UTC)
    while begins <= last:
        year, month = divmod(begins.year * 12 + begins.month, 12)
        ends = datetime(year, month + 1, 1, tzinfo=UTC)
        yield begins, ends
        begins = ends
