"""Events: what the stream told, as changes of positions and balances, as fills, and as it was sent."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from itertools import chain
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.domain.clash import Clash
from recorder.domain.event import AccountUpdate, Arrival, KeptEvent, ListenKeyExpired, Told, Trade
from recorder.domain.fill import Fill
from recorder.postgres.changes import SAME_CHANGE, hold_again, retract
from recorder.postgres.ledgers import write_told_fills
from recorder.postgres.reopening import rebuilding_from
from recorder.postgres.rowset import RowSet, number
from recorder.postgres.tellings import Line, Record, write_lines

_CHANGE = RowSet(
    {
        "account_id": "integer",
        "symbol": "text",
        "position_side": "text",
        "update_time": "timestamptz",
        "dated_by_exchange": "boolean",
    },
    {
        "position_amt": "numeric",
        "entry_price": "numeric",
        "break_even_price": "numeric",
        "margin_asset": "text",
        "accumulated_realized": "numeric",
        "reason": "text",
        "source": "text",
        "observed_at": "timestamptz",
        "event_time": "timestamptz",
    },
)
_BALANCE = Record(
    "balance_change",
    {
        "asset": "text",
        "time": "timestamptz",
        "event_time": "timestamptz",
        "wallet_balance": "numeric",
        "reason": "text",
    },
    {"cross_wallet_balance": "numeric", "balance_change": "numeric"},
    ids=("asset", "time", "event_time", "wallet_balance", "reason"),
)
_KEPT = RowSet(
    {"account_id": "integer", "kind": "text", "digest": "text"},
    {"received_at": "timestamptz", "event_time": "timestamptz", "body": "text"},
)
# What a snapshot told of the same change a moment before or after gives way to the stream, which knows more: a short
# range of the key, however long the history of the position is.
_REPLACED = text(f"""
    SELECT DISTINCT told.account_id, told.symbol, told.position_side, told.update_time, true
    FROM ({_CHANGE.rows}) AS given
    CROSS JOIN LATERAL (
      SELECT c.* FROM recorder.change c
      WHERE c.account_id = given.account_id AND c.symbol = given.symbol AND c.position_side = given.position_side
        AND c.dated_by_exchange AND (c.entry_price = given.entry_price OR given.position_amt = 0)
        AND c.update_time >= given.update_time - interval '{SAME_CHANGE}'
        AND c.update_time <= given.update_time + interval '{SAME_CHANGE}'
      OFFSET 0  -- row by row, or PostgreSQL would read the whole table to join it
    ) AS told
    WHERE told.source NOT IN ('stream', 'ledger') AND told.position_amt = given.position_amt
""")
_ADD_CHANGES = text(
    rebuilding_from(f"""
    INSERT INTO recorder.change ({_CHANGE.names}) {_CHANGE.rows}
    ON CONFLICT (account_id, symbol, position_side, update_time, dated_by_exchange)
    DO UPDATE SET {_CHANGE.replace}, snapshot_time = NULL
    WHERE CASE change.source
      WHEN 'stream' THEN (excluded.event_time, excluded.observed_at) >= (change.event_time, change.observed_at)
      ELSE change.source = 'ledger' OR excluded.position_amt = change.position_amt
    END
    RETURNING account_id, symbol, update_time AS "time"
    """)
)
# The same message came again, or by two connections: it came in when it came first.
_ADD_KEPT = text(f"""
    INSERT INTO recorder.event ({_KEPT.names}) {_KEPT.rows}
    ON CONFLICT (account_id, kind, digest) DO UPDATE SET received_at = excluded.received_at
    WHERE event.received_at > excluded.received_at
""")


async def write_events(
    connection: AsyncConnection, account_ids: Mapping[str, int], told: Iterable[Told]
) -> list[Clash]:
    """Write what the stream *told*, in any order and any number of times; return what came again otherwise.

    The accounts' turn must have been taken. Messages about one instant are told apart by the time at which the
    exchange sent them, and where that is the same too, by the time at which they came in.
    """
    updates, trades, kept = [], [], []
    for each in sorted(told, key=lambda each: (each.arrival.exchange_time, each.arrival.number)):
        match each.event:
            case AccountUpdate():
                updates.append((account_ids[each.account], each.arrival, each.event))
            case Trade():
                trades.append((account_ids[each.account], each.arrival, each.event))
            case KeptEvent():
                kept.append((account_ids[each.account], each.arrival, each.event))
            case ListenKeyExpired():
                pass  # the gap that it opens tells of it
    await _write_changes(connection, updates)
    clashes = [*await _write_balances(connection, updates), *await _write_trades(connection, trades)]
    await _write_kept(connection, kept)
    return clashes


async def _write_changes(connection: AsyncConnection, updates: Iterable[tuple[int, Arrival, AccountUpdate]]) -> None:
    last: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for account_id, arrival, update in sorted(updates, key=lambda each: each[2].event_time):
        for position in update.positions:
            key = (account_id, position.symbol, position.position_side, update.time)
            last[key] = (
                *key,
                True,
                number(position.position_amt),
                number(position.entry_price),
                number(position.break_even_price),
                position.margin_asset,
                number(position.accumulated_realized),
                update.reason,
                "stream",
                arrival.exchange_time,
                update.event_time,
            )
    if last:
        rows = _CHANGE.parameters(last.values())
        told: dict[int, list[tuple[str, str, datetime]]] = defaultdict(list)
        for account_id, symbol, side, time, dated in await connection.execute(_REPLACED, rows):
            told[account_id].append((symbol, side, time))
            await retract(connection, account_id, [(symbol, side, time, dated)])
        await connection.execute(_ADD_CHANGES, rows)
        for account_id, *change in last:
            told[account_id].append(tuple(change))
        for account_id, changes in told.items():
            await hold_again(connection, account_id, changes)


async def _write_balances(
    connection: AsyncConnection, updates: Iterable[tuple[int, Arrival, AccountUpdate]]
) -> list[Clash]:
    lines: dict[int, list[Line]] = {}
    for account_id, arrival, update in updates:
        lines.setdefault(account_id, []).extend(
            Line(
                (balance.asset, update.time, update.event_time, balance.wallet_balance, update.reason),
                (balance.cross_wallet_balance, balance.balance_change),
                arrival.exchange_time,
            )
            for balance in update.balances
        )
    clashes = [await write_lines(connection, _BALANCE, account_id, each) for account_id, each in lines.items()]
    return [*chain.from_iterable(clashes)]


async def _write_trades(connection: AsyncConnection, trades: Iterable[tuple[int, Arrival, Trade]]) -> list[Clash]:
    fills: dict[int, list[tuple[Fill, datetime]]] = {}
    for account_id, arrival, trade in trades:
        fills.setdefault(account_id, []).append((trade.fill, arrival.exchange_time))
    clashes = [await write_told_fills(connection, account_id, each) for account_id, each in fills.items()]
    return [*chain.from_iterable(clashes)]


async def _write_kept(connection: AsyncConnection, kept: Iterable[tuple[int, Arrival, KeptEvent]]) -> None:
    first: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for account_id, arrival, event in kept:
        key = account_id, event.kind, sha256(event.raw.encode()).hexdigest()
        body = event.raw.replace("\0", "\\u0000")  # PostgreSQL's text holds no NUL
        first.setdefault(key, (*key, arrival.exchange_time, event.event_time, body))
    if first:
        await connection.execute(_ADD_KEPT, _KEPT.parameters(first.values()))
