"""Rows of the ledgers of record, income and trades: from the exchange's text to values."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from recorder.binance.fields import (
    OptionalNumber,
    OptionalText,
    decimal,
    identifier,
    instant,
    malformed,
    opposite,
    optional_identifier,
    optional_text,
    text,
)
from recorder.binance.messages import converted, decode_json
from recorder.domain.fill import Fill, FillSource
from recorder.domain.income import Income
from recorder.exceptions import MalformedAnswer

_Wire = TypeVar("_Wire")
_Value = TypeVar("_Value")


class IncomeRow(msgspec.Struct, frozen=True, rename="camel"):
    """One element of the answer to ``GET /fapi/v1/income``, still as text."""

    income_type: str
    income: str
    asset: str
    time: int | str
    tran_id: int | str
    symbol: OptionalText = UNSET
    trade_id: OptionalNumber = UNSET
    info: OptionalText = UNSET


class TradeRow(msgspec.Struct, frozen=True, rename="camel"):
    """One element of the answer to ``GET /fapi/v1/userTrades``, still as text."""

    symbol: str
    id: int | str
    order_id: int | str
    side: str
    price: str
    qty: str
    realized_pnl: str
    commission: str
    time: int | str
    maker: bool
    position_side: str
    commission_asset: OptionalText = UNSET


def decode_income(answer: bytes) -> list[Income]:
    """Return the rows in the order in which they came; raises MalformedAnswer that names row and field."""
    return _rows(answer, "income", IncomeRow, _income)


def decode_fills(answer: bytes) -> list[Fill]:
    """Return the rows in the order in which they came; raises MalformedAnswer that names row and field."""
    return _rows(answer, "userTrades", TradeRow, _fill)


def _rows(answer: bytes, name: str, wire: type[_Wire], value: Callable[[_Wire], _Value]) -> list[_Value]:
    values: list[_Value] = []
    for number, row in enumerate(converted(decode_json(answer), list[Any], name), start=1):
        try:
            values.append(value(msgspec.convert(row, wire)))
        except (ValueError, MalformedAnswer) as exc:
            raise malformed(f"{name}: row {number}", exc) from exc
    return values


def _income(row: IncomeRow) -> Income:
    return Income(
        time=instant(row.time, "time"),
        income_type=text(row.income_type, "incomeType"),
        symbol=optional_text(row.symbol, "symbol"),
        asset=text(row.asset, "asset"),
        income=decimal(row.income, "income"),
        tran_id=identifier(row.tran_id, "tranId"),
        trade_id=optional_identifier(row.trade_id, "tradeId"),
        info=optional_text(row.info, "info") or "",
    )


def _fill(row: TradeRow) -> Fill:
    return Fill(
        symbol=text(row.symbol, "symbol"),
        position_side=text(row.position_side, "positionSide"),
        trade_id=identifier(row.id, "id"),
        order_id=identifier(row.order_id, "orderId"),
        time=instant(row.time, "time"),
        side=text(row.side, "side"),
        price=decimal(row.price, "price"),
        quantity=decimal(row.qty, "qty"),
        realized_profit=decimal(row.realized_pnl, "realizedPnl"),
        commission=opposite(decimal(row.commission, "commission")),
        commission_asset=optional_text(row.commission_asset, "commissionAsset"),
        maker=row.maker,
        source=FillSource.REST,
    )
