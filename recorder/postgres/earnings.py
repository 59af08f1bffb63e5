"""Questions of money: what accounts earned, in buckets of the calendar and as curves. They read schema ``bi`` alone."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.postgres.engine import storage_errors
from recorder.postgres.questions import Rows

# A line of the ledger belongs to the bucket in which the exchange booked it, as in bi.pnl_daily; so a day is the sum of
# its hours, and what was booked while nobody watched is not moved. Only unrealised profit comes from bi.pnl_series:
# bi.pnl_daily would read every sample for its peaks. Sums are made here: Decimal rounds to its context's 28 digits.
_EARNED = text("""
    WITH chosen AS (
      SELECT
        f.account,
        EXISTS (SELECT FROM bi.snapshot s WHERE s.account = f.account AND s."time" < :since)
        OR EXISTS (SELECT FROM bi.income i WHERE i.account = f.account AND i."time" < :since) AS known_before
      FROM bi.freshness f
      WHERE CAST(:account AS text) IS NULL OR f.account = :account
    ), held AS (
      SELECT
        chosen.account,
        date_trunc(CAST(:unit AS text), series."time", 'UTC') AS begins,
        series.asset,
        (array_agg(series.unrealized_profit ORDER BY series."time" DESC)
          FILTER (WHERE series.unrealized_profit IS NOT NULL))[1] AS unrealized_profit
      FROM chosen
      CROSS JOIN LATERAL bi.pnl_series(
        chosen.account, CAST(:symbol AS text), :since, :until, CAST(:step AS interval)
      ) AS series
      GROUP BY chosen.account, begins, series.asset
    ), bucket AS (
      SELECT held.account, held.begins, bool_or(held.unrealized_profit IS NOT NULL) AS watched
      FROM held
      GROUP BY held.account, held.begins
    ), booked AS (
      SELECT
        i.account,
        date_trunc(CAST(:unit AS text), i."time", 'UTC') AS begins,
        i.asset,
        coalesce(sum(i.income) FILTER (WHERE i.part = 'realized'), 0) AS realized_profit,
        coalesce(sum(i.income) FILTER (WHERE i.part = 'commission'), 0) AS commission,
        coalesce(sum(i.income) FILTER (WHERE i.part = 'funding'), 0) AS funding
      FROM bi.income i
      JOIN chosen ON chosen.account = i.account
      WHERE i."time" >= :since AND i."time" < :until AND i.part <> 'transfer'
        AND (CAST(:symbol AS text) IS NULL OR i.symbol = :symbol)
      GROUP BY i.account, begins, i.asset
    ), known AS (
      SELECT booked.account, booked.asset FROM booked
      UNION
      SELECT held.account, held.asset
      FROM held
      GROUP BY held.account, held.asset
      HAVING held.asset IS NOT NULL OR bool_or(held.unrealized_profit <> 0)
    ), told AS (
      SELECT
        bucket.account,
        bucket.begins,
        known.asset,
        bucket.watched,
        bucket.watched OR booked.account IS NOT NULL AS is_known,
        chosen.known_before
        OR bool_or(bucket.watched OR booked.account IS NOT NULL) OVER (
          PARTITION BY bucket.account ORDER BY bucket.begins
        ) AS has_begun,
        coalesce(booked.realized_profit, 0) AS realized_profit,
        coalesce(booked.commission, 0) AS commission,
        coalesce(booked.funding, 0) AS funding,
        coalesce(held.unrealized_profit, 0) AS unrealized_profit
      FROM bucket
      JOIN chosen ON chosen.account = bucket.account
      LEFT JOIN known ON known.account = bucket.account
      LEFT JOIN booked
        ON booked.account = bucket.account AND booked.begins = bucket.begins AND booked.asset = known.asset
      LEFT JOIN held
        ON held.account = bucket.account AND held.begins = bucket.begins
        AND held.asset IS NOT DISTINCT FROM known.asset
    )
    SELECT
      account,
      begins AS "time",
      asset,
      sum(realized_profit) FILTER (WHERE is_known) AS realized_profit,
      sum(commission) FILTER (WHERE is_known) AS commission,
      sum(funding) FILTER (WHERE is_known) AS funding,
      sum(realized_profit + commission + funding) FILTER (WHERE is_known) AS net_profit,
      (array_agg(unrealized_profit ORDER BY begins DESC) FILTER (WHERE watched))[1] AS unrealized_profit
    FROM told
    WHERE has_begun
    GROUP BY GROUPING SETS ((account, asset, begins), (account, asset))
    ORDER BY account, begins NULLS LAST, asset
""")
_CURVE = text("""
    SELECT "time", asset, unrealized_profit, realized_profit, commission, funding, net_profit
    FROM bi.pnl_series(:account, :symbol, :since, :until, CAST(:bucket AS interval))
    ORDER BY asset, "time"
""")
_SPACING = text("""
    SELECT f.account, usual.spacing
    FROM bi.freshness f
    CROSS JOIN LATERAL (
      SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY newest.spacing) AS spacing
      FROM (
        SELECT s."time" - lag(s."time") OVER (ORDER BY s."time") AS spacing
        FROM bi.snapshot s
        WHERE s.account = f.account AND s.outcome = 'ok' AND s."time" >= f.last_ok_snapshot - interval '7 days'
      ) AS newest
    ) AS usual
    WHERE CAST(:account AS text) IS NULL OR f.account = :account
    ORDER BY f.account
""")
_FIXED_STEPS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "month": timedelta(days=1)}


async def earned(
    engine: AsyncEngine, account: str | None, symbol: str | None, *, since: datetime, until: datetime, unit: str
) -> tuple[Rows, Rows]:
    """Return what was earned per account, bucket and asset, and in all per account and asset.

    *unit* is ``hour``, ``day`` or ``month`` of the calendar in UTC, and *since* the beginning of one; *until* is not
    included. An account's buckets begin with its first record. Amounts are those of the bucket, ``net_profit`` is
    realised profit, commission and funding; ``unrealized_profit`` is that of the last ok snapshot, ``None`` without
    one. Where there is neither a snapshot nor a line of the asset's ledger, every amount is ``None``. The asset is
    ``None`` where nothing was ever held or booked.
    """
    rows = await _ask(
        engine,
        _EARNED,
        account=account,
        symbol=symbol,
        since=since,
        until=until,
        unit=unit,
        step=_FIXED_STEPS[unit],
    )
    buckets = [row for row in rows if row["time"] is not None]
    totals = [{key: value for key, value in row.items() if key != "time"} for row in rows if row["time"] is None]
    return buckets, totals


async def spacings(engine: AsyncEngine, account: str | None) -> dict[str, timedelta | None]:
    """Return the usual time between two ok snapshots of each account, as the newest stand; ``None``: it has not two."""
    return {row["account"]: row["spacing"] for row in await _ask(engine, _SPACING, account=account)}


async def curve(
    engine: AsyncEngine, account: str, symbol: str | None, *, since: datetime, until: datetime, bucket: timedelta
) -> Rows:
    """Return ``bi.pnl_series``, one asset after the other: cumulative since the account's first ok snapshot."""
    return await _ask(engine, _CURVE, account=account, symbol=symbol, since=since, until=until, bucket=bucket)


async def _ask(engine: AsyncEngine, question: TextClause, **values: Any) -> Rows:
    with storage_errors():
        async with engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(question, values)).mappings()]
