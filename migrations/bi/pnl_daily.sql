-- A position that is missing in an ok snapshot was flat: where a day has more ok snapshots than samples of the position,
-- 0 was one of its values.
-- Filters on account, symbol, asset and day reach the tables, because every row is grouped by all four. A day is no bound
-- of an index on time: it chooses the snapshots' days, and each of those its samples, so that no other day is read.
CREATE OR REPLACE VIEW bi.pnl_daily AS
SELECT
  earned.account,
  earned.symbol,
  earned.asset,
  earned.day,
  earned.realized_profit,
  earned.commission,
  earned.funding,
  earned.realized_profit + earned.commission + earned.funding AS net_profit,
  CASE WHEN watched.snapshots > 0 THEN coalesce(earned.at_close, 0) END AS unrealized_profit,
  CASE WHEN watched.snapshots > earned.samples THEN greatest(earned.peak, 0) ELSE earned.peak END AS unrealized_peak,
  CASE WHEN watched.snapshots > earned.samples THEN least(earned.trough, 0) ELSE earned.trough END AS unrealized_trough
FROM (
  SELECT
    a.name AS account,
    a.id AS account_id,
    told.symbol,
    told.asset,
    told.day,
    sum(told.realized_profit) AS realized_profit,
    sum(told.commission) AS commission,
    sum(told.funding) AS funding,
    sum(told.at_close) AS at_close,
    max(told.unrealized_profit) AS peak,
    min(told.unrealized_profit) AS trough,
    count(told.unrealized_profit) AS samples
  FROM (
    SELECT
      e.account_id,
      e.symbol,
      e.asset,
      (e."time" AT TIME ZONE 'UTC')::date AS day,
      e.realized_profit,
      e.commission,
      e.funding,
      NULL::numeric AS unrealized_profit,
      NULL::numeric AS at_close
    FROM recorder.earning e
    UNION ALL
    SELECT
      closing.account_id,
      held.symbol,
      held.asset,
      closing.day,
      0,
      0,
      0,
      held.unrealized_profit,
      CASE WHEN held."time" = closing."time" THEN held.unrealized_profit END
    FROM (
      SELECT s.account_id, (s."time" AT TIME ZONE 'UTC')::date AS day, max(s."time") AS "time"
      FROM recorder.snapshot s
      WHERE s.outcome = 'ok'
      GROUP BY s.account_id, 2
    ) AS closing
    CROSS JOIN LATERAL (
      SELECT p.symbol, p.margin_asset AS asset, p."time", sum(p.unrealized_profit) AS unrealized_profit
      FROM recorder.sample p
      WHERE p.account_id = closing.account_id
        AND p."time" >= closing.day::timestamp AT TIME ZONE 'UTC'
        AND p."time" < (closing.day + 1)::timestamp AT TIME ZONE 'UTC'
      GROUP BY p.symbol, p.margin_asset, p."time"
    ) AS held
  ) AS told
  JOIN recorder.account a ON a.id = told.account_id
  GROUP BY a.name, a.id, told.symbol, told.asset, told.day
) AS earned
LEFT JOIN (
  SELECT s.account_id, (s."time" AT TIME ZONE 'UTC')::date AS day, count(*) AS snapshots
  FROM recorder.snapshot s
  WHERE s.outcome = 'ok'
  GROUP BY s.account_id, 2
) AS watched ON watched.account_id = earned.account_id AND watched.day = earned.day;

COMMENT ON VIEW bi.pnl_daily IS
  'One row per account, symbol, asset and day that has a line of the ledger or a sample, all sides together. Never sum over assets.';
COMMENT ON COLUMN bi.pnl_daily.account IS 'Name of the account, as its operator chose it.';
COMMENT ON COLUMN bi.pnl_daily.symbol IS 'Contract, for example BTCUSDT; null: lines of the ledger that concern none, such as a bonus.';
COMMENT ON COLUMN bi.pnl_daily.asset IS 'Asset of all amounts of the row: the margin asset, or the asset of a fee, for example BNB. Null: the exchange named none.';
COMMENT ON COLUMN bi.pnl_daily.day IS 'The day, from midnight to midnight in UTC.';
COMMENT ON COLUMN bi.pnl_daily.realized_profit IS 'Realised profit of the day before fees; with it all else that was booked and is neither commission nor funding nor a transfer.';
COMMENT ON COLUMN bi.pnl_daily.commission IS 'Commission and rebates of the day: negative when paid.';
COMMENT ON COLUMN bi.pnl_daily.funding IS 'Funding of the day: negative when paid.';
COMMENT ON COLUMN bi.pnl_daily.net_profit IS 'realized_profit + commission + funding: what the day brought into the wallet, without the change of unrealised profit.';
COMMENT ON COLUMN bi.pnl_daily.unrealized_profit IS 'Unrealised profit at the day''s last ok snapshot; 0 when flat; null: the day has no ok snapshot.';
COMMENT ON COLUMN bi.pnl_daily.unrealized_peak IS 'Highest unrealised profit at an ok snapshot of the day; null: it has none.';
COMMENT ON COLUMN bi.pnl_daily.unrealized_trough IS 'Lowest unrealised profit at an ok snapshot of the day; null: it has none.';
