"""What is recorded of the accounts whose profit is asked for."""

from datetime import UTC, datetime

NOW = datetime(2026, 3, 3, 9, 30, tzinfo=UTC)
"""When it is asked for."""

MANY_DIGITS = "12345678901234567890.000000000000000000000000000001"

# The account main is asked every hour; nobody watches on 28 February and on 1 March, except for one failure.
# The account flat has never held anything; nothing is recorded of the account new.
SCENE = f"""
    INSERT INTO recorder.account (name) VALUES ('main'), ('flat'), ('new');
    INSERT INTO recorder.snapshot (account_id, time, kind, taken_at, outcome, position_count, duration_ms)
    SELECT 1, t, 'slot', t, 'ok', 1, 40
    FROM generate_series('2026-02-26 00:00Z'::timestamptz, '2026-03-03 09:00Z', '1 hour') AS t
    WHERE t NOT BETWEEN '2026-02-28 00:00Z' AND '2026-03-01 23:59Z';
    INSERT INTO recorder.snapshot (account_id, time, kind, taken_at, outcome, position_count, duration_ms) VALUES
      (1, '2026-02-28 12:00Z', 'slot', '2026-02-28 12:00Z', 'timeout', 0, 10000),
      (2, '2026-03-03 09:00Z', 'slot', '2026-03-03 09:00Z', 'ok', 0, 40);
    INSERT INTO recorder.sample (
      account_id, time, update_time, symbol, position_side, position_amt, entry_price, mark_price, unrealized_profit,
      margin_asset
    )
    SELECT 1, s.time, s.time, symbol, 'BOTH', 1, 100, 100, unrealized_profit + extract(hour FROM s.time), 'USDT'
    FROM recorder.snapshot s
    CROSS JOIN (VALUES ('BTCUSDT', 0.250), ('ETHUSDT', -10)) AS held (symbol, unrealized_profit)
    WHERE s.account_id = 1 AND s.outcome = 'ok';
    INSERT INTO recorder.income (account_id, income_type, tran_id, asset, symbol, time, income) VALUES
      (1, 'REALIZED_PNL', 1, 'USDT', 'BTCUSDT', '2026-02-26 12:30Z', {MANY_DIGITS}),
      (1, 'COMMISSION', 1, 'BNB', 'BTCUSDT', '2026-02-26 12:30Z', -0.00125),
      (1, 'TRANSFER', 2, 'USDT', '', '2026-02-26 13:00Z', 5000),
      (1, 'FUNDING_FEE', 3, 'USDT', 'ETHUSDT', '2026-02-27 23:59:30Z', -1.50),
      (1, 'REALIZED_PNL', 4, 'USDT', 'ETHUSDT', '2026-03-01 13:00Z', 7),
      (1, 'SOMETHING_NEW', 5, 'USDT', '', '2026-03-02 10:00Z', 0.5);
"""
