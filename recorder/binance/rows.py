"""Position rows: from the exchange's text to values."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from recorder.domain.position import NEVER, Position
from recorder.exceptions import MalformedAnswer

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_INSTANT = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_LARGEST_ADL = 32_767

_DECIMAL_LETTERS = frozenset("+-.0123456789eE")
_LONGEST_DECIMAL = 1_000
_LARGEST_EXPONENT = 1_000


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
        raise MalformedAnswer(f"result: an array of position rows was expected, not {_shown(rows)}")
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
            raise MalformedAnswer(
                f"{subject}: {exc}",
                why="The exchange's wire format is not the one this program knows.",
                fix="Look for a newer version of this program, and report the message.",
            ) from exc


def _position(row: PositionRow, fields: dict[str, Any]) -> Position:
    profit, spare = row.un_realized_profit, row.unrealized_profit
    extra = {name: fields[name] for name in fields.keys() - _KNOWN_FIELDS}
    if profit is UNSET:
        profit = spare
        extra.pop("unrealizedProfit", None)
    if profit is UNSET:
        raise MalformedAnswer("Object missing required field `unRealizedProfit`")
    return Position(
        symbol=_text(row.symbol, "symbol"),
        position_side=_text(row.position_side, "positionSide"),
        position_amt=_decimal(row.position_amt, "positionAmt"),
        entry_price=_decimal(row.entry_price, "entryPrice"),
        mark_price=_decimal(row.mark_price, "markPrice"),
        unrealized_profit=_decimal(profit, "unRealizedProfit"),
        update_time=instant(_integer(row.update_time, "updateTime"), "updateTime"),
        break_even_price=_optional_decimal(row.break_even_price, "breakEvenPrice"),
        liquidation_price=_optional_decimal(row.liquidation_price, "liquidationPrice"),
        isolated_margin=_optional_decimal(row.isolated_margin, "isolatedMargin"),
        notional=_optional_decimal(row.notional, "notional"),
        margin_asset=None if row.margin_asset is UNSET else _text(row.margin_asset, "marginAsset"),
        isolated_wallet=_optional_decimal(row.isolated_wallet, "isolatedWallet"),
        initial_margin=_optional_decimal(row.initial_margin, "initialMargin"),
        maint_margin=_optional_decimal(row.maint_margin, "maintMargin"),
        position_initial_margin=_optional_decimal(row.position_initial_margin, "positionInitialMargin"),
        open_order_initial_margin=_optional_decimal(row.open_order_initial_margin, "openOrderInitialMargin"),
        adl=None if row.adl is UNSET else _adl(row.adl),
        bid_notional=_optional_decimal(row.bid_notional, "bidNotional"),
        ask_notional=_optional_decimal(row.ask_notional, "askNotional"),
        extra=extra,
    )


def instant(milliseconds: int, field: str) -> datetime:
    """Return the time of epoch milliseconds, ``NEVER`` for 0; raises MalformedAnswer."""
    if not 0 <= milliseconds <= _LAST_INSTANT:
        raise _refusal(field, "epoch milliseconds", milliseconds)
    return NEVER if milliseconds == 0 else _EPOCH + timedelta(milliseconds=milliseconds)


def _text(value: str, field: str) -> str:
    if not value or "\0" in value:  # PostgreSQL's text holds no NUL
        raise _refusal(field, "text", value)
    return value


def _decimal(value: str, field: str) -> Decimal:
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise _refusal(field, "a decimal number", value) from None
    if not _DECIMAL_LETTERS.issuperset(value) or len(value) > _LONGEST_DECIMAL:  # Decimal takes NaN, " 1" and "1_0"
        raise _refusal(field, "a finite decimal number", value)
    if not -_LARGEST_EXPONENT <= number.adjusted() <= _LARGEST_EXPONENT:
        raise _refusal(field, "a decimal number of sensible size", value)
    return number


def _optional_decimal(value: str | UnsetType, field: str) -> Decimal | None:
    return None if value is UNSET else _decimal(value, field)


def _integer(value: int | str, field: str) -> int:
    if isinstance(value, int):
        return value
    if len(value) <= len(str(_LAST_INSTANT)) and value.isascii() and value.isdigit():
        return int(value)
    raise _refusal(field, "a whole number", value)


def _adl(value: int | str) -> int:
    place = _integer(value, "adl")
    if not 0 <= place <= _LARGEST_ADL:
        raise _refusal("adl", "a place in a queue", value)
    return place


def _refusal(field: str, expected: str, value: object) -> MalformedAnswer:
    return MalformedAnswer(f"{field}: {expected} was expected, not {_shown(value)}")


def _shown(value: object, length: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}…"
