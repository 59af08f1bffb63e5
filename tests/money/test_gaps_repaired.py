"""The ledgers repair a gap that they cover as a whole, and say so."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.postgres.accounts import account_ids
from recorder.postgres.ledgers import Interval, Ledger, mark_complete, mark_repaired
from recorder.recording import write

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def gap(begun: int, ended: int | None) -> Gap:
    return Gap(
        account="main",
        source=GapSource.STREAM,
        started_at=NOON + timedelta(minutes=begun),
        ended_at=None if ended is None else NOON + timedelta(minutes=ended),
        reason=GapReason.SILENT,
    )


async def test_only_what_the_ledger_covers_as_a_whole_is_repaired(engine: AsyncEngine) -> None:
    await write(engine, [gap(1, 2), gap(9, 11), gap(12, 13), gap(3, None)])
    async with engine.begin() as connection:
        account_id = (await account_ids(connection, ["main"]))["main"]
        complete = Interval(NOON, NOON + timedelta(minutes=10))
        await mark_complete(connection, account_id, Ledger("income"), complete)
        await mark_repaired(connection, account_id)
        rows = await connection.exec_driver_sql("SELECT started_at, repaired_by FROM bi.gap ORDER BY 1")
        repaired = [(row.started_at - NOON) // timedelta(minutes=1) for row in rows if row.repaired_by == "ledgers"]
    assert repaired == [1]
