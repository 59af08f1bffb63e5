from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from recorder.simulator.account import Account

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def traded(account: Account, *trades: tuple[str, str]) -> Account:
    for hour, (quantity, price) in enumerate(trades):
        account.fill(
            "LTCUSDT", account.sides[0], Decimal(quantity), Decimal(price), time=NOON + hour * timedelta(hours=1)
        )
    return account


def test_an_episode_lasts_from_flat_to_flat(new_account: Callable[..., Account]) -> None:
    account = traded(new_account(), ("1", "80"), ("2", "81"), ("-1", "90"), ("-2", "85"), ("-1", "90"))
    first, second = account.truth.episodes
    assert (first.opened_at, first.closed_at) == (NOON, NOON + timedelta(hours=3))
    assert first.max_amount == 3
    assert first.realized_profit == sum(fill.realized_profit for fill in account.truth.fills[:4])
    assert first.commission == {"USDT": -sum(fill.commission for fill in account.truth.fills[:4])}
    assert (second.opened_at, second.closed_at) == (NOON + timedelta(hours=4), None)
    assert second.max_amount == -1


def test_a_flip_ends_one_and_begins_the_next_and_its_commission_is_shared_out(
    new_account: Callable[..., Account],
) -> None:
    account = traded(new_account(), ("1", "80"), ("-4", "90"), ("3", "90"))
    first, second = account.truth.episodes
    assert first.closed_at == second.opened_at == NOON + timedelta(hours=1)
    assert (first.realized_profit, second.realized_profit) == (Decimal(10), Decimal(0))
    assert first.commission == {"USDT": -Decimal("0.032") - Decimal("0.036")}  # a quarter of 0.144
    assert second.commission == {"USDT": -Decimal("0.108") - Decimal("0.108")}
    assert second.max_amount == -3


def test_funding_belongs_to_whoever_held_at_the_hour(new_account: Callable[..., Account]) -> None:
    account = traded(new_account(), ("1", "80"), ("-1", "80"), ("1", "80"))
    for hour in (0, 1, 2):
        due = NOON + hour * timedelta(hours=1)
        account.ledger.book(
            "FUNDING_FEE",
            "USDT",
            Decimal(-1) - hour,
            at=due + timedelta(seconds=3),
            time=due,
            symbol="LTCUSDT",
            position_side="BOTH",
        )
    assert [episode.funding for episode in account.truth.episodes] == [Decimal(-1), Decimal(-3)]
