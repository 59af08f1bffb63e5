"""Gaps: written once, found from what is recorded."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.domain.gap import Gap, GapSource

_ADD = text("""
    INSERT INTO recorder.gap (account_id, source, started_at, ended_at, reason)
    SELECT * FROM unnest(
      CAST(:account_ids AS integer[]), CAST(:sources AS text[]), CAST(:started AS timestamptz[]),
      CAST(:ended AS timestamptz[]), CAST(:reasons AS text[]))
    ON CONFLICT (account_id, source, started_at) DO UPDATE SET ended_at = excluded.ended_at
    WHERE gap.ended_at IS NULL OR gap.ended_at > excluded.ended_at
""")
_LAST_SNAPSHOT = text("""
    SELECT a.name, last."time"
    FROM recorder.account a
    CROSS JOIN LATERAL (
      SELECT s."time" FROM recorder.snapshot s
      WHERE s.account_id = a.id AND s."time" < :before
      ORDER BY s."time" DESC LIMIT 1
    ) AS last
    WHERE a.name = ANY (CAST(:names AS text[]))
""")


async def write_gaps(connection: AsyncConnection, account_ids: dict[str, int], gaps: Sequence[Gap]) -> None:
    """Add *gaps*. Of two that begin at one instant the shorter stands: what is covered is covered."""
    shortest: dict[tuple[str, GapSource, datetime], Gap] = {}
    for gap in gaps:
        known = shortest.setdefault((gap.account, gap.source, gap.started_at), gap)
        if gap.ended_at and (known.ended_at is None or gap.ended_at < known.ended_at):
            shortest[gap.account, gap.source, gap.started_at] = gap
    if shortest:
        await connection.execute(
            _ADD,
            {
                "account_ids": [account_ids[gap.account] for gap in shortest.values()],
                "sources": [gap.source for gap in shortest.values()],
                "started": [gap.started_at for gap in shortest.values()],
                "ended": [gap.ended_at for gap in shortest.values()],
                "reasons": [gap.reason for gap in shortest.values()],
            },
        )


async def last_snapshots(connection: AsyncConnection, accounts: Sequence[str], before: datetime) -> dict[str, datetime]:
    """Return the time of each account's newest snapshot older than *before*, failed ones included."""
    rows = await connection.execute(_LAST_SNAPSHOT, {"names": list(accounts), "before": before})
    return {row.name: row.time for row in rows}
