"""Gaps: written once, found from what is recorded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.domain.beginning import Beginning
from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.domain.stream import IN_TRANSIT
from recorder.postgres.beginnings import parameters
from recorder.postgres.overlaps import set_apart

_ADD = text("""
    INSERT INTO recorder.gap (account_id, source, started_at, ended_at, reason)
    SELECT * FROM unnest(
      CAST(:account_ids AS integer[]), CAST(:sources AS text[]), CAST(:started AS timestamptz[]),
      CAST(:ended AS timestamptz[]), CAST(:reasons AS text[]))
    ON CONFLICT (account_id, source, symbol, started_at)
    DO UPDATE SET ended_at = excluded.ended_at, told_until = NULL
    WHERE coalesce(gap.told_until, gap.ended_at, 'infinity') > coalesce(excluded.ended_at, 'infinity')
""")
# A stream that was connected last is known to have been so until the newest snapshot that the same process took, which
# is one before the next beginning, but for what was on its way then; any other was not since then.
_LAST_WATCHED = text("""
    SELECT a.name AS account, last."time" AS last_snapshot, last_ok."time" AS last_ok, schedule.every,
           CASE WHEN stream.state = 'connected' THEN greatest(stream.since, seen."time" - CAST(:in_transit AS interval))
                ELSE coalesce(stream.since, last."time") END AS last_listened,
           stream.state IS NOT NULL AS was_listened_to
    FROM unnest(CAST(:names AS text[]), CAST(:since AS timestamptz[]), CAST(:began AS timestamptz[]))
      AS wanted (name, since, began)
    JOIN recorder.account a ON a.name = wanted.name
    CROSS JOIN LATERAL (
      SELECT s."time" FROM recorder.snapshot s
      WHERE s.account_id = a.id AND s."time" < wanted.since
      ORDER BY s."time" DESC LIMIT 1
    ) AS last
    LEFT JOIN LATERAL (
      SELECT s."time" FROM recorder.snapshot s
      WHERE s.account_id = a.id AND s."time" < wanted.since AND s.outcome = 'ok'
      ORDER BY s."time" DESC LIMIT 1
    ) AS last_ok ON true
    LEFT JOIN LATERAL (
      SELECT s.every FROM recorder.schedule s
      WHERE s.account_id = a.id AND s.since < wanted.since
      ORDER BY s.since DESC LIMIT 1
    ) AS schedule ON true
    LEFT JOIN LATERAL (
      SELECT s.state, s.since FROM recorder.stream s
      WHERE s.account_id = a.id AND s.since < wanted.began
      ORDER BY s.since DESC, s.state <> 'connected' DESC LIMIT 1
    ) AS stream ON true
    LEFT JOIN LATERAL (
      SELECT s."time" FROM recorder.snapshot s
      WHERE s.account_id = a.id AND s."time" < least(wanted.since, (
        SELECT min(b.since) FROM recorder.beginning b
        WHERE b.account_id = a.id AND b.began > stream.since AND b.began < wanted.began))
      ORDER BY s."time" DESC LIMIT 1
    ) AS seen ON true
""")
_OPEN = text("""
    SELECT a.name, g.source, g.started_at, g.reason
    FROM recorder.account a
    JOIN recorder.gap g ON g.account_id = a.id
    WHERE a.name = ANY (CAST(:names AS text[])) AND (g.ended_at IS NULL OR g.told_until = 'infinity')
    ORDER BY g.started_at
""")

_REASONS = {str(reason): reason for reason in GapReason}
"""A later version may know more of them; ending a gap leaves its reason as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastWatched:
    """Until when an account was watched by earlier processes.

    Attributes:
        last_snapshot: Time of its newest snapshot, failed ones included.
        last_ok: Time of its newest ok one; ``None`` when there is none.
        every: Which slots were due then; ``None`` when that was not recorded.
        last_listened: The last instant at which its stream was surely listened to; without a stream that snapshot's.
        was_listened_to: Whether it ever had a stream.
    """

    account: str
    last_snapshot: datetime
    last_ok: datetime | None
    every: timedelta | None
    last_listened: datetime
    was_listened_to: bool


async def write_gaps(connection: AsyncConnection, account_ids: dict[str, int], gaps: Sequence[Gap]) -> None:
    """Add *gaps*, in any order and any number of times, by any number of recorders; none will overlap another.

    Of two that begin at one instant the shorter stands: what is covered is covered. One that begins while another is
    open only goes on with it. The caller owns the transaction, in which the accounts' turn was taken.
    """
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
    for account in {gap.account for gap in shortest.values()}:
        first = min(gap.started_at for gap in shortest.values() if gap.account == account)
        await set_apart(connection, account_ids[account], first)


async def last_watched(connection: AsyncConnection, beginnings: Sequence[Beginning]) -> dict[str, LastWatched]:
    """Return until when each account was watched before; those without any snapshot are left out."""
    rows = await connection.execute(_LAST_WATCHED, parameters(beginnings) | {"in_transit": IN_TRANSIT})
    return {row["account"]: LastWatched(**row) for row in rows.mappings()}


async def open_gaps(connection: AsyncConnection, accounts: Iterable[str]) -> list[Gap]:
    """Return the gaps of *accounts* of which no end was told, oldest first; others may cover some of them by now."""
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
