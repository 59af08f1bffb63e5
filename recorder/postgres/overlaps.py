"""Overlaps: what several recorders, or several processes in a row, tell of one time stands in one gap alone."""

from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_EVER = datetime(1, 1, 1, tzinfo=UTC)

# Where gaps of one source and symbol overlap as they were told, the time they cover stays the same: one that lies
# within an earlier one becomes none, and of two others the earlier one ends where the later one begins. It follows from
# what was told alone, so that it does not matter in which order that came. What was over by :since overlaps nothing
# that begins later. Where a gap grows again, nobody knows whether the ledgers fill it.
_SET_APART = text("""
    WITH told AS (
      SELECT account_id, source, symbol, started_at, ended_at, told_until,
             coalesce(told_until, ended_at, 'infinity') AS until
      FROM recorder.gap
      WHERE account_id = :account_id
        AND (started_at >= :since OR coalesce(told_until, ended_at, 'infinity') > :since)
    ), held AS (
      SELECT *, coalesce(max(until) OVER earlier >= until, false) AS is_within
      FROM told
      WINDOW earlier AS (PARTITION BY account_id, source, symbol ORDER BY started_at
                         ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ), apart AS (
      SELECT *, CASE WHEN is_within THEN started_at ELSE least(until, lead(started_at) OVER later) END AS ends
      FROM held
      WINDOW later AS (PARTITION BY account_id, source, symbol, is_within ORDER BY started_at)
    )
    UPDATE recorder.gap g SET
      ended_at = nullif(a.ends, 'infinity'),
      told_until = CASE WHEN a.ends < a.until THEN a.until END,
      repaired_by = CASE WHEN a.ends <= g.ended_at THEN g.repaired_by END
    FROM apart a
    WHERE g.account_id = :account_id
      AND g.source = a.source AND g.symbol = a.symbol AND g.started_at = a.started_at
      AND (a.ends <> coalesce(g.ended_at, 'infinity')
           OR g.told_until IS DISTINCT FROM CASE WHEN a.ends < a.until THEN a.until END)
""")


async def set_apart(connection: AsyncConnection, account_id: int, since: datetime = _EVER) -> None:
    """Let no two gaps of one source and symbol overlap, when those that begin at *since* or later were just told of.

    The caller owns the transaction, in which the account's turn was taken.
    """
    await connection.execute(_SET_APART, {"account_id": account_id, "since": since})
