from decimal import Decimal

from recorder.simulator.alterations import (
    emptied,
    restated,
    with_both_spellings,
    with_extreme_numbers,
    with_other_spelling,
    with_unknown_fields,
    with_value,
    without_field,
)
from recorder.simulator.frames import Row

ROWS: list[Row] = [{"symbol": "BTCUSDT", "unRealizedProfit": "1.5"}, {"symbol": "ETHUSDT", "unRealizedProfit": "0"}]


def test_nothing_is_left_of_an_emptied_answer() -> None:
    assert emptied(ROWS) == []


def test_unknown_fields_come_on_top_of_the_known_ones() -> None:
    for before, after in zip(ROWS, with_unknown_fields(ROWS), strict=True):
        assert before.items() <= after.items()
        assert len(after) > len(before)


def test_extreme_numbers_are_still_numbers() -> None:
    row = with_extreme_numbers(ROWS)[0]
    numbers = [Decimal(value) for name, value in row.items() if name != "symbol"]
    assert all(number.is_finite() for number in numbers)
    assert max(len(number.as_tuple().digits) for number in numbers) == 30
    assert any(number.is_signed() and not number for number in numbers)


def test_a_field_can_be_replaced_or_removed() -> None:
    assert with_value("unRealizedProfit", "NaN")(ROWS)[1] == {"symbol": "ETHUSDT", "unRealizedProfit": "NaN"}
    assert without_field("unRealizedProfit")(ROWS)[1] == {"symbol": "ETHUSDT"}


def test_the_profit_can_be_spelled_the_other_way_or_both_ways() -> None:
    assert with_other_spelling(ROWS)[0] == {"symbol": "BTCUSDT", "unrealizedProfit": "1.5"}
    assert with_both_spellings(ROWS)[0] == {**ROWS[0], "unrealizedProfit": "1.5"}


def test_one_row_can_be_told_otherwise() -> None:
    assert restated({"symbol": "ETHUSDT"}, unRealizedProfit="2")(ROWS) == [
        ROWS[0],
        {"symbol": "ETHUSDT", "unRealizedProfit": "2"},
    ]
