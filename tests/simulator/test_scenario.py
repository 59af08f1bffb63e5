from datetime import UTC, datetime, timedelta

from recorder.simulator.keys import Ed25519Key, HmacKey, RsaKey
from recorder.simulator.scenario import DEMO, LOAD, Scenario

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
