"""What a position row as the exchange sent it must have become in ``bi.position_sample``."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBERS = {
    "positionAmt": "position_amt",
    "entryPrice": "entry_price",
    "breakEvenPrice": "break_even_price",
    "markPrice": "mark_price",
    "unRealizedProfit": "unrealized_profit",
    "liquidationPrice": "liquidation_price",
    "isolatedMargin": "isolated_margin",
    "notional": "notional",
    "isolatedWallet": "isolated_wallet",
    "initialMargin": "initial_margin",
    "maintMargin": "maint_margin",
    "positionInitialMargin": "position_initial_margin",
    "openOrderInitialMargin": "open_order_initial_margin",
    "bidNotional": "bid_notional",
    "askNotional": "ask_notional",
}

Samples = dict[tuple[str, str], Mapping[str, Any]]


def as_recorded(rows: Iterable[str]) -> Samples:
    """Return the samples that the JSON texts of *rows* must have become, numbers as text with every digit."""
    samples = (_sample(json.loads(row)) for row in rows)
    return {(sample["symbol"], sample["position_side"]): sample for sample in samples}


def digits(sent: str) -> str:
    """Return a number as PostgreSQL writes it: every digit that was sent, without exponent; zero has no sign."""
    number = Decimal(sent)
    return format(number or abs(number), "f")


def _sample(row: dict[str, Any]) -> dict[str, Any]:
    sample = {column: digits(row[name]) for name, column in _NUMBERS.items()}
    return {
        **sample,
        "symbol": row["symbol"],
        "position_side": row["positionSide"],
        "margin_asset": row["marginAsset"],
        "adl": row["adl"],
        "update_time": _EPOCH + timedelta(milliseconds=row["updateTime"]),
        "extra": None,
    }
