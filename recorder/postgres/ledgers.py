"""Ledgers: the exchange's own lists of fills and income, and how much of each is recorded without a hole."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.domain.clash import Clash
from recorder.domain.fill import Fill
from recorder.domain.income import Income
from recorder.postgres.tellings import Line, Record, write_lines

_FILL = Record(
    "fill",
    {"symbol": "text", "trade_id": "bigint", "time": "timestamptz", "order_id": "bigint"},
    {
        "position_side": "text",
        "side": "text",
        "price": "numeric",
        "quantity": "numeric",
        "realized_profit": "numeric",
        "commission": "numeric",
        "commission_asset": "text",
        "maker": "boolean",
    },
    ids=("symbol", "trade_id"),
    counted=lambda content: content if content[5] else (*content[:6], None, *content[7:]),
    of_trades=True,
)
"""What asset a commission of 0 was paid in says nothing: the stream leaves it out, and REST does not."""

_INCOME = Record(
    "income",
    {"income_type": "text", "tran_id": "bigint", "asset": "text", "symbol": "text", "time": "timestamptz"},
    {"income": "numeric", "trade_id": "bigint", "info": "text"},
    ids=("income_type", "tran_id", "asset", "symbol"),
)
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


async def write_fills(
    connection: AsyncConnection, account_id: int, fills: Iterable[Fill], *, told_at: datetime
) -> list[Clash]:
    """Write *fills*, in any order and any number of times; one that REST told stands over the stream's.

    The account's turn must have been taken. Return what came again otherwise.
    """
    return await write_told_fills(connection, account_id, ((fill, told_at) for fill in fills))


async def write_told_fills(
    connection: AsyncConnection, account_id: int, fills: Iterable[tuple[Fill, datetime]]
) -> list[Clash]:
    """Write *fills*, each with when it was told, as ``write_fills`` does."""
    lines = [
        Line(
            (fill.symbol, fill.trade_id, fill.time, fill.order_id),
            (
                fill.position_side,
                fill.side,
                fill.price,
                fill.quantity,
                fill.realized_profit,
                fill.commission,
                fill.commission_asset,
                fill.maker,
            ),
            told_at,
            fill.source,
        )
        for fill, told_at in fills
    ]
    return await write_lines(connection, _FILL, account_id, lines)


async def write_income(
    connection: AsyncConnection, account_id: int, lines: Sequence[Income], *, told_at: datetime
) -> list[Clash]:
    """Write *lines*, in any order and any number of times.

    The account's turn must have been taken. Return what came again otherwise.
    """
    told = [
        Line(
            (line.income_type, line.tran_id, line.asset, line.symbol or "", line.time),
            (line.income, line.trade_id, line.info or None),
            told_at,
        )
        for line in lines
    ]
    return await write_lines(connection, _INCOME, account_id, told)


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
