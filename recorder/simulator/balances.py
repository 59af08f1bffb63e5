"""Balances and totals as ``v2/account.balance`` and ``v2/account.status`` send them, in single-asset mode."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from recorder.simulator.account import Account
from recorder.simulator.clock import epoch_ms
from recorder.simulator.frames import Row
from recorder.simulator.market import Market
from recorder.simulator.position import ZERO, money
from recorder.simulator.rows import Valued, position_rows, valued_positions

_MAIN_ASSET = "USDT"  # totals count this one only
_COMMON = ("unrealizedProfit", "isolatedMargin", "notional", "isolatedWallet", "initialMargin", "maintMargin")


@dataclass(slots=True)
class _Sums:
    profit: Decimal = ZERO
    cross_profit: Decimal = ZERO
    cross_margin: Decimal = ZERO
    margin: Decimal = ZERO
    order_margin: Decimal = ZERO
    maint_margin: Decimal = ZERO

    def add(self, valued: Valued) -> None:
        self.profit += valued.unrealized_profit
        self.margin += valued.margin
        self.order_margin += valued.order_margin
        self.maint_margin += valued.maint_margin
        if not valued.position.isolated:
            self.cross_profit += valued.unrealized_profit
            self.cross_margin += valued.margin


def balance_rows(account: Account, market: Market, at: datetime) -> list[Row]:
    """Return one row per asset."""
    alias = hashlib.sha256(account.key.api_key.encode()).hexdigest()[:16]
    sums = _sums(account, market, at)
    return [
        {
            "accountAlias": alias,
            "asset": asset,
            "balance": _text(balance),
            "crossWalletBalance": _text(account.cross_wallet(asset)),
            "crossUnPnl": _text(sums[asset].cross_profit),
            "availableBalance": _text(_available(account, asset, sums[asset])),
            "maxWithdrawAmount": _text(_withdrawable(account, asset, sums[asset])),
            "marginAvailable": True,
            "updateTime": _time(account, asset),
        }
        for asset, balance in account.wallets.items()
    ]


def account_status(account: Account, market: Market, at: datetime) -> Row:
    """Return totals, assets and positions of the account."""
    sums = _sums(account, market, at)
    assets = [_asset(account, asset, sums[asset]) for asset in account.wallets]
    main = _asset(account, _MAIN_ASSET, sums[_MAIN_ASSET])
    return {
        "totalInitialMargin": main["initialMargin"],
        "totalMaintMargin": main["maintMargin"],
        "totalWalletBalance": main["walletBalance"],
        "totalUnrealizedProfit": main["unrealizedProfit"],
        "totalMarginBalance": main["marginBalance"],
        "totalPositionInitialMargin": main["positionInitialMargin"],
        "totalOpenOrderInitialMargin": main["openOrderInitialMargin"],
        "totalCrossWalletBalance": main["crossWalletBalance"],
        "totalCrossUnPnl": main["crossUnPnl"],
        "availableBalance": main["availableBalance"],
        "maxWithdrawAmount": main["maxWithdrawAmount"],
        "assets": assets,
        "positions": [_status_position(row) for row in position_rows(account, market, at)],
    }


def _asset(account: Account, asset: str, sums: _Sums) -> Row:
    balance = account.wallets.get(asset, ZERO)
    return {
        "asset": asset,
        "walletBalance": _text(balance),
        "unrealizedProfit": _text(sums.profit),
        "marginBalance": _text(balance + sums.profit),
        "maintMargin": _text(sums.maint_margin),
        "initialMargin": _text(sums.margin + sums.order_margin),
        "positionInitialMargin": _text(sums.margin),
        "openOrderInitialMargin": _text(sums.order_margin),
        "crossWalletBalance": _text(account.cross_wallet(asset)),
        "crossUnPnl": _text(sums.cross_profit),
        "availableBalance": _text(_available(account, asset, sums)),
        "maxWithdrawAmount": _text(_withdrawable(account, asset, sums)),
        "marginAvailable": True,
        "updateTime": _time(account, asset),
    }


def _status_position(row: Row) -> Row:
    """Return the shorter row of the status; here the profit is spelled with a small r."""
    row = {**row, "unrealizedProfit": row["unRealizedProfit"]}
    return {name: row[name] for name in ("symbol", "positionSide", "positionAmt", *_COMMON, "updateTime")}


def _sums(account: Account, market: Market, at: datetime) -> dict[str, _Sums]:
    sums: dict[str, _Sums] = defaultdict(_Sums)
    for valued in valued_positions(account, market, at):
        sums[valued.instrument.margin_asset].add(valued)
    return sums


def _available(account: Account, asset: str, sums: _Sums) -> Decimal:
    return max(account.cross_wallet(asset) + sums.cross_profit - sums.cross_margin - sums.order_margin, ZERO)


def _withdrawable(account: Account, asset: str, sums: _Sums) -> Decimal:
    return min(_available(account, asset, sums), max(account.cross_wallet(asset), ZERO))


def _text(amount: Decimal) -> str:
    return format(money(amount), "f")


def _time(account: Account, asset: str) -> int:
    moment = account.wallet_times.get(asset)
    return epoch_ms(moment) if moment else 0
