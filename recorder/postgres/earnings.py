"""Questions of money: what accounts earned, in buckets of the calendar and as curves."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.postgres.engine import storage_errors
from recorder.postgres.questions import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """When an account was watched within a range of time.

    Attributes:
        first: Its first ok snapshot in the range.
        spacing: The usual time between two ok snapshots, as the newest of the range stand; ``None`` when it has one.
    """

    account: str
    first: datetime
    spacing: timedelta | None


# A line of the ledger belongs to the bucket in which the exchange booked it, as in bi.pnl_daily; so days are the sums
# of their hours. Sums are made here, because Decimal rounds to its context's 28 digits.
_EARNED = text("""
    WITH chosen AS (
      SELECT a.id, a.name, least(
        (SELECT min(s."time") FROM recorder.snapshot s WHERE s.account_id = a.id),
        (SELECT min(i."time") FROM recorder.income i WHERE i.account_id = a.id)
      ) AS first_time
      FROM recorder.account a
      WHERE CAST(:account AS text) IS NULL OR a.name = :account
    ), bucket AS (
      SELECT
        chosen.id AS account_id,
        chosen.name AS account,
        begins,
        greatest(begins, :since) AS since,
        least(begins + CAST('1 ' || CAST(:unit AS text) AS interval), :until) AS until
      FROM chosen
      CROSS JOIN LATERAL generate_series(
        date_trunc(CAST(:unit AS text), greatest(CAST(:since AS timestamptz), chosen.first_time), 'UTC'),
        CAST(:until AS timestamptz) - interval '1 microsecond',
        CAST('1 ' || CAST(:unit AS text) AS interval)
      ) AS begins
      WHERE chosen.first_time < :until
    ), booked AS (
      SELECT
        e.account_id,
        date_trunc(CAST(:unit AS text), e."time", 'UTC') AS begins,
        e.asset,
        sum(e.realized_profit) AS realized_profit,
        sum(e.commission) AS commission,
        sum(e.funding) AS funding
      FROM recorder.earning e
      JOIN chosen ON chosen.id = e.account_id
      WHERE e."time" >= :since AND e."time" < :until
        AND (CAST(:symbol AS text) IS NULL OR e.symbol = :symbol)
      GROUP BY e.account_id, begins, e.asset
    ), closing AS (
      SELECT bucket.account_id, bucket.begins, last."time"
      FROM bucket
      CROSS JOIN LATERAL (
        SELECT s."time"
        FROM recorder.snapshot s
        WHERE s.account_id = bucket.account_id AND s.outcome = 'ok'
          AND s."time" >= bucket.since AND s."time" < bucket.until
        ORDER BY s."time" DESC
        LIMIT 1
      ) AS last
    ), held AS (
      SELECT
        closing.account_id, closing.begins, p.margin_asset AS asset, sum(p.unrealized_profit) AS unrealized_profit
      FROM closing
      JOIN recorder.sample p ON p.account_id = closing.account_id AND p."time" = closing."time"
      WHERE p."time" >= :since AND p."time" < :until AND (CAST(:symbol AS text) IS NULL OR p.symbol = :symbol)
      GROUP BY closing.account_id, closing.begins, p.margin_asset
    ), told AS (
      SELECT
        bucket.account,
        bucket.begins AS "time",
        known.asset,
        closing."time" IS NOT NULL AS watched,
        closing."time" IS NOT NULL OR booked.account_id IS NOT NULL AS known,
        coalesce(booked.realized_profit, 0) AS realized_profit,
        coalesce(booked.commission, 0) AS commission,
        coalesce(booked.funding, 0) AS funding,
        coalesce(held.unrealized_profit, 0) AS unrealized_profit
      FROM bucket
      LEFT JOIN (
        SELECT account_id, asset FROM booked UNION SELECT account_id, asset FROM held
      ) AS known ON known.account_id = bucket.account_id
      LEFT JOIN closing ON closing.account_id = bucket.account_id AND closing.begins = bucket.begins
      LEFT JOIN booked
        ON booked.account_id = bucket.account_id AND booked.begins = bucket.begins AND booked.asset = known.asset
      LEFT JOIN held
        ON held.account_id = bucket.account_id AND held.begins = bucket.begins
        AND held.asset IS NOT DISTINCT FROM known.asset
    )
    SELECT
      account,
      "time",
      asset,
      sum(realized_profit) FILTER (WHERE known) AS realized_profit,
      sum(commission) FILTER (WHERE known) AS commission,
      sum(funding) FILTER (WHERE known) AS funding,
      sum(realized_profit + commission + funding) FILTER (WHERE known) AS net_profit,
      (array_agg(unrealized_profit ORDER BY "time" DESC) FILTER (WHERE watched))[1] AS unrealized_profit
    FROM told
    GROUP BY GROUPING SETS ((account, asset, "time"), (account, asset))
    ORDER BY account, "time" NULLS LAST, asset
""")
_WATCHED = text("""
    SELECT a.name AS account, first."time" AS first, usual.spacing
    FROM recorder.account a
    CROSS JOIN LATERAL (
      SELECT s."time"
      FROM recorder.snapshot s
      WHERE s.account_id = a.id AND s.outcome = 'ok' AND s."time" >= :since AND s."time" < :until
      ORDER BY s."time"
      LIMIT 1
    ) AS first
    CROSS JOIN LATERAL (
      SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY newest.spacing) AS spacing
      FROM (
        SELECT s."time" - lead(s."time") OVER (ORDER BY s."time" DESC) AS spacing
        FROM recorder.snapshot s
        WHERE s.account_id = a.id AND s.outcome = 'ok' AND s."time" >= :since AND s."time" < :until
        ORDER BY s."time" DESC
        LIMIT 1000
      ) AS newest
    ) AS usual
    WHERE CAST(:account AS text) IS NULL OR a.name = :account
    ORDER BY a.name
""")
_CURVE = text("""
    SELECT "time", asset, unrealized_profit, realized_profit, commission, funding, net_profit
    FROM bi.pnl_series(:account, :symbol, :since, :until, CAST(:bucket AS interval))
    ORDER BY asset, "time"
""")


async def earned(
    engine: AsyncEngine, account: str | None, symbol: str | None, since: datetime, until: datetime, unit: str
) -> tuple[Rows, Rows]:
    """Return what was earned per account, bucket and asset, and in all per account and asset.

    *unit* is ``hour``, ``day`` or ``month`` of the calendar in UTC; *since* is included, *until* is not, and both may
    cut a bucket. An account's buckets begin with its first record. Amounts are those of the bucket, ``net_profit`` is
    realised profit, commission and funding; ``unrealized_profit`` is that of the last ok snapshot, ``None`` without
    one. Without a snapshot and a line of the asset's ledger, every amount is ``None``. The asset is ``None`` where
    nothing was ever held or booked.
    """
    rows = await _ask(engine, _EARNED, account=account, symbol=symbol, since=since, until=until, unit=unit)
    buckets = [row for row in rows if row["time"] is not None]
    totals = [{key: value for key, value in row.items() if key != "time"} for row in rows if row["time"] is None]
    return buckets, totals


async def watched(engine: AsyncEngine, account: str | None, since: datetime, until: datetime) -> list[Watched]:
    """Return when each account was watched; an account without an ok snapshot in the range is left out."""
    return [Watched(**row) for row in await _ask(engine, _WATCHED, account=account, since=since, until=until)]


async def curve(
    engine: AsyncEngine, account: str, symbol: str | None, since: datetime, until: datetime, bucket: timedelta
) -> Rows:
    """Return ``bi.pnl_series``, one asset after the other: cumulative since the account's first ok snapshot."""
    return await _ask(engine, _CURVE, account=account, symbol=symbol, since=since, until=until, bucket=bucket)


async def _ask(engine: AsyncEngine, question: TextClause, **values: Any) -> Rows:
    with storage_errors():
        async with engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(question, values)).mappings()]
