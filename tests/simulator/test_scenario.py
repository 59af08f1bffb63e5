from datetime import UTC, datetime, timedelta

from recorder.simulator.keys import Ed25519Key, HmacKey, RsaKey
from recorder.simulator.scenario import DEMO, LEDGER, LOAD, Scenario

START = datetime(2026, 3, 1, tzinfo=UTC)


def test_the_demo_has_one_account_of_each_mode() -> None:
    world = DEMO.world(seed=1, start=START)
    assert [(name, account.hedge) for name, account in world.accounts.items()] == [("main", False), ("hedge", True)]


def test_the_load_is_fifty_accounts_with_twenty_positions_and_every_kind_of_key() -> None:
    world = LOAD.world(seed=1, start=START)
    assert len(world.accounts) == 50
    assert all(len(account.open_positions()) == 20 for account in world.accounts.values())
    assert isinstance(world.accounts["ed25519"].key, Ed25519Key)
    assert isinstance(world.accounts["rsa"].key, RsaKey)
    assert sum(isinstance(account.key, HmacKey) for account in world.accounts.values()) == 48
    assert len({account.key.api_key for account in world.accounts.values()}) == 50


def test_keys_and_positions_come_from_the_seed() -> None:
    one, same, other = (Scenario().world(seed, START).accounts["main"] for seed in (1, 1, 2))
    assert one.key == same.key != other.key
    assert one.truth == same.truth


def test_accounts_trade_without_being_told() -> None:
    world = DEMO.world(seed=1, start=START)
    before = len(world.accounts["main"].truth.fills)
    world.advance(START + timedelta(hours=1))
    assert len(world.accounts["main"].truth.fills) > before + 10


def test_the_demo_has_funding_a_deposit_a_withdrawal_and_fees_in_bnb_within_a_day() -> None:
    world = DEMO.world(seed=7, start=START)
    world.advance(START + timedelta(days=1))
    main, hedge = world.accounts.values()
    assert sorted(line.amount > 0 for line in main.truth.incomes if line.type == "TRANSFER") == [False, True]
    assert any(line.type == "FUNDING_FEE" for line in hedge.truth.incomes)
    assert {fill.commission_asset for fill in hedge.truth.fills} == {"BNB"}
    assert "BNB" not in {fill.commission_asset for fill in main.truth.fills}


def test_rows_of_a_scenario_can_carry_a_later_time() -> None:
    lag = timedelta(milliseconds=4)
    world = Scenario(update_time_lag=lag).world(seed=1, start=START)
    assert {account.update_time_lag for account in world.accounts.values()} == {lag}


def test_the_ledger_has_an_account_of_every_kind() -> None:
    world = LEDGER.world(seed=1, start=START)
    assert [(name, account.hedge, bool(account.isolated)) for name, account in world.accounts.items()] == [
        ("main", False, False),
        ("hedge", True, False),
        ("isolated", False, True),
        ("bnb", True, False),
    ]
