"""Position rows: from the exchange's text to values."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from recorder.binance.fields import decimal, instant, integer, malformed, optional_decimal, refusal, shown, text
from recorder.domain.position import Position
from recorder.exceptions import MalformedAnswer

_LARGEST_ADL = 32_767


class PositionRow(msgspec.Struct, frozen=True, rename="camel"):
    """One element of the result of ``v2/account.position``, still as text: only text keeps every digit."""

    symbol: str
    position_side: str
    position_amt: str
    entry_price: str
    mark_price: str
    update_time: int | str
    un_realized_profit: str | UnsetType = UNSET
    unrealized_profit: str | UnsetType = UNSET  # the spelling of the English documentation
    break_even_price: str | UnsetType = UNSET
    liquidation_price: str | UnsetType = UNSET
    isolated_margin: str | UnsetType = UNSET
    notional: str | UnsetType = UNSET
    margin_asset: str | UnsetType = UNSET
    isolated_wallet: str | UnsetType = UNSET
    initial_margin: str | UnsetType = UNSET
    maint_margin: str | UnsetType = UNSET
    position_initial_margin: str | UnsetType = UNSET
    open_order_initial_margin: str | UnsetType = UNSET
    adl: int | str | UnsetType = UNSET
    bid_notional: str | UnsetType = UNSET
    ask_notional: str | UnsetType = UNSET


_KNOWN_FIELDS = frozenset(PositionRow.__struct_encode_fields__) - {"unrealizedProfit"}


def parse_positions(rows: Any) -> tuple[Position, ...]:
    """Return the rows of a decoded ``result``; raises MalformedAnswer that names row and field.

    JSON numbers with a point must have been decoded to ``Decimal``: unknown fields are kept as they are.
    """
    if not isinstance(rows, list):
        raise MalformedAnswer(f"result: an array of position rows was expected, not {shown(rows)}")
    positions = tuple(_parsed(rows))
    if len({position.key for position in positions}) != len(positions):
        (symbol, side), _ = Counter(position.key for position in positions).most_common(1)[0]
        raise MalformedAnswer(f"{symbol} {side}: the same symbol and positionSide twice in one answer")
    return positions


def _parsed(rows: Sequence[Any]) -> Iterator[Position]:
    for number, row in enumerate(rows, start=1):
        try:
            yield _position(msgspec.convert(row, PositionRow), row)
        except (ValueError, MalformedAnswer) as exc:
            symbol = row.get("symbol") if isinstance(row, dict) else None
            subject = f"row {number} ({symbol[:40]})" if isinstance(symbol, str) else f"row {number}"
            raise malformed(subject, exc) from exc


def _position(row: PositionRow, fields: dict[str, Any]) -> Position:
    profit, spare = row.un_realized_profit, row.unrealized_profit
    extra = {name: fields[name] for name in fields.keys() - _KNOWN_FIELDS}
    if profit is UNSET:
        profit = spare
        extra.pop("unrealizedProfit", None)
    if profit is UNSET:
        raise MalformedAnswer("Object missing required field `unRealizedProfit`")
    return Position(
        symbol=text(row.symbol, "symbol"),
        position_side=text(row.position_side, "positionSide"),
        position_amt=decimal(row.position_amt, "positionAmt"),
        entry_price=decimal(row.entry_price, "entryPrice"),
        mark_price=decimal(row.mark_price, "markPrice"),
        unrealized_profit=decimal(profit, "unRealizedProfit"),
        update_time=instant(row.update_time, "updateTime"),
        break_even_price=optional_decimal(row.break_even_price, "breakEvenPrice"),
        liquidation_price=optional_decimal(row.liquidation_price, "liquidationPrice"),
        isolated_margin=optional_decimal(row.isolated_margin, "isolatedMargin"),
        notional=optional_decimal(row.notional, "notional"),
        margin_asset=None if row.margin_asset is UNSET else text(row.margin_asset, "marginAsset"),
        isolated_wallet=optional_decimal(row.isolated_wallet, "isolatedWallet"),
        initial_margin=optional_decimal(row.initial_margin, "initialMargin"),
        maint_margin=optional_decimal(row.maint_margin, "maintMargin"),
        position_initial_margin=optional_decimal(row.position_initial_margin, "positionInitialMargin"),
        open_order_initial_margin=optional_decimal(row.open_order_initial_margin, "openOrderInitialMargin"),
        adl=None if row.adl is UNSET else _adl(row.adl),
        bid_notional=optional_decimal(row.bid_notional, "bidNotional"),
        ask_notional=optional_decimal(row.ask_notional, "askNotional"),
        extra=extra,
    )


def _adl(value: int | str) -> int:
    place = integer(value, "adl")
    if not 0 <= place <= _LARGEST_ADL:
        raise refusal("adl", "a place in a queue", value)
    return place
