"""Do the books balance, to the last digit?"""

from recorder.postgres.verification.check import Check

# The balances of a snapshot are answered within seconds of taken_at, nobody knows when exactly; and the exchange dates
# a funding fee with the full hour, but books it up to a minute later. So wallets are compared at quiet moments alone:
# those with no line of the asset's ledger close enough to be on either side. Between two of them the wallet has moved
# by what was booked in between, whatever the type of it.
_QUIET = """
    ledger AS (
      SELECT c.id, c.name, l.complete_since, l.complete_until
      FROM chosen c
      JOIN recorder.ledger l ON l.account_id = c.id AND l.kind = 'income'
    ), asked AS (
      SELECT l.id, s."time", s.taken_at
      FROM ledger l
      CROSS JOIN given
      JOIN recorder.snapshot s ON s.account_id = l.id AND s."time" >= given.since
      WHERE s.outcome = 'ok' AND s.balance_outcome = 'ok'
        AND s.taken_at >= l.complete_since + interval '1 minute'
        AND s.taken_at <= l.complete_until - interval '5 seconds'
    ), asset AS (
      SELECT b.account_id AS id, b.asset
      FROM recorder.balance b CROSS JOIN given
      WHERE b."time" >= given.since AND b.account_id IN (SELECT id FROM ledger)
      UNION
      SELECT i.account_id, i.asset
      FROM recorder.income i CROSS JOIN given
      WHERE i."time" >= given.since AND i.account_id IN (SELECT id FROM ledger)
    ), line AS (
      SELECT q.id, a.asset, q."time", q.taken_at AS at, coalesce(b.wallet_balance, 0) AS wallet,
             NULL AS income, false AS is_late
      FROM asked q
      JOIN asset a ON a.id = q.id
      LEFT JOIN recorder.balance b ON b.account_id = q.id AND b."time" = q."time" AND b.asset = a.asset
      UNION ALL
      SELECT i.account_id, i.asset, NULL, i."time", NULL, i.income, recorder.income_part(i.income_type) = 'funding'
      FROM recorder.income i
      WHERE i.account_id IN (SELECT id FROM ledger)
    ), told AS (
      SELECT *,
             coalesce(sum(income) OVER so_far, 0) AS booked,
             max(at) FILTER (WHERE income IS NOT NULL) OVER so_far AS line_before,
             max(at) FILTER (WHERE is_late) OVER so_far AS late_line_before,
             min(at) FILTER (WHERE income IS NOT NULL) OVER from_then AS line_after
      FROM line
      WINDOW so_far AS (PARTITION BY id, asset ORDER BY at), from_then AS (PARTITION BY id, asset ORDER BY at DESC)
    ), quiet AS MATERIALIZED (
      SELECT id, asset, "time", at, wallet, booked
      FROM told
      WHERE income IS NULL
        AND coalesce(line_before < at - interval '5 seconds', true)
        AND coalesce(late_line_before < at - interval '1 minute', true)
        AND coalesce(line_after > at + interval '5 seconds', true)
    )"""

BOOKS = Check(
    name="books",
    question="Has every wallet moved by the sum of what the ledger booked, whatever it was for?",
    unit="intervals",
    tables=f"""{_QUIET}, step AS (
      SELECT id, asset, "time", wallet, booked,
             lag("time") OVER before AS time_before,
             wallet - lag(wallet) OVER before AS moved,
             booked - lag(booked) OVER before AS told
      FROM quiet
      WINDOW before AS (PARTITION BY id, asset ORDER BY at)
    )""",
    checked="SELECT count(*) FROM step WHERE time_before IS NOT NULL",
    comparable_of="""
      SELECT count(*)
      FROM chosen c CROSS JOIN given
      JOIN recorder.balance b ON b.account_id = c.id AND b."time" >= given.since""",
    wrong="""
      SELECT c.name AS account, s."time", s.asset AS symbol, s.time_before, s.moved, s.told
      FROM step s
      JOIN chosen c ON c.id = s.id
      WHERE s.moved <> s.told""",
    saying="'since ' || time_before || ' the wallet moved by ' || moved || ', the ledger says ' || told",
)

PROFIT = Check(
    name="profit",
    question="Is what was realised, paid and funded the change of equity less transfers and unrealised profit?",
    unit="assets",
    tables=f"""{_QUIET}, ends AS (
      SELECT q.id, q.asset, q."time", q.at, q.wallet,
             row_number() OVER (PARTITION BY q.id, q.asset ORDER BY q.at) AS place,
             count(*) OVER (PARTITION BY q.id, q.asset) AS moments
      FROM quiet q
    ), span AS (
      SELECT e.id, e.asset, min(e.at) AS since, max(e.at) AS until, min(e."time") AS first, max(e."time") AS last,
             sum(CASE WHEN e.place = 1 THEN -1 ELSE 1 END * (e.wallet + held.profit)) AS equity,
             sum(CASE WHEN e.place = 1 THEN -1 ELSE 1 END * held.profit) AS unrealized
      FROM ends e
      CROSS JOIN LATERAL (
        SELECT coalesce(sum(p.unrealized_profit), 0) AS profit
        FROM recorder.sample p
        WHERE p.account_id = e.id AND p."time" = e."time" AND p.margin_asset = e.asset
      ) AS held
      WHERE e.place IN (1, e.moments) AND e.moments > 1
      GROUP BY e.id, e.asset
    ), earned AS (
      SELECT s.id, s.asset, sum(e.realized_profit + e.commission + e.funding) AS profit
      FROM span s
      JOIN recorder.earning e
        ON e.account_id = s.id AND e.asset = s.asset AND e."time" > s.since AND e."time" <= s.until
      GROUP BY s.id, s.asset
    ), moved AS (
      SELECT s.id, s.asset, sum(i.income) AS transfers
      FROM span s
      JOIN recorder.income i ON i.account_id = s.id AND i.asset = s.asset AND i."time" > s.since AND i."time" <= s.until
      WHERE recorder.income_part(i.income_type) = 'transfer'
      GROUP BY s.id, s.asset
    )""",
    checked="SELECT count(*) FROM span",
    wrong="""
      SELECT c.name AS account, s.last AS "time", s.asset AS symbol, s.first,
             coalesce(e.profit, 0) AS profit, s.equity - coalesce(m.transfers, 0) - s.unrealized AS expected
      FROM span s
      JOIN chosen c ON c.id = s.id
      LEFT JOIN earned e ON e.id = s.id AND e.asset = s.asset
      LEFT JOIN moved m ON m.id = s.id AND m.asset = s.asset
      WHERE coalesce(e.profit, 0) <> s.equity - coalesce(m.transfers, 0) - s.unrealized""",
    saying="'since ' || first || ' the profit is ' || profit || ', the equity says ' || expected",
)

# Trade ids are used again: the fill of a line is the nearest one with its id, and within a minute, as in
# recorder.earning.
_FILLS = """
    ledger AS (
      SELECT c.id, c.name, f.symbol, greatest(f.complete_since, i.complete_since, given.since) AS since,
             least(f.complete_until, i.complete_until) AS until
      FROM chosen c
      CROSS JOIN given
      JOIN recorder.ledger i ON i.account_id = c.id AND i.kind = 'income'
      JOIN recorder.ledger f ON f.account_id = c.id AND f.kind = 'fill'
    ), filled AS (
      SELECT l.id, l.name, f.symbol, f.trade_id, f."time", f.order_id, part.income_type, part.asset, part.amount
      FROM ledger l
      JOIN recorder.fill f ON f.account_id = l.id AND f.symbol = l.symbol AND f."time" BETWEEN l.since AND l.until
      CROSS JOIN LATERAL (VALUES
        ('REALIZED_PNL', NULL, f.realized_profit), ('COMMISSION', f.commission_asset, f.commission)
      ) AS part (income_type, asset, amount)
    ), booked AS (
      SELECT l.id, l.name, i.symbol, i.trade_id, coalesce(fill."time", i."time") AS "time", fill.order_id,
             i.income_type, CASE WHEN i.income_type = 'COMMISSION' THEN i.asset END AS asset, sum(i.income) AS amount
      FROM ledger l
      JOIN recorder.income i ON i.account_id = l.id AND i.symbol = l.symbol AND i."time" BETWEEN l.since AND l.until
      LEFT JOIN LATERAL (
        SELECT f."time", f.order_id
        FROM recorder.fill f
        WHERE f.account_id = i.account_id AND f.symbol = i.symbol AND f.trade_id = i.trade_id
          AND f."time" BETWEEN i."time" - interval '1 minute' AND i."time" + interval '1 minute'
        ORDER BY greatest(f."time" - i."time", i."time" - f."time"), f."time", f.order_id
        LIMIT 1
      ) AS fill ON true
      WHERE i.trade_id IS NOT NULL AND i.income_type IN ('REALIZED_PNL', 'COMMISSION')
      GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    )"""

FILLS = Check(
    name="fills",
    question="Has every fill the profit and the commission that the ledger booked for it?",
    unit="fills",
    tables=_FILLS,
    checked="SELECT count(*) FROM filled WHERE income_type = 'COMMISSION'",
    comparable_of="""
      SELECT count(*)
      FROM chosen c CROSS JOIN given
      JOIN recorder.fill f ON f.account_id = c.id AND f."time" >= given.since""",
    wrong="""
      SELECT coalesce(f.name, b.name) AS account, coalesce(f."time", b."time") AS "time",
             coalesce(f.symbol, b.symbol) AS symbol, coalesce(f.trade_id, b.trade_id) AS trade_id,
             coalesce(f.income_type, b.income_type) AS income_type, f.id IS NULL AS is_missing,
             coalesce(f.amount, 0) AS filled, coalesce(b.amount, 0) AS booked
      FROM filled f
      FULL JOIN booked b
        ON b.id = f.id AND b.symbol = f.symbol AND b.trade_id = f.trade_id AND b."time" = f."time"
        AND b.order_id = f.order_id AND b.income_type = f.income_type
        AND coalesce(b.asset, '') = coalesce(f.asset, '')
      WHERE coalesce(f.amount, 0) <> coalesce(b.amount, 0)""",
    saying="""
      'trade ' || trade_id || ', ' || income_type || CASE WHEN is_missing THEN ': no such fill' ELSE ': ' || filled END
      || ', the ledger says ' || booked""",
)
