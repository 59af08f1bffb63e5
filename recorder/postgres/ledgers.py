"""Ledgers: the exchange's own lists of fills and income, and how much of each is recorded without a hole."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.domain.fill import Fill
from recorder.domain.income import Income
from recorder.postgres.rebuilding import rebuilding_from
from recorder.postgres.rowset import RowSet, number

_FILL = RowSet(
    {
        "account_id": "integer",
        "symbol": "text",
        "trade_id": "bigint",
        "order_id": "bigint",
        "time": "timestamptz",
    },
    {
        "position_side": "text",
        "side": "text",
        "price": "numeric",
        "quantity": "numeric",
        "realized_profit": "numeric",
        "commission": "numeric",
        "commission_asset": "text",
        "maker": "boolean",
        "source": "text",
    },
)
_INCOME = RowSet(
    {
        "account_id": "integer",
        "income_type": "text",
        "tran_id": "bigint",
        "asset": "text",
        "symbol": "text",
        "time": "timestamptz",
    },
    {"income": "numeric", "trade_id": "bigint", "info": "text"},
)
# The ledger is of record: what the stream told of a fill gives way to it, so that the tables do not depend on which
# of the two came first.
_ADD_FILLS = text(
    rebuilding_from(f"""
    INSERT INTO recorder.fill ({_FILL.names}) {_FILL.rows}
    ON CONFLICT (account_id, symbol, trade_id, "time", order_id) DO UPDATE SET {_FILL.replace}
    WHERE fill.source = 'stream' AND excluded.source = 'rest'
    RETURNING account_id, symbol, "time"
    """)
)
_ADD_INCOME = text(f"""
    INSERT INTO recorder.income ({_INCOME.names}) {_INCOME.rows}
    ON CONFLICT (account_id, income_type, tran_id, asset, symbol, "time") DO NOTHING
""")
_COMPLETE = text("""
    INSERT INTO recorder.ledger (account_id, kind, symbol, complete_since, complete_until)
    VALUES (:account_id, :kind, :symbol, :since, :until)
    ON CONFLICT (account_id, kind, symbol) DO UPDATE SET
      complete_since = least(ledger.complete_since, excluded.complete_since),
      complete_until = greatest(ledger.complete_until, excluded.complete_until),
      rebuilt_until = CASE
        WHEN excluded.complete_since < ledger.complete_since THEN least(ledger.rebuilt_until, ledger.complete_since)
        ELSE ledger.rebuilt_until
      END
    WHERE excluded.complete_since <= ledger.complete_until AND excluded.complete_until >= ledger.complete_since
""")
_KNOWN = text("""
    SELECT kind, symbol, complete_since, complete_until FROM recorder.ledger WHERE account_id = :account_id
""")
# From one symbol to the next along the indexes: what it reads grows with the symbols, not with their histories.
_TRADED = text("""
    WITH RECURSIVE earned AS (
      SELECT min(symbol) AS symbol FROM recorder.income WHERE account_id = :account_id AND symbol > ''
      UNION ALL
      SELECT (SELECT min(symbol) FROM recorder.income WHERE account_id = :account_id AND symbol > earned.symbol)
      FROM earned WHERE earned.symbol IS NOT NULL
    ), changed AS (
      SELECT min(symbol) AS symbol FROM recorder.change WHERE account_id = :account_id
      UNION ALL
      SELECT (SELECT min(symbol) FROM recorder.change WHERE account_id = :account_id AND symbol > changed.symbol)
      FROM changed WHERE changed.symbol IS NOT NULL
    ), told AS (
      SELECT symbol, (
        SELECT max("time") FROM recorder.income WHERE account_id = :account_id AND symbol = earned.symbol
      ) AS until
      FROM earned
      UNION ALL
      SELECT symbol, (
        SELECT max(update_time) FROM recorder.change
        WHERE account_id = :account_id AND symbol = changed.symbol AND position_side = side
      )
      FROM changed, unnest(ARRAY['BOTH', 'LONG', 'SHORT']) AS side
    )
    SELECT symbol, max(until) AS until FROM told WHERE symbol IS NOT NULL GROUP BY symbol ORDER BY symbol
""")
# A symbol's fills are asked for as far as anything speaks of it, and the income speaks of every one that was traded.
_REPAIRED = text("""
    UPDATE recorder.gap SET repaired_by = 'ledgers'
    FROM recorder.ledger AS income
    WHERE gap.account_id = :account_id AND gap.repaired_by IS NULL
      AND income.account_id = gap.account_id AND income.kind = 'income'
      AND income.complete_since <= gap.started_at AND income.complete_until >= gap.ended_at
      AND NOT EXISTS (
        SELECT FROM (
          SELECT symbol, "time" FROM recorder.income
          WHERE account_id = gap.account_id AND symbol <> '' AND "time" BETWEEN gap.started_at AND gap.ended_at
          UNION
          SELECT symbol, "time" FROM recorder.fill
          WHERE account_id = gap.account_id AND "time" BETWEEN gap.started_at AND gap.ended_at
        ) AS line
        WHERE NOT EXISTS (
          SELECT FROM recorder.ledger AS fills
          WHERE fills.account_id = gap.account_id AND fills.kind = 'fill' AND fills.symbol = line.symbol
            AND fills.complete_since <= line."time" AND fills.complete_until >= line."time"
            AND fills.rebuilt_until >= line."time"
        )
      )
      AND NOT EXISTS (
        SELECT FROM recorder.unexplained
        WHERE unexplained.account_id = gap.account_id
          AND unexplained.started_at < gap.ended_at AND unexplained.ended_at > gap.started_at
      )
""")
_NOT_REPAIRED = text("""
    UPDATE recorder.gap SET repaired_by = NULL
    FROM recorder.unexplained
    WHERE gap.account_id = :account_id AND unexplained.account_id = gap.account_id AND gap.repaired_by IS NOT NULL
      AND unexplained.started_at < gap.ended_at AND unexplained.ended_at > gap.started_at
""")


@dataclass(frozen=True, slots=True)
class Ledger:
    """One of an account's ledgers: ``income``, or the ``fill`` of a symbol."""

    kind: str
    symbol: str = ""


@dataclass(frozen=True, slots=True)
class Interval:
    """From *since* to *until*, both included."""

    since: datetime
    until: datetime


async def write_fills(connection: AsyncConnection, account_id: int, fills: Iterable[Fill]) -> None:
    """Write *fills*, in any order and any number of times; one that the ledger told stands over the stream's."""
    await write_fills_of_accounts(connection, ((account_id, fill) for fill in fills))


async def write_fills_of_accounts(connection: AsyncConnection, fills: Iterable[tuple[int, Fill]]) -> None:
    """Write *fills*, each under its account's number, as ``write_fills`` does but in one statement."""
    rows = {
        (account_id, fill.symbol, fill.trade_id, fill.time, fill.order_id): (
            account_id,
            fill.symbol,
            fill.trade_id,
            fill.order_id,
            fill.time,
            fill.position_side,
            fill.side,
            number(fill.price),
            number(fill.quantity),
            number(fill.realized_profit),
            number(fill.commission),
            fill.commission_asset,
            fill.maker,
            fill.source,
        )
        for account_id, fill in fills
    }
    if rows:
        await connection.execute(_ADD_FILLS, _FILL.parameters(rows.values()))


async def write_income(connection: AsyncConnection, account_id: int, lines: Sequence[Income]) -> None:
    """Write *lines*, in any order and any number of times."""
    if lines:
        await connection.execute(
            _ADD_INCOME,
            _INCOME.parameters(
                (
                    account_id,
                    line.income_type,
                    line.tran_id,
                    line.asset,
                    line.symbol or "",
                    line.time,
                    number(line.income),
                    line.trade_id,
                    line.info or None,
                )
                for line in lines
            ),
        )


async def mark_complete(connection: AsyncConnection, account_id: int, ledger: Ledger, complete: Interval) -> None:
    """Say that every line of *ledger* in *complete* is recorded.

    Only what touches the interval that was complete before can widen it; anything else is not remembered.
    """
    await connection.execute(
        _COMPLETE,
        {
            "account_id": account_id,
            "kind": ledger.kind,
            "symbol": ledger.symbol,
            "since": complete.since,
            "until": complete.until,
        },
    )


async def complete_ledgers(connection: AsyncConnection, account_id: int) -> dict[Ledger, Interval]:
    """The interval of each ledger of which every line is recorded."""
    rows = await connection.execute(_KNOWN, {"account_id": account_id})
    return {Ledger(row.kind, row.symbol): Interval(row.complete_since, row.complete_until) for row in rows}


async def traded_symbols(connection: AsyncConnection, account_id: int) -> dict[str, datetime]:
    """Every symbol that anything recorded speaks of, with the last time at which it does."""
    rows = await connection.execute(_TRADED, {"account_id": account_id})
    return {row.symbol: row.until for row in rows}


async def mark_repaired(connection: AsyncConnection, account_id: int) -> None:
    """Let the gaps say so of which all is recorded that can be asked for again.

    That is the whole income, and the fills of every symbol that it names with all changes that they explain. A gap in
    which a position moved by anything else stays what it is, or becomes so again.
    """
    await connection.execute(_NOT_REPAIRED, {"account_id": account_id})
    await connection.execute(_REPAIRED, {"account_id": account_id})
