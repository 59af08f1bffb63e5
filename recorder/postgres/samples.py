"""Samples: the position rows of ok snapshots, every field of them."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.domain.snapshot import Snapshot
from recorder.postgres.rowset import RowSet, number

_SAMPLE = RowSet(
    {"account_id": "integer", "time": "timestamptz", "symbol": "text", "position_side": "text"},
    {
        "update_time": "timestamptz",
        "position_amt": "numeric",
        "entry_price": "numeric",
        "break_even_price": "numeric",
        "mark_price": "numeric",
        "unrealized_profit": "numeric",
        "liquidation_price": "numeric",
        "isolated_margin": "numeric",
        "notional": "numeric",
        "margin_asset": "text",
        "isolated_wallet": "numeric",
        "initial_margin": "numeric",
        "maint_margin": "numeric",
        "position_initial_margin": "numeric",
        "open_order_initial_margin": "numeric",
        "adl": "integer",
        "bid_notional": "numeric",
        "ask_notional": "numeric",
        "extra": "jsonb",
    },
)
_ADD = text(f"INSERT INTO recorder.sample ({_SAMPLE.names}) {_SAMPLE.rows}")
_AS_SENT = msgspec.json.Encoder(decimal_format="number")


async def write_samples(connection: AsyncConnection, observed: Mapping[tuple[int, datetime], Snapshot]) -> None:
    """Add the rows of ok snapshots, each given under its account's number and its time, and new to the database."""
    rows = [
        (
            account_id,
            time,
            position.symbol,
            position.position_side,
            position.update_time,
            number(position.position_amt),
            number(position.entry_price),
            number(position.break_even_price),
            number(position.mark_price),
            number(position.unrealized_profit),
            number(position.liquidation_price),
            number(position.isolated_margin),
            number(position.notional),
            position.margin_asset,
            number(position.isolated_wallet),
            number(position.initial_margin),
            number(position.maint_margin),
            number(position.position_initial_margin),
            number(position.open_order_initial_margin),
            position.adl,
            number(position.bid_notional),
            number(position.ask_notional),
            _AS_SENT.encode(position.extra).decode() if position.extra else None,
        )
        for (account_id, time), snapshot in observed.items()
        for position in snapshot.positions
    ]
    if rows:
        await connection.execute(_ADD, _SAMPLE.parameters(rows))
