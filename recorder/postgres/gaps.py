"""Gaps: written once, found from what is recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

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
# A stream that was connected last is known to have been so until the newest snapshot; any other was not since then.
_LAST_WATCHED = text("""
    SELECT a.name AS account, last."time" AS last_snapshot, schedule.every,
           CASE WHEN stream.state = 'connected' THEN greatest(stream.since, last."time")
                ELSE coalesce(stream.since, last."time") END AS last_listened,
           stream.state IS NOT NULL AS was_listened_to
    FROM recorder.account a
    CROSS JOIN LATERAL (
      SELECT s."time" FROM recorder.snapshot s
      WHERE s.account_id = a.id AND s."time" < :before
      ORDER BY s."time" DESC LIMIT 1
    ) AS last
    LEFT JOIN LATERAL (
      SELECT s.every FROM recorder.schedule s
      WHERE s.account_id = a.id AND s.since < :before
      ORDER BY s.since DESC LIMIT 1
    ) AS schedule ON true
    LEFT JOIN LATERAL (
      SELECT s.state, s.since FROM recorder.stream s
      WHERE s.account_id = a.id AND s.since < :started
      ORDER BY s.since DESC, s.state <> 'connected' DESC LIMIT 1
    ) AS stream ON true
    WHERE a.name = ANY (CAST(:names AS text[]))
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class LastWatched:
    """Until when an account was watched by earlier processes.

    Attributes:
        last_snapshot: Time of its newest snapshot, failed ones included.
        every: Which slots were due then; ``None`` when that was not recorded.
        last_listened: The last instant at which its stream was surely listened to; without a stream that snapshot's.
        was_listened_to: Whether it ever had a stream.
    """

    account: str
    last_snapshot: datetime
    every: timedelta | None
    last_listened: datetime
    was_listened_to: bool


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


async def last_watched(
    connection: AsyncConnection, accounts: Sequence[str], before: datetime, started: datetime
) -> list[LastWatched]:
    """Return until when each account was watched by processes before the one that *started* then.

    Snapshots count that are older than *before*, its first slot; accounts without any are left out.
    """
    given = {"names": list(accounts), "before": before, "started": started}
    return [LastWatched(**row) for row in (await connection.execute(_LAST_WATCHED, given)).mappings()]
