from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from recorder.simulator.account import Account
from recorder.simulator.margin import set_isolated

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_a_wallet_is_known_at_any_moment(new_account: Callable[..., Account]) -> None:
    account = new_account()
    account.transfer("USDT", Decimal(5), time=NOON)
    account.transfer("USDT", Decimal(-7), time=NOON + SECOND)
    moments = (NOON - SECOND, NOON, NOON + SECOND / 2, NOON + SECOND)
    assert [account.truth.wallet("USDT", at) for at in moments] == [1000, 1005, 1005, 998]
    assert account.truth.wallet("XYZ", NOON) == 0


def test_a_position_is_known_at_any_moment(new_account: Callable[..., Account]) -> None:
    account = new_account()
    account.fill("LTCUSDT", "BOTH", Decimal(1), Decimal(80), time=NOON)
    account.fill("LTCUSDT", "BOTH", Decimal(2), Decimal(80), time=NOON + SECOND)
    amounts = []
    for at in (NOON, NOON + SECOND / 2, NOON + SECOND):
        position = account.truth.position("LTCUSDT", "BOTH", at)
        assert position is not None
        amounts.append(position.amount)
    assert amounts == [1, 1, 3]
    assert account.truth.position("LTCUSDT", "BOTH", NOON - SECOND) is None


def test_a_flat_state_that_follows_a_flat_one_is_no_close(new_account: Callable[..., Account]) -> None:
    account = new_account()
    account.fill("LTCUSDT", "BOTH", Decimal(1), Decimal(80), time=NOON)
    account.fill("LTCUSDT", "BOTH", Decimal(-1), Decimal(80), time=NOON + SECOND)
    set_isolated(account, "LTCUSDT", isolated=True, time=NOON + 2 * SECOND)
    assert [close.update_time for close in account.truth.closes] == [NOON + SECOND]
