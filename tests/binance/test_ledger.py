import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from recorder.binance.ledger import decode_fills, decode_income
from recorder.domain.fill import FillSource
from recorder.exceptions import MalformedAnswer

CAPTURED = Path(__file__).resolve().parents[2] / ".." / "shared" / "exchange" / "fixtures" / "rest"
TIME = datetime(2025, 10, 9, 8, 53, 20, 123_000, tzinfo=UTC)

INCOME = {
    "symbol": "SOLUSDT",
    "incomeType": "COMMISSION",
    "income": "-0.01240000",
    "asset": "BNB",
    "time": 1_760_000_000_123,
    "info": "COMMISSION",
    "tranId": 8082457372019390060,
    "tradeId": "77",
}
TRADE = {
    "symbol": "SOLUSDT",
    "id": 77,
    "orderId": 8389765739703625592,
    "side": "BUY",
    "price": "151.2040",
    "qty": "12.50",
    "quoteQty": "1890.05",
    "baseQty": "0",
    "realizedPnl": "-3.25000000",
    "marginAsset": "USDT",
    "commission": "0.01240000",
    "commissionAsset": "BNB",
    "time": 1_760_000_000_123,
    "positionSide": "LONG",
    "maker": False,
    "buyer": True,
}


def test_a_line_of_income_is_read_as_it_was_sent() -> None:
    (line,) = decode_income(json.dumps([INCOME]).encode())
    assert (line.time, line.income_type, line.symbol) == (TIME, "COMMISSION", "SOLUSDT")
    assert (str(line.income), line.asset) == ("-0.01240000", "BNB")
    assert (line.tran_id, line.trade_id, line.info) == (8082457372019390060, 77, "COMMISSION")


def test_a_line_may_belong_to_no_symbol_and_no_trade() -> None:
    lines = [
        {**INCOME, "symbol": "", "tradeId": "", "info": "", "incomeType": "TRANSFER"},
        {name: value for name, value in INCOME.items() if name not in {"symbol", "tradeId", "info"}},
        {**INCOME, "symbol": None, "tradeId": None, "info": None},
    ]
    for line in decode_income(json.dumps(lines).encode()):
        assert (line.symbol, line.trade_id, line.info) == (None, None, "")


def test_a_trade_is_a_fill_with_the_signs_of_profit() -> None:
    (fill,) = decode_fills(json.dumps([TRADE]).encode())
    assert (fill.symbol, fill.position_side, fill.side) == ("SOLUSDT", "LONG", "BUY")
    assert (fill.trade_id, fill.order_id, fill.time) == (77, 8389765739703625592, TIME)
    assert (fill.price, fill.quantity, fill.realized_profit) == (
        Decimal("151.2040"),
        Decimal("12.50"),
        Decimal("-3.25"),
    )
    assert (str(fill.commission), fill.commission_asset, fill.maker) == ("-0.01240000", "BNB", False)
    assert fill.source is FillSource.REST
    (rebate,) = decode_fills(json.dumps([{**TRADE, "commission": "-0.5"}]).encode())
    assert rebate.commission == Decimal("0.5")


def test_whole_numbers_may_come_as_digits() -> None:
    as_text: dict[str, Any] = {**TRADE, "id": "77", "orderId": "8389765739703625592", "time": "1760000000123"}
    assert decode_fills(json.dumps([as_text]).encode()) == decode_fills(json.dumps([TRADE]).encode())
    as_text = {**INCOME, "tranId": "8082457372019390060", "time": "1760000000123", "tradeId": 77}
    assert decode_income(json.dumps([as_text]).encode()) == decode_income(json.dumps([INCOME]).encode())


@pytest.mark.parametrize("change", [{"income": "NaN"}, {"tranId": 2**63}, {"time": -1}, {"asset": ""}, {"income": 1.5}])
def test_a_bad_line_is_refused_by_row_and_field(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedAnswer, match=f"income: row 2: .*{next(iter(change))}"):
        decode_income(json.dumps([INCOME, {**INCOME, **change}]).encode())


@pytest.mark.parametrize(
    "change", [{"price": "1e"}, {"id": -1}, {"commission": None}, {"maker": "no"}, {"side": ""}, {"positionSide": ""}]
)
def test_a_bad_trade_is_refused_by_row_and_field(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedAnswer, match=f"userTrades: row 1: .*{next(iter(change))}"):
        decode_fills(json.dumps([{**TRADE, **change}]).encode())


@pytest.mark.parametrize("answer", [b"{}", b"null", b"[5]", b"<html>", b""])
def test_an_answer_of_another_shape_is_refused(answer: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        decode_income(answer)


@pytest.mark.skipif(not CAPTURED.is_dir(), reason="captured answers are not in this checkout")
def test_captured_answers_are_understood() -> None:
    (line,) = decode_income((CAPTURED / "income_funding_fee.json").read_bytes())
    assert (line.income_type, line.trade_id) == ("FUNDING_FEE", None)
    for path in CAPTURED.glob("userTrades_*.json"):
        assert all(fill.commission < 0 for fill in decode_fills(path.read_bytes()))
