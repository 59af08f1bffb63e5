-- A transfer counts at the snapshots after the last one whose answer came before it. The moment of the balances' own
-- answer is not kept: it is taken to be the snapshot's taken_at, since both are asked for at once; a transfer between
-- the two answers shows as profit of that one row. The clocks may differ by up to the minute that is looked ahead.
-- The GROUP BY and the LIMIT 1, both on what is a key already, keep the planner from joining all stretches with all
-- snapshots, and all balances with them. Filters on account and asset reach the tables, because every window is
-- partitioned by both; one on time reaches the snapshots, their balances and their samples.
CREATE OR REPLACE VIEW bi.account_equity AS
SELECT
  stretch.account,
  stretch.asset,
  slot."time",
  coalesce(b.wallet_balance, 0) AS wallet_balance,
  held.unrealized_profit,
  coalesce(b.wallet_balance, 0) + held.unrealized_profit AS equity,
  stretch.net_transfers,
  coalesce(b.wallet_balance, 0) + held.unrealized_profit - stretch.first_equity - stretch.net_transfers AS net_profit
FROM (
  SELECT
    account,
    account_id,
    asset,
    after,
    lead(after, 1, 'infinity') OVER booked AS until,
    sum(transfer) OVER booked AS net_transfers,
    coalesce((
      SELECT b.wallet_balance
      FROM recorder.balance b
      WHERE b.account_id = booking.account_id AND b."time" = booking.first_time AND b.asset = booking.asset
    ), 0) + coalesce((
      SELECT sum(p.unrealized_profit)
      FROM recorder.sample p
      WHERE p.account_id = booking.account_id AND p."time" = booking.first_time AND p.margin_asset = booking.asset
    ), 0) AS first_equity
  FROM (
    SELECT a.name AS account, a.id AS account_id, first."time" AS first_time, line.asset, line.after, sum(line.transfer) AS transfer
    FROM recorder.account a
    CROSS JOIN LATERAL (
      SELECT s."time", coalesce(s.true_at, s.taken_at) AS taken_at
      FROM recorder.snapshot s
      WHERE s.account_id = a.id AND s.outcome = 'ok' AND s.balance_outcome = 'ok'
      ORDER BY s."time"
      LIMIT 1
    ) AS first
    CROSS JOIN LATERAL (
      SELECT b.asset, min(b."time") - interval '1 microsecond' AS after, 0 AS transfer
      FROM recorder.balance b
      WHERE b.account_id = a.id
      GROUP BY b.asset
      UNION ALL
      SELECT i.asset, coalesce(earlier."time", '-infinity'), i.income
      FROM recorder.income i
      LEFT JOIN LATERAL (
        SELECT s."time"
        FROM recorder.snapshot s
        WHERE s.account_id = a.id AND s.balance_outcome = 'ok' AND coalesce(s.true_at, s.taken_at) < i."time"
          AND s."time" < i."time" + interval '1 minute'
        ORDER BY s."time" DESC
        LIMIT 1
      ) AS earlier ON true
      WHERE i.account_id = a.id AND i."time" > first.taken_at AND recorder.income_part(i.income_type) = 'transfer'
    ) AS line
    GROUP BY a.name, a.id, first."time", line.asset, line.after
  ) AS booking
  WINDOW booked AS (PARTITION BY account, account_id, first_time, asset ORDER BY after)
) AS stretch
CROSS JOIN LATERAL (
  SELECT s."time", s.outcome, coalesce(s.true_at, s.taken_at) AS taken_at
  FROM recorder.snapshot s
  WHERE s.account_id = stretch.account_id AND s.balance_outcome = 'ok'
    AND s."time" > stretch.after AND s."time" <= stretch.until
  GROUP BY s."time", s.outcome, s.true_at, s.taken_at
) AS slot
LEFT JOIN LATERAL (
  SELECT b.wallet_balance
  FROM recorder.balance b
  WHERE b.account_id = stretch.account_id AND b."time" = slot."time" AND b.asset = stretch.asset
  LIMIT 1
) AS b ON true
CROSS JOIN LATERAL (
  SELECT CASE WHEN slot.outcome = 'ok' AND NOT EXISTS (
    SELECT FROM recorder.contradicted c
    WHERE c.account_id = stretch.account_id AND c.margin_asset = stretch.asset
      AND c.ended_at > slot."time" AND c.started_at <= slot.taken_at
  ) THEN coalesce(sum(p.unrealized_profit), 0) END AS unrealized_profit
  FROM recorder.sample p
  WHERE p.account_id = stretch.account_id AND p."time" = slot."time" AND p.margin_asset = stretch.asset
) AS held;

COMMENT ON VIEW bi.account_equity IS
  'One row per account, asset and snapshot that has balances, from the asset''s first balance on. Never sum over assets.';
COMMENT ON COLUMN bi.account_equity.account IS 'Name of the account, as its operator chose it.';
COMMENT ON COLUMN bi.account_equity.asset IS 'Asset of all amounts of the row, for example USDT.';
COMMENT ON COLUMN bi.account_equity."time" IS 'The slot: the due time of the schedule; for snapshots outside it the instant of asking.';
COMMENT ON COLUMN bi.account_equity.wallet_balance IS 'Balance of the wallet, without unrealised profit; 0 when the asset was used up.';
COMMENT ON COLUMN bi.account_equity.unrealized_profit IS 'Unrealised profit of all positions with this margin asset; null: the positions could not be asked, or the answer lacked one that was there (bi.gap, contradicted).';
COMMENT ON COLUMN bi.account_equity.equity IS 'wallet_balance + unrealized_profit.';
COMMENT ON COLUMN bi.account_equity.net_transfers IS 'What came in less what went out by transfer, cumulative since the account''s first snapshot with positions and balances.';
COMMENT ON COLUMN bi.account_equity.net_profit IS 'Profit since that snapshot: equity less the equity then, less net_transfers.';
