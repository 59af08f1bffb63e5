import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.binance.messages import decode_positions
from recorder.domain.position import NEVER, Position
from recorder.exceptions import MalformedAnswer
from tests.binance.exchange import ROW

DECIMAL_FIELDS = {
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
REQUIRED = ["symbol", "positionSide", "positionAmt", "entryPrice", "markPrice", "unRealizedProfit", "updateTime"]
OPTIONAL = [name for name in ROW if name not in REQUIRED]

decimals = st.builds(
    lambda sign, digits, exponent: f"{sign}{digits}{exponent}",
    st.sampled_from(["", "-", "+"]),
    st.from_regex(r"[0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30}", fullmatch=True),
    st.sampled_from(["", "E-4", "e10", "E+300", "e-300"]),
)
not_decimals = [
    "NaN",
    "sNaN",
    "-NaN",
    "Infinity",
    "-inf",
    "",
    " 1",
    "1 ",
    "1_000",
    "1,5",
    "0x10",
    "\uff11",
    "1e",
    "--1",
    ".",
]
huge = ["1e1001", "1e-1001", "0e-5000", "1e999999999999999999999", "9" * 1001]


def decode_one(**changes: Any) -> Position:
    (position,) = decode_positions(json.dumps([{**ROW, **changes}]))
    return position


def without(*names: str) -> bytes:
    return json.dumps([{name: value for name, value in ROW.items() if name not in names}]).encode()


@given(st.fixed_dictionaries(dict.fromkeys(DECIMAL_FIELDS, decimals)))
def test_every_digit_arrives(texts: dict[str, str]) -> None:
    position = decode_one(**texts)
    for name, attribute in DECIMAL_FIELDS.items():
        assert getattr(position, attribute).as_tuple() == Decimal(texts[name]).as_tuple()


@pytest.mark.parametrize("name", DECIMAL_FIELDS)
def test_a_number_that_is_none_is_refused_by_the_name_of_its_field(name: str) -> None:
    wrong: list[Any] = [*not_decimals, *huge, 1, 1.5, True, None, {}, ["1"]]
    for value in wrong:
        with pytest.raises(MalformedAnswer, match=rf"row 1 \(SOLUSDT\).*{name}"):
            decode_one(**{name: value})


@given(st.text(max_size=20))
def test_any_other_text_is_a_finite_number_or_refused(text: str) -> None:
    try:
        amount = decode_one(markPrice=text).mark_price
    except MalformedAnswer:
        return
    assert amount.is_finite()
    assert amount == Decimal(text)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_required_field_is_named(name: str) -> None:
    with pytest.raises(MalformedAnswer, match=name):
        decode_positions(without(name))


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_missing_optional_field_is_none(name: str) -> None:
    (position,) = decode_positions(without(name))
    attribute = DECIMAL_FIELDS.get(name, "margin_asset" if name == "marginAsset" else name)
    assert getattr(position, attribute) is None
    with pytest.raises(MalformedAnswer, match=name):
        decode_one(**{name: None})


def test_both_spellings_of_the_profit_are_read() -> None:
    renamed = {**ROW, "unrealizedProfit": "-0.00"}
    del renamed["unRealizedProfit"]
    (position,) = decode_positions(json.dumps([renamed]))
    assert position.unrealized_profit.as_tuple() == Decimal("-0.00").as_tuple()
    assert position.extra == {}


def test_where_both_spellings_come_the_real_one_counts_and_the_other_is_kept() -> None:
    position = decode_one(unRealizedProfit="1", unrealizedProfit="2")
    assert position.unrealized_profit == 1
    assert position.extra == {"unrealizedProfit": "2"}


def test_unknown_fields_are_kept_to_the_last_digit() -> None:
    text = (
        json.dumps([ROW])[:-2]
        + ', "a": 0.1000000000000000000000000000001, "b": 123456789012345678901, "c": {"d": [null, true]}}]'
    )
    (position,) = decode_positions(text)
    assert position.extra == {
        "a": Decimal("0.1000000000000000000000000000001"),
        "b": 123456789012345678901,
        "c": {"d": [None, True]},
    }


def test_whole_numbers_may_come_as_digits() -> None:
    position = decode_one(adl="3", updateTime="1760000000123")
    assert position.adl == 3
    assert position.update_time == datetime(2025, 10, 9, 8, 53, 20, 123_000, tzinfo=UTC)


def test_an_update_time_of_zero_is_never() -> None:
    assert decode_one(updateTime=0).update_time == NEVER
    assert decode_one(updateTime="0").update_time == NEVER


@pytest.mark.parametrize("value", [-1, 253_402_300_800_000, 10**30, "", "-1", "1.5", "٣", "9" * 5000, 1.5, True, None])
def test_a_time_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(MalformedAnswer, match="updateTime"):
        decode_one(updateTime=value)


@pytest.mark.parametrize("value", [-1, 32_768, "", "x", 1.0, True, None])
def test_a_place_in_the_queue_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(MalformedAnswer, match="adl"):
        decode_one(adl=value)


@pytest.mark.parametrize("name", ["symbol", "positionSide", "marginAsset"])
@pytest.mark.parametrize("value", ["", "A\0B", 5, None])
def test_a_name_that_is_none_is_refused(name: str, value: Any) -> None:
    with pytest.raises(MalformedAnswer, match=name):
        decode_one(**{name: value})


def test_names_are_opaque_text() -> None:
    position = decode_one(symbol="币安人生USDT", positionSide="SIDEWAYS", marginAsset="BNFCR")
    assert (position.symbol, position.position_side, position.margin_asset) == ("币安人生USDT", "SIDEWAYS", "BNFCR")


def test_the_same_symbol_and_side_twice_is_refused() -> None:
    with pytest.raises(MalformedAnswer, match="SOLUSDT BOTH"):
        decode_positions(json.dumps([ROW, {**ROW, "positionSide": "LONG"}, ROW]))


def test_rows_keep_their_order_and_a_bad_one_is_named() -> None:
    rows = [{**ROW, "symbol": symbol} for symbol in ("B", "A", "C")]
    assert [position.symbol for position in decode_positions(json.dumps(rows))] == ["B", "A", "C"]
    rows[1]["markPrice"] = "NaN"
    with pytest.raises(MalformedAnswer, match=r"row 2 \(A\): markPrice"):
        decode_positions(json.dumps(rows))


@pytest.mark.parametrize("result", ["{}", "null", "5", '[["a"]]', "[5]", "[null]"])
def test_a_result_of_another_shape_is_refused(result: str) -> None:
    with pytest.raises(MalformedAnswer):
        decode_positions(result)
