"""Balances: from the exchange's text to values."""

from collections import Counter
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from recorder.binance.fields import decimal, instant, malformed, text
from recorder.binance.messages import converted, decode_json
from recorder.domain.balance import Balance
from recorder.exceptions import MalformedAnswer


class BalanceRow(msgspec.Struct, frozen=True, rename="camel"):
    """One element of the result of ``v2/account.balance``, still as text."""

    account_alias: str
    asset: str
    balance: str
    cross_wallet_balance: str
    cross_un_pnl: str
    available_balance: str
    max_withdraw_amount: str
    margin_available: bool | UnsetType | None = UNSET
    update_time: int | str | UnsetType | None = UNSET


def decode_balances(result: bytes | str) -> tuple[Balance, ...]:
    """Return the rows of a ``v2/account.balance`` result; raises MalformedAnswer that names row and field."""
    rows = converted(decode_json(result), list[Any], "v2/account.balance")
    balances = tuple(_parsed(number, row) for number, row in enumerate(rows, start=1))
    assets = Counter(balance.asset for balance in balances)
    if len(assets) != len(balances):
        raise MalformedAnswer(f"v2/account.balance: {assets.most_common(1)[0][0]} twice in one answer")
    return balances


def _parsed(number: int, row: Any) -> Balance:
    try:
        return _balance(msgspec.convert(row, BalanceRow))
    except (ValueError, MalformedAnswer) as exc:
        raise malformed(f"v2/account.balance: row {number}", exc) from exc


def _balance(row: BalanceRow) -> Balance:
    return Balance(
        account_alias=row.account_alias,
        asset=text(row.asset, "asset"),
        balance=decimal(row.balance, "balance"),
        cross_wallet_balance=decimal(row.cross_wallet_balance, "crossWalletBalance"),
        cross_un_pnl=decimal(row.cross_un_pnl, "crossUnPnl"),
        available_balance=decimal(row.available_balance, "availableBalance"),
        max_withdraw_amount=decimal(row.max_withdraw_amount, "maxWithdrawAmount"),
        margin_available=row.margin_available if isinstance(row.margin_available, bool) else None,
        update_time=None if row.update_time in (UNSET, None) else instant(row.update_time, "updateTime"),
    )
