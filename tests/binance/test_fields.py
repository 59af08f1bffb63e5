from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.binance.fields import decimal, epoch_milliseconds, identifier, instant, opposite, optional_identifier
from recorder.exceptions import MalformedAnswer


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40))
def test_the_opposite_has_the_same_digits(number: Decimal) -> None:
    other = opposite(number)
    assert other.as_tuple()[1:] == number.as_tuple()[1:]
    assert str(decimal(str(other), "field")) == str(other)
    assert other + number == 0 or number == 0
    assert not (number == 0 and other.is_signed())


@pytest.mark.parametrize("value", [0, 2**63 - 1, "8082457372019390060", "0"])
def test_an_id_may_be_a_number_or_digits(value: int | str) -> None:
    assert identifier(value, "tranId") == int(value)


@pytest.mark.parametrize("value", [-1, 2**63, "-1", "", "9" * 19 + "9", "9999999999999999999", "٣", "1.0"])
def test_an_id_that_is_none_is_refused(value: int | str) -> None:
    with pytest.raises(MalformedAnswer, match="tranId"):
        identifier(value, "tranId")


def test_an_id_may_be_left_empty_where_that_is_allowed() -> None:
    assert optional_identifier("", "tradeId") is None
    assert optional_identifier(None, "tradeId") is None
    assert optional_identifier("7", "tradeId") == 7


@given(st.integers(1, 10**13))
def test_times_survive_the_way_there_and_back(milliseconds: int) -> None:
    time = instant(milliseconds, "time")
    assert epoch_milliseconds(time) == milliseconds
    assert epoch_milliseconds(time + timedelta(microseconds=999)) == milliseconds


def test_whole_milliseconds_are_exact() -> None:
    assert epoch_milliseconds(datetime(2025, 10, 9, 8, 53, 20, 123_000, tzinfo=UTC)) == 1_760_000_000_123
