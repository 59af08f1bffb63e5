"""Balances: the wallets of an account at a slot, asset by asset."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.domain.balance import Balance
from recorder.domain.position import NEVER
from recorder.domain.snapshot import Snapshot
from recorder.postgres.rowset import RowSet, number

_BALANCE = RowSet(
    {"account_id": "integer", "time": "timestamptz", "asset": "text"},
    {
        "update_time": "timestamptz",
        "wallet_balance": "numeric",
        "cross_wallet_balance": "numeric",
        "cross_unrealized_profit": "numeric",
        "available_balance": "numeric",
        "max_withdraw_amount": "numeric",
        "margin_available": "boolean",
    },
)
_ADD = text(f"INSERT INTO recorder.balance ({_BALANCE.names}) {_BALANCE.rows}")


async def write_balances(connection: AsyncConnection, observed: Mapping[tuple[int, datetime], Snapshot]) -> None:
    """Add the balances that came with ok snapshots, each given under its account's number and its time.

    The exchange lists every asset there is: those without any amount are left out, which says that they are 0 (in
    multi-assets mode all of them are *available*, which says nothing of what the account has).
    """
    rows = [
        (
            account_id,
            time,
            balance.asset,
            balance.update_time or NEVER,
            number(balance.balance),
            number(balance.cross_wallet_balance),
            number(balance.cross_un_pnl),
            number(balance.available_balance),
            number(balance.max_withdraw_amount),
            balance.margin_available,
        )
        for (account_id, time), snapshot in observed.items()
        for balance in snapshot.balances
        if _holds_anything(balance)
    ]
    if rows:
        await connection.execute(_ADD, _BALANCE.parameters(rows))


def _holds_anything(balance: Balance) -> bool:
    return bool(balance.balance or balance.cross_wallet_balance or balance.cross_un_pnl)
