-- A transfer counts from the first snapshot with balances whose answer came at or after it. The moment of the balances'
-- own answer is not kept: it is taken to be the snapshot's taken_at, since both are asked for at once, and a transfer
-- between the two shows as profit of that one row. The clocks may differ by up to the minute that is looked ahead.
-- Filters on account and asset reach the tables, because every window is partitioned by both; one on time reaches the
-- snapshots, their balances and their samples.
CREATE VIEW bi.account_equity AS
SELECT
  account,
  asset,
  "time",
  wallet_balance,
  unrealized_profit,
  wallet_balance + unrealized_profit AS equity,
  net_transfers,
  wallet_balance + unrealized_profit - first_equity - net_transfers AS net_profit
FROM (
  SELECT
    stretch.account,
    stretch.asset,
    s."time",
    coalesce(b.wallet_balance, 0) AS wallet_balance,
    CASE WHEN s.outcome = 'ok' THEN coalesce(held.unrealized_profit, 0) END AS unrealized_profit,
    stretch.net_transfers,
    first_held.equity AS first_equity
  FROM (
    SELECT
      account,
      account_id,
      first_time,
      asset,
      since,
      lead(since, 1, 'infinity') OVER booked AS until,
      sum(transfer) OVER booked AS net_transfers
    FROM (
      SELECT a.name AS account, a.id AS account_id, first."time" AS first_time, line.asset, line.since, sum(line.transfer) AS transfer
      FROM recorder.account a
      CROSS JOIN LATERAL (
        SELECT s."time", s.taken_at
        FROM recorder.snapshot s
        WHERE s.account_id = a.id AND s.outcome = 'ok' AND s.balance_outcome = 'ok'
        ORDER BY s."time"
        LIMIT 1
      ) AS first
      CROSS JOIN LATERAL (
        SELECT b.asset, min(b."time") AS since, 0 AS transfer
        FROM recorder.balance b
        WHERE b.account_id = a.id
        GROUP BY b.asset
        UNION ALL
        SELECT i.asset, counted."time", i.income
        FROM recorder.income i
        CROSS JOIN LATERAL (
          SELECT s."time"
          FROM recorder.snapshot s
          WHERE s.account_id = a.id AND s.balance_outcome = 'ok' AND s."time" > coalesce((
            SELECT earlier."time"
            FROM recorder.snapshot earlier
            WHERE earlier.account_id = a.id AND earlier.balance_outcome = 'ok' AND earlier.taken_at < i."time"
              AND earlier."time" < i."time" + interval '1 minute'
            ORDER BY earlier."time" DESC
            LIMIT 1
          ), '-infinity')
          ORDER BY s."time"
          LIMIT 1
        ) AS counted
        WHERE i.account_id = a.id AND i."time" > first.taken_at AND recorder.income_part(i.income_type) = 'transfer'
      ) AS line
      GROUP BY a.name, a.id, first."time", line.asset, line.since
    ) AS booking
    WINDOW booked AS (PARTITION BY account, account_id, first_time, asset ORDER BY since)
  ) AS stretch
  CROSS JOIN LATERAL (
    SELECT
      coalesce((
        SELECT b.wallet_balance
        FROM recorder.balance b
        WHERE b.account_id = stretch.account_id AND b."time" = stretch.first_time AND b.asset = stretch.asset
      ), 0) + coalesce((
        SELECT sum(p.unrealized_profit)
        FROM recorder.sample p
        WHERE p.account_id = stretch.account_id AND p."time" = stretch.first_time AND p.margin_asset = stretch.asset
      ), 0) AS equity
  ) AS first_held
  JOIN recorder.snapshot s
    ON s.account_id = stretch.account_id AND s.balance_outcome = 'ok'
    AND s."time" >= stretch.since AND s."time" < stretch.until
  LEFT JOIN recorder.balance b ON b.account_id = s.account_id AND b."time" = s."time" AND b.asset = stretch.asset
  LEFT JOIN LATERAL (
    SELECT sum(p.unrealized_profit) AS unrealized_profit
    FROM recorder.sample p
    WHERE p.account_id = s.account_id AND p."time" = s."time" AND p.margin_asset = stretch.asset
  ) AS held ON true
) AS told;

COMMENT ON VIEW bi.account_equity IS
  'One row per account, asset and snapshot that has balances, from the asset''s first balance on. Never sum over assets.';
COMMENT ON COLUMN bi.account_equity.account IS 'Name of the account, as its operator chose it.';
COMMENT ON COLUMN bi.account_equity.asset IS 'Asset of all amounts of the row, for example USDT.';
COMMENT ON COLUMN bi.account_equity."time" IS 'The slot: the due time of the schedule; for snapshots outside it the instant of asking.';
COMMENT ON COLUMN bi.account_equity.wallet_balance IS 'Balance of the wallet, without unrealised profit; 0 when the asset was used up.';
COMMENT ON COLUMN bi.account_equity.unrealized_profit IS 'Unrealised profit of all positions with this margin asset; null: the positions could not be asked.';
COMMENT ON COLUMN bi.account_equity.equity IS 'wallet_balance + unrealized_profit.';
COMMENT ON COLUMN bi.account_equity.net_transfers IS 'What came in less what went out by transfer, cumulative since the account''s first snapshot with positions and balances.';
COMMENT ON COLUMN bi.account_equity.net_profit IS 'Profit since that snapshot: equity less the equity then, less net_transfers.';
