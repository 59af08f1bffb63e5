from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.binance.errors import TABLE, invalid_proxy, pause_end, rate_limited, refusal, retry_after
from recorder.binance.messages import ErrorData, WireError
from recorder.exceptions import (
    AccountRejected,
    ClockRejected,
    ExchangeError,
    ExchangeUnavailable,
    RateLimited,
    RequestRejected,
)

NOW = datetime(2026, 3, 1, 12, 30, 20, tzinfo=UTC)
NEXT_MINUTE = datetime(2026, 3, 1, 12, 31, tzinfo=UTC)


def milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)


@pytest.mark.parametrize(
    ("status", "codes", "kind"),
    [
        (400, [-1002, -1004, -1011, -1022, -1099, -1109, -2014, -2015, -2017, -4109], AccountRejected),
        (401, [-2015, -1, 0], AccountRejected),
        (400, [-1000, -1001, -1006, -1007, -1008, -1010, -1016, -1125, -2023], ExchangeUnavailable),
        (500, [-1, 0], ExchangeUnavailable),
        (503, [-1, 0], ExchangeUnavailable),
        (408, [0], ExchangeUnavailable),
        (400, [-1021], ClockRejected),
        (400, [-1013, -1020, -1102, -1121, -1130, -1131, -9999], RequestRejected),
        (409, [0], RequestRejected),
    ],
)
def test_a_refusal_is_sorted_by_what_to_do(status: int, codes: list[int], kind: type[ExchangeError]) -> None:
    for code in codes:
        error = refusal("Account main", status, WireError(code, "as it says"))
        assert isinstance(error, kind)
        assert f"{error}".startswith("Account main: ")
        assert f"status {status}, code {code}: as it says" in error.what


def test_every_rule_says_what_why_and_how_to_mend_it() -> None:
    for code in [*TABLE, 0]:
        error = refusal("Account main", 400, WireError(code))
        assert error.why
        assert error.fix


def test_a_long_message_is_cut() -> None:
    assert len(refusal("x", 400, WireError(-1102, "y" * 5000)).what) < 400


@pytest.mark.parametrize(
    ("status", "code", "end"),
    [
        (429, -1003, NEXT_MINUTE),
        (400, -1003, NEXT_MINUTE),
        (400, -1015, NEXT_MINUTE),
        (418, -1003, NOW + timedelta(minutes=2)),
        (403, 0, NOW + timedelta(minutes=5)),
        (400, -2015, None),
        (500, -1000, None),
    ],
)
def test_without_a_named_end_a_pause_has_the_usual_length(status: int, code: int, end: datetime | None) -> None:
    assert pause_end(status, WireError(code), NOW) == end


def test_the_named_end_counts() -> None:
    end = NOW + timedelta(hours=7)
    text = f"Way too many requests; IP(1.2.3.4) banned until {milliseconds(end)}. Please use the websocket."
    assert pause_end(418, WireError(-1003, text), NOW) == end
    assert pause_end(429, WireError(-1003, "", ErrorData(retry_after=milliseconds(end))), NOW) == end


def test_an_end_in_the_past_is_no_end() -> None:
    past = ErrorData(retry_after=milliseconds(NOW - timedelta(hours=1)))
    assert pause_end(429, WireError(-1003, "", past), NOW) == NEXT_MINUTE


@given(st.none() | st.integers(), st.text(max_size=20) | st.integers(0, 10**14).map("banned until {}".format))
def test_a_pause_lasts_three_days_at_most(retry_after: int | None, text: str) -> None:
    end = pause_end(418, WireError(-1003, text, ErrorData(retry_after=retry_after)), NOW)
    assert end is not None
    assert NOW < end <= NOW + timedelta(days=3)


def test_a_pause_tells_its_end() -> None:
    error = rate_limited(NEXT_MINUTE, " (status 429)")
    assert isinstance(error, RateLimited)
    assert error.until == NEXT_MINUTE
    assert "2026-03-01 12:31:00 UTC (status 429)" in error.what


def test_a_retry_after_header_is_in_seconds() -> None:
    assert pause_end(429, WireError(data=retry_after("600", NOW)), NOW) == NOW + timedelta(minutes=10)
    assert pause_end(418, WireError(data=retry_after("9" * 500, NOW)), NOW) == NOW + timedelta(days=3)
    for nonsense in ("", "soon", "-5", "1.5", "٣", "Wed, 21 Oct 2026 07:28:00 GMT"):
        assert retry_after(nonsense, NOW) is None


def test_a_proxy_is_not_quoted() -> None:
    assert isinstance(invalid_proxy(), ExchangeUnavailable)
