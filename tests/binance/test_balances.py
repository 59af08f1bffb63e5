import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from recorder.binance.balances import decode_balances
from recorder.domain.position import NEVER
from recorder.exceptions import MalformedAnswer

BALANCE = {
    "accountAlias": "AbCd",
    "asset": "USDT",
    "balance": "12.5",
    "crossWalletBalance": "12.5",
    "crossUnPnl": "-0.25",
    "availableBalance": "12.25",
    "maxWithdrawAmount": "12.25",
}


def test_balances_are_exact_and_need_no_optional_field() -> None:
    (balance,) = decode_balances(json.dumps([BALANCE]))
    assert balance.cross_un_pnl == Decimal("-0.25")
    assert balance.margin_available is None


@pytest.mark.parametrize("change", [{"balance": "NaN"}, {"asset": 5}, {"crossUnPnl": None}])
def test_a_bad_balance_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedAnswer, match="row 1"):
        decode_balances(json.dumps([{**BALANCE, **change}]))


def test_the_time_of_a_balance_may_be_never_or_missing() -> None:
    def updated(**change: Any) -> datetime | None:
        (balance,) = decode_balances(json.dumps([{**BALANCE, **change}]))
        return balance.update_time

    assert updated(updateTime=1_760_000_000_123) == datetime(2025, 10, 9, 8, 53, 20, 123_000, tzinfo=UTC)
    assert updated(updateTime=0) == NEVER
    assert updated() is None


def test_an_asset_that_comes_twice_in_one_answer_is_refused() -> None:
    with pytest.raises(MalformedAnswer, match="USDT twice in one answer"):
        decode_balances(json.dumps([BALANCE, {**BALANCE, "balance": "13"}]))
