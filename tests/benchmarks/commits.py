"""When what was sent was committed, by the server's own clock: read from the tables, once the work is done.

PostgreSQL notes the time of a commit (``track_commit_timestamp``) just before it flushes its log, and keeps it for the
transaction that wrote a row (``xmin``). Nobody has to poll, and what the flush and the answer take on top of it is
measured beside the load, by transactions that do nothing else.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg

from tests.benchmarks.exchange_process import Sent

_PROBE_EVERY = 0.1  # seconds
_QUIET = 5.0  # seconds without a new row, after which nothing more is expected
_CHANGES = """
    SELECT a.name, c.symbol, c.position_side, c.update_time, c.position_amt, c.entry_price, c.break_even_price,
           c.accumulated_realized, c.reason, c.event_time, c.observed_at, pg_xact_commit_timestamp(c.xmin) AS noted
    FROM recorder.change c JOIN recorder.account a ON a.id = c.account_id
    WHERE c.source = 'stream' AND c.observed_at >= $1
"""
_BALANCES = """
    SELECT a.name, b.asset, b."time", b.event_time, b.wallet_balance, b.cross_wallet_balance
    FROM recorder.balance_change b JOIN recorder.account a ON a.id = b.account_id
    WHERE b.event_time >= $1
"""
_FILLS = """
    SELECT a.name, f.symbol, f.trade_id, f.order_id, f."time", f.position_side, f.side, f.price, f.quantity,
           f.realized_profit, f.commission, f.commission_asset, f.maker, pg_xact_commit_timestamp(f.xmin) AS noted
    FROM recorder.fill f JOIN recorder.account a ON a.id = f.account_id
    WHERE f."time" >= $1
"""

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What became of the events that were sent.

    Attributes:
        noted: For each event that is there, with every digit, the seconds from its sending to its commit.
        noted_from_arrival: The same from when the recorder says that it came in; of account updates alone.
        lost, wrong, invented: Rows that are not there, that differ from what was sent, and that nobody sent.
    """

    noted: list[float]
    noted_from_arrival: list[float]
    lost: int
    wrong: int
    invented: int


async def settle(connection: asyncpg.Connection, since: datetime, events: int) -> None:
    """Wait until so many events sent after *since* are there, or no more of them come."""
    seen, still = -1, 0.0
    while seen < events and still < _QUIET:
        rows = await connection.fetchval(
            "SELECT (SELECT count(*) FROM recorder.change WHERE source = 'stream' AND observed_at >= $1)"
            ' + (SELECT count(*) FROM recorder.fill WHERE "time" >= $1)',
            since,
        )
        still = 0.0 if rows != seen else still + 0.5
        seen = rows
        await asyncio.sleep(0.5)


async def find(connection: asyncpg.Connection, since: datetime, sent: Iterable[Sent]) -> Found:
    """Compare what is recorded since *since* with what was *sent* in that time, digit by digit."""
    wanted: dict[Key, tuple[Any, ...]] = {}
    sent_at: dict[Key, datetime] = {}
    for event in sent:
        rows = _update_rows(event) if event.type == "ACCOUNT_UPDATE" else _fill_row(event)
        wanted |= rows
        sent_at |= dict.fromkeys(rows, event.at)
    recorded: dict[Key, tuple[Any, ...]] = {}
    noted: dict[Key, datetime] = {}
    arrived: dict[Key, datetime] = {}
    for row in await connection.fetch(_CHANGES, since):
        key = ("change", *row[:4])
        recorded[key], noted[key], arrived[key] = tuple(row)[4:10], row["noted"], row["observed_at"]
    for row in await connection.fetch(_BALANCES, since):
        recorded["balance", *row[:5]] = tuple(row)[5:]
    for row in await connection.fetch(_FILLS, since):
        key = ("fill", *row[:3])
        recorded[key], noted[key] = tuple(row)[3:-1], row["noted"]
    right = {key for key, values in wanted.items() if recorded.get(key) == values}
    return Found(
        noted=[_seconds(sent_at[key], at) for key, at in noted.items() if key in right],
        noted_from_arrival=[_seconds(at, noted[key]) for key, at in arrived.items() if key in right],
        lost=len(wanted.keys() - recorded.keys()),
        wrong=len(wanted.keys() & recorded.keys() - right),
        invented=len(recorded.keys() - wanted.keys()),
    )


async def flush_times(url: str) -> list[float]:
    """Until cancelled, commit next to nothing again and again; return the seconds from noted to answered."""
    connection = await asyncpg.connect(url)
    answered: dict[int, datetime] = {}
    try:
        while True:
            async with connection.transaction():
                await connection.execute("SELECT pg_logical_emit_message(true, 'benchmark', '')")
                xid = await connection.fetchval("SELECT pg_current_xact_id()::text::bigint")
            answered[xid] = datetime.now(UTC)
            await asyncio.sleep(_PROBE_EVERY)
    except asyncio.CancelledError:
        rows = await connection.fetch(
            "SELECT id, pg_xact_commit_timestamp(id::text::xid) AS noted FROM unnest($1::bigint[]) AS id",
            list(answered),
        )
        return [_seconds(row["noted"], answered[row["id"]]) for row in rows]
    finally:
        await connection.close()


def _update_rows(event: Sent) -> Mapping[Key, tuple[Any, ...]]:
    body = event.body
    time, event_time = time_of(body["T"]), time_of(body["E"])
    rows: dict[Key, tuple[Any, ...]] = {
        ("change", event.account, each["s"], each["ps"], time): (
            Decimal(each["pa"]),
            Decimal(each["ep"]),
            Decimal(each["bep"]),
            Decimal(each["cr"]),
            body["a"]["m"],
            event_time,
        )
        for each in body["a"]["P"]
    }
    for each in body["a"]["B"]:
        rows["balance", event.account, each["a"], time, event_time, Decimal(each["wb"])] = (Decimal(each["cw"]),)
    return rows


def _fill_row(event: Sent) -> Mapping[Key, tuple[Any, ...]]:
    order = event.body["o"]
    return {
        ("fill", event.account, order["s"], order["t"]): (
            order["i"],
            time_of(order["T"]),
            order["ps"],
            order["S"],
            Decimal(order["L"]),
            Decimal(order["l"]),
            Decimal(order["rp"]),
            -Decimal(order["n"]),
            order["N"],
            order["m"],
        )
    }


def time_of(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)


def _seconds(since: datetime, until: datetime) -> float:
    return (until - since).total_seconds()
