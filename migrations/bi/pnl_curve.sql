-- A line of the ledger counts at the snapshots after the last one whose answer came before it: what matters is taken_at,
-- because a fill between the due time of a slot and its answer is in that slot's positions already. The clocks may
-- differ by up to the minute that is looked ahead.
-- Between two lines nothing is booked: each such stretch takes its snapshots, and they their samples, from the index.
-- The GROUP BY and the LIMIT 1, both on what is a key already, keep the planner from joining all stretches with all
-- snapshots, and from reading all samples ever for a few of them. Filters on account, symbol, position_side and asset
-- reach the tables, because every window is partitioned by all four; one on time reaches snapshots and samples.
CREATE OR REPLACE VIEW bi.pnl_curve AS
SELECT
  stretch.account,
  stretch.symbol,
  stretch.position_side,
  slot."time",
  stretch.asset,
  CASE WHEN held.known THEN coalesce(held.unrealized_profit, 0) END AS unrealized_profit,
  stretch.realized_profit,
  stretch.commission,
  stretch.funding,
  CASE WHEN held.known
    THEN coalesce(held.unrealized_profit, 0) + stretch.realized_profit + stretch.commission + stretch.funding END AS net_profit
FROM (
  SELECT
    account,
    account_id,
    symbol,
    position_side,
    asset,
    after,
    lead(after, 1, 'infinity') OVER booked AS until,
    bool_or(is_position) OVER (PARTITION BY account, account_id, symbol, position_side, asset) AS is_position,
    sum(realized_profit) OVER booked AS realized_profit,
    sum(commission) OVER booked AS commission,
    sum(funding) OVER booked AS funding
  FROM (
    SELECT
      a.name AS account,
      a.id AS account_id,
      line.symbol,
      line.position_side,
      line.asset,
      coalesce(earlier."time", '-infinity') AS after,
      bool_or(line.is_position) AS is_position,
      sum(line.realized_profit) AS realized_profit,
      sum(line.commission) AS commission,
      sum(line.funding) AS funding
    FROM recorder.account a
    CROSS JOIN LATERAL (
      SELECT coalesce(s.true_at, s.taken_at) AS taken_at
      FROM recorder.snapshot s
      WHERE s.account_id = a.id AND s.outcome = 'ok'
      ORDER BY s."time"
      LIMIT 1
    ) AS first
    CROSS JOIN LATERAL (
      SELECT e.symbol, e.position_side, e.asset, e."time", false AS is_position, e.realized_profit, e.commission, e.funding
      FROM recorder.earning e
      WHERE e.account_id = a.id AND e."time" > first.taken_at
      UNION ALL
      -- Every sample has its change, and those are few.
      SELECT
        c.symbol,
        c.position_side,
        max(c.margin_asset),
        min(CASE WHEN c.snapshot_time IS NULL THEN c.update_time ELSE c.observed_at END),
        true, 0, 0, 0
      FROM recorder.change c
      WHERE c.account_id = a.id
      GROUP BY c.symbol, c.position_side
    ) AS line
    LEFT JOIN LATERAL (
      SELECT s."time"
      FROM recorder.snapshot s
      WHERE s.account_id = a.id AND s.outcome = 'ok' AND coalesce(s.true_at, s.taken_at) < line."time"
        AND s."time" < line."time" + interval '1 minute'
      ORDER BY s."time" DESC
      LIMIT 1
    ) AS earlier ON true
    GROUP BY a.name, a.id, line.symbol, line.position_side, line.asset, earlier."time"
  ) AS booking
  WINDOW booked AS (PARTITION BY account, account_id, symbol, position_side, asset ORDER BY after)
) AS stretch
CROSS JOIN LATERAL (
  SELECT s."time", coalesce(s.true_at, s.taken_at) AS taken_at
  FROM recorder.snapshot s
  WHERE s.account_id = stretch.account_id AND s.outcome = 'ok'
    AND s."time" > stretch.after AND s."time" <= stretch.until
  GROUP BY s."time", s.true_at, s.taken_at
) AS slot
CROSS JOIN LATERAL (
  SELECT (
    SELECT p.unrealized_profit
    FROM recorder.sample p
    WHERE stretch.is_position AND p.account_id = stretch.account_id AND p."time" = slot."time"
      AND p.symbol = stretch.symbol AND p.position_side = stretch.position_side
    LIMIT 1
  ) AS unrealized_profit, NOT EXISTS (
    SELECT FROM recorder.contradicted c
    WHERE stretch.is_position AND c.account_id = stretch.account_id AND c.symbol = stretch.symbol
      AND c.position_side = stretch.position_side AND c.ended_at > slot."time" AND c.started_at <= slot.taken_at
  ) AS known
) AS held;

COMMENT ON VIEW bi.pnl_curve IS
  'One row per account, symbol, side, asset and ok snapshot, from the first snapshot on that has the position or a line of its ledger. '
  'Profit since the account''s first ok snapshot: what was booked before does not count. A slot without an ok snapshot has no row: '
  'bi.pnl_series makes it a row with nulls. Never sum over assets.';
COMMENT ON COLUMN bi.pnl_curve.account IS 'Name of the account, as its operator chose it.';
COMMENT ON COLUMN bi.pnl_curve.symbol IS 'Contract, for example BTCUSDT; null: lines of the ledger that concern none, such as a bonus.';
COMMENT ON COLUMN bi.pnl_curve.position_side IS 'BOTH in one-way mode, LONG or SHORT in hedge mode; null: the ledger does not say, as for funding in hedge mode.';
COMMENT ON COLUMN bi.pnl_curve."time" IS 'The slot: the due time of the schedule; for snapshots outside it the instant of asking.';
COMMENT ON COLUMN bi.pnl_curve.asset IS 'Asset of all amounts of the row: the margin asset, or the asset of a fee, for example BNB. Null: the exchange named none.';
COMMENT ON COLUMN bi.pnl_curve.unrealized_profit IS 'Unrealised profit at this snapshot; 0 when the position was flat. Null: the answer lacked a position that was there (bi.gap, contradicted).';
COMMENT ON COLUMN bi.pnl_curve.realized_profit IS 'Realised profit before fees, cumulative; with it all else that was booked and is neither commission nor funding nor a transfer.';
COMMENT ON COLUMN bi.pnl_curve.commission IS 'Commission and rebates, cumulative: negative when paid.';
COMMENT ON COLUMN bi.pnl_curve.funding IS 'Funding, cumulative: negative when paid.';
COMMENT ON COLUMN bi.pnl_curve.net_profit IS 'unrealized_profit + realized_profit + commission + funding; null where unrealized_profit is.';
