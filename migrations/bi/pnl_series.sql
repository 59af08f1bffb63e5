-- Only the last ok snapshot of each bucket is read; the ledger is read once, from the account's first ok snapshot on.
CREATE OR REPLACE FUNCTION bi.pnl_series(account text, symbol text, since timestamptz, until timestamptz, bucket interval)
RETURNS TABLE (
  "time" timestamptz, asset text, unrealized_profit numeric, realized_profit numeric, commission numeric, funding numeric, net_profit numeric
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
  WITH bucket AS (
    SELECT begins
    FROM generate_series(
      date_bin(pnl_series.bucket, pnl_series.since, 'epoch'),
      pnl_series.until - interval '1 microsecond',
      pnl_series.bucket
    ) AS begins
    WHERE pnl_series.since < pnl_series.until
  ), slot AS (
    SELECT
      bucket.begins,
      a.id AS account_id,
      last."time",
      last.taken_at,
      -- the latest before, not the last: where a clock was set back, no line may count twice
      greatest(first.taken_at, max(last.taken_at) OVER (
        ORDER BY bucket.begins ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
      )) AS taken_before
    FROM recorder.account a
    CROSS JOIN LATERAL (
      SELECT coalesce(s.true_at, s.taken_at) AS taken_at
      FROM recorder.snapshot s
      WHERE s.account_id = a.id AND s.outcome = 'ok'
      ORDER BY s."time"
      LIMIT 1
    ) AS first
    CROSS JOIN bucket
    CROSS JOIN LATERAL (
      SELECT s."time", coalesce(s.true_at, s.taken_at) AS taken_at
      FROM recorder.snapshot s
      WHERE s.account_id = a.id AND s.outcome = 'ok'
        AND s."time" >= greatest(bucket.begins, pnl_series.since)
        AND s."time" < least(bucket.begins + pnl_series.bucket, pnl_series.until)
      ORDER BY s."time" DESC
      LIMIT 1
    ) AS last
    WHERE a.name = pnl_series.account
  ), booked AS (
    SELECT slot.begins, line.*
    FROM slot
    CROSS JOIN LATERAL (
      SELECT
        e.asset,
        sum(e.realized_profit) AS realized_profit,
        sum(e.commission) AS commission,
        sum(e.funding) AS funding
      FROM recorder.earning e
      WHERE e.account_id = slot.account_id AND e."time" > slot.taken_before AND e."time" <= slot.taken_at
        AND (pnl_series.symbol IS NULL OR e.symbol = pnl_series.symbol)
      GROUP BY e.asset
    ) AS line
  ), held AS (
    SELECT slot.begins, position.*
    FROM slot
    CROSS JOIN LATERAL (
      SELECT p.margin_asset AS asset, sum(p.unrealized_profit) AS unrealized_profit
      FROM recorder.sample p
      WHERE p.account_id = slot.account_id AND p."time" = slot."time"
        AND (pnl_series.symbol IS NULL OR p.symbol = pnl_series.symbol)
      GROUP BY p.margin_asset
    ) AS position
  ), told AS (
    SELECT
      bucket.begins,
      known.asset,
      slot.begins IS NOT NULL AND NOT EXISTS (
        SELECT FROM recorder.contradicted c
        WHERE c.account_id = slot.account_id AND (pnl_series.symbol IS NULL OR c.symbol = pnl_series.symbol)
          AND c.margin_asset IS NOT DISTINCT FROM known.asset AND c.ended_at > slot."time" AND c.started_at <= slot.taken_at
      ) AS watched,
      coalesce(held.unrealized_profit, 0) AS unrealized_profit,
      coalesce(sum(booked.realized_profit) OVER so_far, 0) AS realized_profit,
      coalesce(sum(booked.commission) OVER so_far, 0) AS commission,
      coalesce(sum(booked.funding) OVER so_far, 0) AS funding
    FROM bucket
    LEFT JOIN (SELECT booked.asset FROM booked UNION SELECT held.asset FROM held) AS known ON true
    LEFT JOIN slot ON slot.begins = bucket.begins
    LEFT JOIN booked ON booked.begins = bucket.begins AND booked.asset = known.asset
    LEFT JOIN held ON held.begins = bucket.begins AND held.asset IS NOT DISTINCT FROM known.asset
    WINDOW so_far AS (PARTITION BY known.asset ORDER BY bucket.begins)
  )
  SELECT
    told.begins,
    told.asset,
    CASE WHEN watched THEN told.unrealized_profit END,
    CASE WHEN watched THEN told.realized_profit END,
    CASE WHEN watched THEN told.commission END,
    CASE WHEN watched THEN told.funding END,
    CASE WHEN watched THEN told.unrealized_profit + told.realized_profit + told.commission + told.funding END
  FROM told
  ORDER BY told.begins, told.asset
$$;
COMMENT ON FUNCTION bi.pnl_series(text, text, timestamptz, timestamptz, interval) IS
  'The curve of bi.pnl_curve for a chart, all sides together: of one symbol, or of the whole account when symbol is null. '
  'One row per bucket and asset, with the values of the bucket''s last ok snapshot; time is the bucket''s beginning, counted in whole '
  'buckets from 1970-01-01 00:00 UTC; since is included, until is not. A bucket without an ok snapshot, or whose last one lacked a position that was there (bi.gap, contradicted), has nulls, so that a line breaks there. '
  'Amounts are in the asset and cumulative since the account''s first ok snapshot, except unrealized_profit; never sum over assets. '
  'Where nothing was ever held or booked, asset is null. A bucket is a fixed length of time: no months.';
