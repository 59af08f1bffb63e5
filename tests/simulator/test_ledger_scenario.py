"""Thirty days in which everything happens that can be in the books, and the books balance to the last digit."""

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from time import process_time
from typing import Any

import pytest

from recorder.simulator.account import Account
from recorder.simulator.clock import epoch_ms
from recorder.simulator.scenario import LEDGER
from recorder.simulator.world import World

START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(days=30)
ASSETS = ("USDT", "USDC", "BNB")
Equity = dict[tuple[str, str], tuple[Decimal, Decimal]]


class Month:
    """The world at its end, what it was at its beginning, and how long it took to get there."""

    def __init__(self) -> None:
        self.world = LEDGER.world(seed=1, start=START)
        self.first = equity(self.world)
        begun = process_time()
        self.world.advance(END)
        self.took = process_time() - begun
        self.sent = {name: list(self.world.events(account)) for name, account in self.world.accounts.items()}
        self._read = {name: [json.loads(event.text) for event in sent] for name, sent in self.sent.items()}

    def events(self, account: Account) -> list[dict[str, Any]]:
        return self._read[account.name]


def equity(world: World) -> Equity:
    """Wallet balance and unrealised profit per account and asset, as the exchange says."""
    found = {}
    for name, account in world.accounts.items():
        unrealized: dict[str, Decimal] = defaultdict(Decimal)
        for row in json.loads(world.answer_positions(account, 1))["result"]:
            unrealized[row["marginAsset"]] += Decimal(row["unRealizedProfit"])
        for row in json.loads(world.answer_balance(account, 1))["result"]:
            found[name, row["asset"]] = Decimal(row["balance"]), unrealized[row["asset"]]
    return found


@pytest.fixture(scope="module")
def month() -> Month:
    return Month()


@pytest.fixture(params=["main", "hedge", "isolated", "bnb"])
def account(request: pytest.FixtureRequest, month: Month) -> Account:
    return month.world.accounts[request.param]


def test_thirty_days_of_four_accounts_take_less_than_twenty_seconds(month: Month) -> None:
    assert month.took < 20


def test_a_wallet_is_what_it_was_at_the_start_and_the_sum_of_its_income(month: Month, account: Account) -> None:
    income: dict[str, Decimal] = defaultdict(Decimal)
    for row in json.loads(month.world.answer_income(account)):
        income[row["asset"]] += Decimal(row["income"])
    at_first = {"USDT": Decimal(100_000), "USDC": Decimal(100_000), "BNB": Decimal(25)}
    assert {asset: at_first[asset] + income[asset] for asset in ASSETS} == account.wallets


def test_profit_is_the_change_of_equity_without_transfers(month: Month, account: Account) -> None:
    last = equity(month.world)
    for asset in ASSETS:
        income: dict[str, Decimal] = defaultdict(Decimal)
        for line in account.truth.incomes:
            if line.asset == asset and line.booked_at > START:
                income[line.type] += line.amount
        transfers = income.pop("TRANSFER", Decimal(0))
        wallet_before, unrealized_before = month.first[account.name, asset]
        wallet, unrealized = last[account.name, asset]
        change = (wallet + unrealized) - (wallet_before + unrealized_before)
        assert sum(income.values()) == change - transfers - (unrealized - unrealized_before)


def test_the_wallet_of_any_moment_is_known(account: Account) -> None:
    for day in range(30):
        at = START + timedelta(days=day, hours=5, minutes=17)
        for asset in ASSETS:
            booked = sum(line.amount for line in account.truth.incomes if line.asset == asset and line.booked_at <= at)
            start = Decimal(25) if asset == "BNB" else Decimal(100_000)
            assert account.truth.wallet(asset, at) == start + booked


def test_replayed_account_updates_give_the_wallets_and_positions(month: Month, account: Account) -> None:
    wallets, cross = {}, {}
    positions: dict[tuple[str, str], tuple[Decimal, Decimal, Decimal]] = {}
    for event in month.events(account):
        if event["e"] != "ACCOUNT_UPDATE":
            continue
        for balance in event["a"]["B"]:
            wallets[balance["a"]] = Decimal(balance["wb"])
            cross[balance["a"]] = Decimal(balance["cw"])
        for row in event["a"].get("P", []):
            positions[row["s"], row["ps"]] = Decimal(row["pa"]), Decimal(row["ep"]), Decimal(row["iw"])
    assert wallets == {asset: balance for asset, balance in account.wallets.items() if asset in account.wallet_times}
    held = {key: values for key, values in positions.items() if values[0]}
    assert held == {
        (each.symbol, each.position_side): (each.amount, each.entry_price, each.isolated_wallet)
        for each in account.open_positions()
    }
    for asset, balance in cross.items():
        put_aside = sum(
            each.isolated_wallet
            for each in account.open_positions()
            if account.instrument(each.symbol).margin_asset == asset
        )
        assert wallets[asset] - balance == put_aside


def test_every_event_with_a_balance_fits_the_one_before_and_the_fills_between(month: Month, account: Account) -> None:
    """Wallet changes are rp - n of fills, or bc: nothing else moves a wallet."""
    wallets: dict[str, Decimal] = {}
    expected: dict[str, Decimal] = {}
    events = [event for event in month.events(account) if event["e"] in {"ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"}]
    for event, following in pairwise(events):
        if event["e"] != "ACCOUNT_UPDATE":
            continue
        moved: dict[str, Decimal] = defaultdict(Decimal)
        if event["a"]["m"] in {"ORDER", "ADL"}:
            order = following["o"]
            assert order["x"] in {"TRADE", "CALCULATED"}
            assert following["T"] == event["T"]
            symbol = account.instrument(order["s"])
            moved[symbol.margin_asset] += Decimal(order["rp"])
            moved[order["N"]] -= Decimal(order["n"])
        for balance in event["a"]["B"]:
            asset, wallet = balance["a"], Decimal(balance["wb"])
            expected[asset] = wallets.get(asset, wallet - moved[asset] - Decimal(balance["bc"]))
            assert wallet == expected[asset] + moved[asset] + Decimal(balance["bc"])
            wallets[asset] = wallet


def test_events_come_in_the_order_of_their_times(month: Month, account: Account) -> None:
    events = month.sent[account.name]
    assert [event.time for event in events] == sorted(event.time for event in events)
    assert [event.sent_at for event in events] == sorted(event.sent_at for event in events)


def test_the_trades_are_the_fills_on_the_stream(month: Month, account: Account) -> None:
    filled = {
        (event["o"]["s"], event["o"]["t"]): (event["o"]["i"], Decimal(event["o"]["l"]), Decimal(event["o"]["rp"]))
        for event in month.events(account)
        if event["e"] == "ORDER_TRADE_UPDATE" and event["o"]["t"]
    }
    trades = json.loads(month.world.answer_trades(account))
    assert len(trades) == len(filled) == len(account.truth.fills)
    for trade in trades:
        found = filled[trade["symbol"], trade["id"]]
        assert found == (trade["orderId"], Decimal(trade["qty"]), Decimal(trade["realizedPnl"]))


def test_episodes_add_up_to_the_ledger(account: Account) -> None:
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for line in account.truth.incomes:
        totals[line.type] += line.amount
    episodes = account.truth.episodes
    assert sum(episode.realized_profit for episode in episodes) == totals["REALIZED_PNL"]
    assert sum(sum(episode.commission.values()) for episode in episodes) == totals["COMMISSION"]
    assert sum(episode.funding for episode in episodes) == totals["FUNDING_FEE"]
    still_open = {(each.symbol, each.position_side) for each in episodes if each.closed_at is None}
    assert still_open == {(each.symbol, each.position_side) for each in account.open_positions()}


def test_everything_happened_that_can_be_in_the_books(month: Month) -> None:
    kinds: dict[str, Counter[str]] = {}
    for name, account in month.world.accounts.items():
        kinds[name] = Counter(line.type for line in account.truth.incomes)
        for event in month.events(account):
            if event["e"] == "ORDER_TRADE_UPDATE":
                kinds[name][event["o"]["x"]] += 1
                kinds[name][event["o"]["X"]] += 1
            else:
                kinds[name][event["a"]["m"] if event["e"] == "ACCOUNT_UPDATE" else event["e"]] += 1
    trading = {"REALIZED_PNL", "COMMISSION", "FUNDING_FEE", "ADL", "NEW", "TRADE", "CANCELED", "PARTIALLY_FILLED"}
    for found in kinds.values():
        assert trading | {"ACCOUNT_CONFIG_UPDATE"} <= set(found)
    rebates = {"REFERRAL_KICKBACK", "COMMISSION_REBATE", "API_REBATE", "ADJUSTMENT"}
    assert rebates | {"TRANSFER", "DEPOSIT", "WITHDRAW"} <= set(kinds["main"])
    assert rebates <= set(kinds["bnb"])
    liquidation = {"CALCULATED", "INSURANCE_CLEAR", "MARGIN_CALL"}
    assert liquidation | {"MARGIN_TRANSFER", "MARGIN_TYPE_CHANGE"} <= set(kinds["isolated"])
    flips = [
        fill
        for fill, state in zip(
            month.world.accounts["main"].truth.fills, month.world.accounts["main"].truth.states, strict=True
        )
        if fill.realized_profit and state.amount * fill.quantity > 0
    ]
    assert flips
    assert {line.asset for line in month.world.accounts["bnb"].truth.incomes if line.type == "COMMISSION"} >= {"BNB"}
    assert any(fill.commission < 0 for fill in month.world.accounts["main"].truth.fills)


def test_more_lines_than_a_page_has_can_share_a_millisecond(month: Month) -> None:
    lines = Counter((line.type, line.time) for line in month.world.accounts["main"].truth.incomes)
    assert max(lines.values()) > 1000


def test_numbers_are_beyond_what_a_double_holds_and_unique_within_a_type_only(account: Account) -> None:
    ids: dict[str, list[int]] = defaultdict(list)
    for line in account.truth.incomes:
        ids[line.type].append(line.tran_id)
    assert all(len(set(numbers)) == len(numbers) for numbers in ids.values())
    assert all(number > 2**53 for numbers in ids.values() for number in numbers)
    assert set(ids["REALIZED_PNL"]) <= set(ids["COMMISSION"]) | set(ids["REALIZED_PNL"])
    assert set(ids["REALIZED_PNL"]) & set(ids["COMMISSION"])
    assert set(ids["FUNDING_FEE"]) & set(ids["COMMISSION"])


def test_states_carry_the_times_of_their_events(month: Month, account: Account) -> None:
    told: dict[tuple[str, str], set[int]] = defaultdict(set)
    for event in month.events(account):
        if event["e"] == "ACCOUNT_UPDATE":
            for row in event["a"].get("P", []):
                told[row["s"], row["ps"]].add(event["T"])
    for state in account.truth.states:
        assert state.update_time is not None
        assert epoch_ms(state.update_time) in told[state.symbol, state.position_side]
