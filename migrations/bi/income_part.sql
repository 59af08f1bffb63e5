-- Which part of the profit a line of the ledger is. Every type is in exactly one part, and a type that nobody knows yet
-- is 'realized': so realized + commission + funding is always all of the wallet's change that is no transfer.
CREATE OR REPLACE FUNCTION recorder.income_part(income_type text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
  WHEN income_type IN (
    'COMMISSION', 'COMMISSION_REBATE', 'API_REBATE', 'REFERRAL_KICKBACK', 'FEE_RETURN', 'OPTIONS_PREMIUM_FEE',
    'POSITION_LIMIT_INCREASE_FEE'
  ) THEN 'commission'
  WHEN income_type IN ('FUNDING_FEE', 'SPECIAL_FUNDING_FEE') THEN 'funding'
  WHEN income_type IN (
    'TRANSFER', 'INTERNAL_TRANSFER', 'CROSS_COLLATERAL_TRANSFER', 'COIN_SWAP_DEPOSIT', 'COIN_SWAP_WITHDRAW',
    'STRATEGY_UMFUTURES_TRANSFER', 'AUTO_EXCHANGE'
  ) THEN 'transfer'
  ELSE 'realized'
END;
COMMENT ON FUNCTION recorder.income_part(text) IS
  'The part of the profit that an income type belongs to: commission, funding, transfer (no profit), or realized for all '
  'the others (realised profit, liquidation clearance, delivery, bonuses, rewards) and for types unknown to this version.';

-- The side of a line is that of its fill: trade ids are used again, so that it is the one nearest to it, and within a
-- minute. Without a fill it is BOTH where the account never held the symbol in hedge mode;
-- else nobody can say it, and it stays null: a line is never split by guess.
CREATE OR REPLACE VIEW recorder.earning AS
SELECT
  i.account_id,
  i."time",
  nullif(i.symbol, '') AS symbol,
  coalesce((
    SELECT f.position_side
    FROM recorder.fill f
    WHERE f.account_id = i.account_id AND f.symbol = i.symbol AND f.trade_id = i.trade_id AND f."time" = i."time"
    ORDER BY f.order_id
    LIMIT 1
  ), (
    SELECT f.position_side
    FROM recorder.fill f
    WHERE f.account_id = i.account_id AND f.symbol = i.symbol AND f.trade_id = i.trade_id
      AND f."time" BETWEEN i."time" - interval '1 minute' AND i."time" + interval '1 minute'
    ORDER BY greatest(f."time" - i."time", i."time" - f."time"), f."time", f.order_id
    LIMIT 1
  ), CASE
    WHEN i.symbol <> '' AND NOT EXISTS (
      SELECT FROM recorder.change c
      WHERE c.account_id = i.account_id AND c.symbol = i.symbol AND c.position_side IN ('LONG', 'SHORT')
    ) THEN 'BOTH'
  END) AS position_side,
  i.asset,
  CASE WHEN recorder.income_part(i.income_type) = 'realized' THEN i.income ELSE 0 END AS realized_profit,
  CASE WHEN recorder.income_part(i.income_type) = 'commission' THEN i.income ELSE 0 END AS commission,
  CASE WHEN recorder.income_part(i.income_type) = 'funding' THEN i.income ELSE 0 END AS funding,
  i.income_type IN ('REALIZED_PNL', 'COMMISSION') AND EXISTS (
    SELECT FROM recorder.fill f
    WHERE f.account_id = i.account_id AND f.symbol = i.symbol AND f.trade_id = i.trade_id
      AND f."time" BETWEEN i."time" - interval '1 minute' AND i."time" + interval '1 minute'
  ) AS told_by_fill
FROM recorder.income i
WHERE recorder.income_part(i.income_type) <> 'transfer';

COMMENT ON VIEW recorder.earning IS 'One row per line of the ledger that is no transfer, with its side and its part of the profit.';
COMMENT ON COLUMN recorder.earning.account_id IS 'Number of the account.';
COMMENT ON COLUMN recorder.earning."time" IS 'When the exchange booked it.';
COMMENT ON COLUMN recorder.earning.symbol IS 'Contract; null: the line concerns none.';
COMMENT ON COLUMN recorder.earning.position_side IS 'BOTH, LONG or SHORT; null: the ledger does not say.';
COMMENT ON COLUMN recorder.earning.asset IS 'Asset of the amounts.';
COMMENT ON COLUMN recorder.earning.realized_profit IS 'The amount when it is realised profit, else 0.';
COMMENT ON COLUMN recorder.earning.commission IS 'The amount when it is commission, negative when paid, else 0.';
COMMENT ON COLUMN recorder.earning.funding IS 'The amount when it is funding, negative when paid, else 0.';
COMMENT ON COLUMN recorder.earning.told_by_fill IS 'Whether the same amount stands in recorder.fill too.';
