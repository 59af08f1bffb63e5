from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from recorder.simulator.account import Account
from recorder.simulator.books.happening import AccountChange
from recorder.simulator.clearing.cashier import Rebates, Transfers
from recorder.simulator.market import Market
from recorder.simulator.world import World

START = datetime(2026, 3, 1, tzinfo=UTC)


def test_money_comes_and_goes_on_the_first_day_and_never_more_than_came(new_account: Callable[..., Account]) -> None:
    account = new_account()
    world = World(Market(1), [account], START)
    world.let_trade([Transfers(account, "USDT", "seed")])
    world.advance(START + timedelta(days=1))
    deposit, withdrawal = account.truth.incomes
    assert deposit.type == withdrawal.type == "TRANSFER"
    assert -deposit.amount < withdrawal.amount < 0
    reasons = [each.reason for each in account.truth.happenings if isinstance(each, AccountChange)]
    assert reasons == ["DEPOSIT", "WITHDRAW"]
    world.advance(START + timedelta(days=30))
    assert len(account.truth.incomes) > 8
    assert account.wallets["USDT"] >= 1000


def test_rebates_come_daily_and_once_in_more_lines_than_a_page_has(new_account: Callable[..., Account]) -> None:
    account = new_account()
    world = World(Market(1), [account], START)
    world.let_trade([Rebates(account, "seed")])
    world.advance(START + timedelta(days=12))
    times = Counter(line.time for line in account.truth.incomes)
    assert sorted(times.values())[-2:] == [1, 1100]
    assert {line.type for line in account.truth.incomes} == {"REFERRAL_KICKBACK", "COMMISSION_REBATE", "API_REBATE"}
    assert len(account.truth.happenings) == len(times)
    assert all(line.amount > 0 for line in account.truth.incomes)
