"""Gaps: written once, found from what is recorded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.domain.gap import Gap, GapReason, GapSource

_ADD = text("""
    INSERT INTO recorder.gap (account_id, source, started_at, ended_at, reason)
    SELECT * FROM unnest(
      CAST(:account_ids AS integer[]), CAST(:sources AS text[]), CAST(:started AS timestamptz[]),
      CAST(:ended AS timestamptz[]), CAST(:reasons AS text[]))
    ON CONFLICT (account_id, source, started_at) DO UPDATE SET ended_at = excluded.ended_at
    WHERE gap.ended_at IS NULL OR gap.ended_at > excluded.ended_at
""")
_LAST_SNAPSHOT = text("""
    SELECT a.name, last."time", last_ok."time" AS ok_time
    FROM unnest(CAST(:names AS text[]), CAST(:befores AS timestamptz[])) AS wanted (name, before)
    JOIN recorder.account a ON a.name = wanted.name
    CROSS JOIN LATERAL (
      SELECT s."time" FROM recorder.snapshot s
      WHERE s.account_id = a.id AND s."time" < wanted.before
      ORDER BY s."time" DESC LIMIT 1
    ) AS last
    LEFT JOIN LATERAL (
      SELECT s."time" FROM recorder.snapshot s
      WHERE s.account_id = a.id AND s."time" < wanted.before AND s.outcome = 'ok'
      ORDER BY s."time" DESC LIMIT 1
    ) AS last_ok ON true
""")
_OPEN = text("""
    SELECT a.name, g.source, g.started_at, g.reason
    FROM recorder.account a
    JOIN recorder.gap g ON g.account_id = a.id
    WHERE a.name = ANY (CAST(:names AS text[])) AND g.ended_at IS NULL
    ORDER BY g.started_at
""")

_REASONS = {str(reason): reason for reason in GapReason}
"""A later version may know more of them; ending a gap leaves its reason as it is."""


@dataclass(frozen=True, slots=True)
class Last:
    """The times of an account's newest snapshots: of any outcome, and that was ok, if there is one."""

    any: datetime
    ok: datetime | None


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


async def last_snapshots(connection: AsyncConnection, before: Mapping[str, datetime]) -> dict[str, Last]:
    """Return the times of each account's newest snapshots older than *before*; what has none is left out."""
    rows = await connection.execute(_LAST_SNAPSHOT, {"names": list(before), "befores": list(before.values())})
    return {row.name: Last(row.time, row.ok_time) for row in rows}


async def open_gaps(connection: AsyncConnection, accounts: Iterable[str]) -> list[Gap]:
    """Return the gaps of *accounts* that have not ended, oldest first."""
    rows = await connection.execute(_OPEN, {"names": list(accounts)})
    return [
        Gap(
            account=row.name,
            source=GapSource(row.source),
            started_at=row.started_at,
            ended_at=None,
            reason=_REASONS.get(row.reason, GapReason.NOT_RUNNING),
        )
        for row in rows
    ]
