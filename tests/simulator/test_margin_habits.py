from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from recorder.simulator.account import Account
from recorder.simulator.books.happening import AccountChange, LeverageChange
from recorder.simulator.margin_habits import MarginHabits
from recorder.simulator.market import Market
from recorder.simulator.world import World

START = datetime(2026, 3, 1, tzinfo=UTC)


def kinds(account: Account) -> Counter[str]:
    account.fill("LTCUSDT", "BOTH", Decimal(2), Decimal(80), time=START)
    begun = len(account.truth.happenings)
    world = World(Market(1), [account], START)
    world.let_trade([MarginHabits(account, world.market, "seed")])
    world.advance(START + timedelta(days=4))
    found: Counter[str] = Counter()
    for happening in account.truth.happenings[begun:]:
        assert isinstance(happening, AccountChange | LeverageChange)
        found[happening.reason if isinstance(happening, AccountChange) else "leverage"] += 1
    return found


def test_whoever_has_cross_margin_changes_leverages_only(new_account: Callable[..., Account]) -> None:
    assert set(kinds(new_account())) == {"leverage"}


def test_whoever_has_isolated_margin_moves_it_and_changes_the_type_of_what_is_flat(
    new_account: Callable[..., Account],
) -> None:
    account = new_account(isolated=Market(1).instruments)
    assert set(kinds(account)) == {"leverage", "MARGIN_TRANSFER", "MARGIN_TYPE_CHANGE"}
    assert "LTCUSDT" in account.isolated
    assert account.leverage["LTCUSDT"] == 10
    assert 0 < len(account.isolated) < len(Market(1).instruments)
