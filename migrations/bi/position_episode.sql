-- told     every change, with its direction: 1 long, -1 short, 0 flat
-- turn     changes in a row of one direction: an episode, or a time of being flat
-- episode  a turn that is not flat, and the bounds of what belongs to it
-- A turn that follows one of the other direction is a flip: the fills of that instant belong to the episode that they
-- ended; of their quantity the part beyond zero opened the new one.
-- A close that was contradicted ended nothing.
-- A change that a snapshot dated happened before it: there an episode takes what lies between the changes around it.
-- Filters on account, symbol and position_side reach the tables, because every window is partitioned by all three.
CREATE OR REPLACE VIEW bi.position_episode AS
WITH told AS (
  SELECT
    c.account,
    c.account_id,
    c.symbol,
    c.position_side,
    c.update_time,
    c.dated_by_exchange,
    CASE WHEN c.dated_by_exchange THEN c.update_time ELSE greatest(c.update_time, c.observed_at) END AS known_at,
    c.position_amt,
    c.entry_price,
    sign(c.position_amt) AS direction,
    lag(sign(c.position_amt)) OVER earlier AS direction_before,
    max(c.margin_asset) OVER (PARTITION BY c.account, c.account_id, c.symbol, c.position_side) AS margin_asset
  FROM recorder.state c
  WHERE c.contradicted_by IS NULL
  WINDOW earlier AS (PARTITION BY c.account, c.account_id, c.symbol, c.position_side ORDER BY c.update_time, c.dated_by_exchange)
), numbered AS (
  SELECT
    told.*,
    count(*) FILTER (WHERE direction IS DISTINCT FROM direction_before) OVER (
      PARTITION BY account, account_id, symbol, position_side, margin_asset ORDER BY update_time, dated_by_exchange
    ) AS number
  FROM told
), turn AS (
  SELECT
    account,
    account_id,
    symbol,
    position_side,
    margin_asset,
    number,
    direction,
    min(update_time) AS opened_at,
    min(known_at) AS known_at,
    (array_agg(dated_by_exchange ORDER BY update_time, dated_by_exchange))[1] AS dated_by_exchange,
    direction * max(abs(position_amt)) AS max_position_amt,
    (array_agg(abs(position_amt) ORDER BY update_time DESC, dated_by_exchange DESC))[1] AS last_quantity,
    (array_agg(entry_price ORDER BY update_time DESC, dated_by_exchange DESC))[1] AS entry_price
  FROM numbered
  GROUP BY account, account_id, symbol, position_side, margin_asset, number, direction
), turned AS (
  SELECT
    turn.*,
    lead(opened_at) OVER earlier AS closed_at,
    lag(direction, 1, 0::numeric) OVER earlier <> 0 AS opened_by_flip,
    lead(direction, 1, 0::numeric) OVER earlier <> 0 AS closed_by_flip,
    lag(last_quantity) OVER earlier AS quantity_before,
    CASE
      WHEN lag(direction) OVER earlier <> 0 THEN known_at + interval '1 microsecond'
      WHEN dated_by_exchange THEN opened_at
      ELSE coalesce(lag(known_at) OVER earlier + interval '1 microsecond', opened_at)
    END AS since,
    lead(known_at, 1, 'infinity') OVER earlier AS until
  FROM turn
  WINDOW earlier AS (PARTITION BY account, account_id, symbol, position_side, margin_asset ORDER BY number)
), episode AS (
  SELECT * FROM turned WHERE direction <> 0
)
SELECT
  episode.account,
  episode.symbol,
  episode.position_side,
  episode.margin_asset,
  episode.opened_at,
  episode.closed_at,
  episode.max_position_amt,
  CASE WHEN traded.complete THEN traded.opened_value / traded.opened ELSE episode.entry_price END AS entry_price,
  CASE WHEN traded.complete THEN traded.closed_value / nullif(traded.closed, 0) END AS exit_price,
  CASE WHEN traded.fills + booked.lines > 0
    THEN coalesce(traded.realized_profit, 0) + coalesce(booked.realized_profit, 0) END AS realized_profit,
  CASE WHEN traded.fills + booked.lines > 0
    THEN coalesce(traded.commission, 0) + coalesce(booked.commission, 0) END AS commission,
  CASE WHEN episode.position_side = 'BOTH' AND NOT EXISTS (
    SELECT FROM recorder.change c
    WHERE c.account_id = episode.account_id AND c.symbol = episode.symbol AND c.position_side IN ('LONG', 'SHORT')
  ) THEN coalesce(booked.funding, 0) END AS funding,
  held.worst_unrealized_profit,
  held.best_unrealized_profit
FROM episode
CROSS JOIN LATERAL (
  SELECT
    count(*) FILTER (WHERE own) AS fills,
    sum(realized_profit) FILTER (WHERE own) AS realized_profit,
    sum(commission) FILTER (WHERE own AND commission_asset = episode.margin_asset) AS commission,
    sum(quantity) FILTER (WHERE opening) AS opened,
    sum(quantity * price) FILTER (WHERE opening) AS opened_value,
    sum(quantity) FILTER (WHERE NOT opening) AS closed,
    sum(quantity * price) FILTER (WHERE NOT opening) AS closed_value,
    -- All fills are known when they add up to what is left of the position.
    coalesce(sum(quantity) FILTER (WHERE opening), 0) > 0
      AND sum(CASE WHEN opening THEN quantity ELSE -quantity END)
        = CASE WHEN episode.closed_at IS NULL THEN episode.last_quantity ELSE 0 END AS complete
  FROM (
    SELECT
      f."time" >= episode.since AS own,
      (f.side = 'BUY') = (episode.direction > 0) AS opening,
      f.realized_profit,
      f.commission,
      f.commission_asset,
      f.price,
      CASE
        WHEN episode.opened_by_flip AND f."time" = episode.opened_at
          THEN f.quantity - least(f.running, episode.quantity_before) + least(f.running - f.quantity, episode.quantity_before)
        WHEN episode.closed_by_flip AND f."time" = episode.closed_at
          THEN least(f.running, episode.last_quantity) - least(f.running - f.quantity, episode.last_quantity)
        ELSE f.quantity
      END AS quantity
    FROM (
      SELECT f.*, sum(f.quantity) OVER (PARTITION BY f."time" ORDER BY f.trade_id, f.order_id) AS running
      FROM recorder.fill f
      WHERE f.account_id = episode.account_id AND f.symbol = episode.symbol AND f.position_side = episode.position_side
        AND f."time" BETWEEN least(episode.opened_at, episode.since) AND episode.until
    ) AS f
    WHERE f."time" >= episode.since OR episode.opened_by_flip AND f."time" = episode.opened_at
  ) AS part
) AS traded
CROSS JOIN LATERAL (
  SELECT
    count(*) AS lines,
    sum(e.realized_profit) AS realized_profit,
    sum(e.commission) AS commission,
    sum(e.funding) AS funding
  FROM recorder.earning e
  WHERE e.account_id = episode.account_id AND e.symbol = episode.symbol AND e.position_side = episode.position_side
    AND e.asset = episode.margin_asset AND e."time" BETWEEN episode.since AND episode.until AND NOT e.told_by_fill
) AS booked
CROSS JOIN LATERAL (
  -- The minute covers a sample whose answer came after the opening and its slot before.
  SELECT min(p.unrealized_profit) AS worst_unrealized_profit, max(p.unrealized_profit) AS best_unrealized_profit
  FROM recorder.sample p
  WHERE p.account_id = episode.account_id AND p.symbol = episode.symbol AND p.position_side = episode.position_side
    AND p."time" BETWEEN episode.opened_at - interval '1 minute' AND coalesce(episode.closed_at, 'infinity')
    AND sign(p.position_amt) = episode.direction
    AND greatest(p."time", p.update_time) >= episode.opened_at
    AND (p.update_time < episode.closed_at OR episode.closed_at IS NULL)
) AS held;

COMMENT ON VIEW bi.position_episode IS
  'One row per life of a position, from flat to flat; a flip through zero ends one and begins the next at the same instant. '
  'Amounts are those recorded so far: the ledger comes later than the fills.';
COMMENT ON COLUMN bi.position_episode.account IS 'Name of the account, as its operator chose it.';
COMMENT ON COLUMN bi.position_episode.symbol IS 'Contract, for example BTCUSDT.';
COMMENT ON COLUMN bi.position_episode.position_side IS 'BOTH in one-way mode, LONG or SHORT in hedge mode.';
COMMENT ON COLUMN bi.position_episode.margin_asset IS 'Asset of all profits of the row, for example USDT; null: the exchange named none.';
COMMENT ON COLUMN bi.position_episode.opened_at IS 'When the position left zero: the exchange''s updateTime; where it gave none, the slot that first saw it. Before the first snapshot, only the last change is known.';
COMMENT ON COLUMN bi.position_episode.closed_at IS 'When it was zero again, or on the other side of it; null: it is still open.';
COMMENT ON COLUMN bi.position_episode.max_position_amt IS 'Largest amount in base units, signed: negative is short.';
COMMENT ON COLUMN bi.position_episode.entry_price IS 'Average price of the fills that opened it, weighted by quantity, in quote per base; where not all fills are recorded, the exchange''s last entry price.';
COMMENT ON COLUMN bi.position_episode.exit_price IS 'Average price of the fills that closed it so far, weighted by quantity, in quote per base; null: none did, or not all fills are recorded.';
COMMENT ON COLUMN bi.position_episode.realized_profit IS 'Realised profit before fees, with what the ledger booked to the position besides, such as a liquidation''s clearance; null: neither fill nor ledger is recorded.';
COMMENT ON COLUMN bi.position_episode.commission IS 'Commission in the margin asset: negative when paid. Commission in another asset, for example BNB, stands in bi.fill. Null: neither fill nor ledger is recorded.';
COMMENT ON COLUMN bi.position_episode.funding IS 'Funding: negative when paid. Null where the symbol was held in hedge mode: the ledger does not say for which side it was.';
COMMENT ON COLUMN bi.position_episode.worst_unrealized_profit IS 'Lowest unrealised profit at a snapshot; null: no snapshot saw the position.';
COMMENT ON COLUMN bi.position_episode.best_unrealized_profit IS 'Highest unrealised profit at a snapshot; null: no snapshot saw the position.';
