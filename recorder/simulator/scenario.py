"""Ready-made worlds: how many accounts, what they hold, how busy they are."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from random import Random

from recorder.simulator.account import Account
from recorder.simulator.keys import Key, ed25519_key, hmac_key, rsa_key
from recorder.simulator.market import Market
from recorder.simulator.trader import Habits, Trader
from recorder.simulator.world import World

_LEVERAGES = (3, 5, 10, 20, 50)
_NAMES = ("main", "hedge", "ed25519", "rsa")
_KEY_MAKERS: dict[str, Callable[[str], Key]] = {"ed25519": ed25519_key, "rsa": rsa_key}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A world to be.

    Every second account is in hedge mode. The third signs with an Ed25519 key and the fourth with an RSA key, all
    others with HMAC. They are called main, hedge, ed25519, rsa, account-05, account-06 …
    """

    accounts: int = 2
    habits: Habits = field(default_factory=Habits)
    wallet: Decimal = Decimal(100_000)

    def world(self, seed: int, start: datetime) -> World:
        """Build the world at *start*, with accounts that hold positions already.

        Equal seeds give equal worlds, except for RSA private keys, which are new each time.
        """
        market = Market(seed)
        accounts = [self._account(number, seed, market) for number in range(self.accounts)]
        traders = [Trader(account, market, self.habits, f"trader/{seed}/{account.name}") for account in accounts]
        for trader in traders:
            trader.settle_in(start)
        world = World(market, accounts, start)
        world.let_trade(traders)
        return world

    def _account(self, number: int, seed: int, market: Market) -> Account:
        name = _NAMES[number] if number < len(_NAMES) else f"account-{number + 1:02}"
        random = Random(f"leverage/{seed}/{name}")
        return Account(
            name,
            _KEY_MAKERS.get(name, hmac_key)(f"key/{seed}/{name}"),
            market.instruments,
            hedge=number % 2 == 1,
            wallets={"USDT": self.wallet, "USDC": self.wallet, "BNB": Decimal(25)},
            leverage={symbol: random.choice(_LEVERAGES) for symbol in market.instruments},
        )


DEMO = Scenario()
"""Two accounts, one in one-way and one in hedge mode."""

LOAD = Scenario(accounts=50, habits=Habits(positions=20))
"""Fifty accounts with about twenty positions each."""
