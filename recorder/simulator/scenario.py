"""Ready-made worlds: how many accounts, what they hold, how busy they are, and what befalls them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from recorder.simulator.account import Account
from recorder.simulator.actor import Actor
from recorder.simulator.books.fees import STANDARD, Fees
from recorder.simulator.clearing.cashier import Rebates, Transfers
from recorder.simulator.clearing.funding import Funding
from recorder.simulator.clearing.risk import Risk
from recorder.simulator.keys import Key, ed25519_key, hmac_key, rsa_key
from recorder.simulator.margin_habits import MarginHabits
from recorder.simulator.market import Market
from recorder.simulator.trader import Habits, Trader
from recorder.simulator.world import World

_LEVERAGES = (3, 5, 10, 20, 50)
_KEY_MAKERS: dict[str, Callable[[str], Key]] = {"ed25519": ed25519_key, "rsa": rsa_key}
_REBATE = Decimal("-0.00005")
_FUNDING_DELAYS = tuple(timedelta(milliseconds=delay) for delay in (2_105, 160, 3_218, 860))
_RISK_EVERY, _ADL_EVERY = timedelta(minutes=15), timedelta(days=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A world to be.

    Every second account is in hedge mode. An account called ed25519 or rsa signs with such a key, all others with HMAC.
    The attributes that are sets hold names of accounts.

    Attributes:
        names: Of the first accounts; the others are called account-05, account-06 …
        funding: Whether perpetual positions pay and get funding.
        risk: Whether positions are liquidated when their margin is used up, and now and then deleveraged.
        margin_moves: Whether owners change leverages, margins and margin types.
        isolated: Whose positions are isolated, at first.
        bnb_fees: Who pays fees with BNB.
        rebated: Whose limit orders are paid for instead of costing, and who gets kickbacks.
        transfers: Who deposits and withdraws.
        update_time_lag: How much later than events position rows say that something happened.
    """

    accounts: int = 2
    habits: Habits = field(default_factory=Habits)
    wallet: Decimal = Decimal(100_000)
    names: tuple[str, ...] = ("main", "hedge", "ed25519", "rsa")
    funding: bool = False
    risk: bool = False
    margin_moves: bool = False
    isolated: frozenset[str] = frozenset()
    bnb_fees: frozenset[str] = frozenset()
    rebated: frozenset[str] = frozenset()
    transfers: frozenset[str] = frozenset()
    update_time_lag: timedelta = timedelta(0)

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
        for number, account in enumerate(accounts):
            world.let_trade(self._fates(number, account, market, seed))
        return world

    def _account(self, number: int, seed: int, market: Market) -> Account:
        name = self.names[number] if number < len(self.names) else f"account-{number + 1:02}"
        random = Random(f"leverage/{seed}/{name}")
        return Account(
            name,
            _KEY_MAKERS.get(name, hmac_key)(f"key/{seed}/{name}"),
            market.instruments,
            hedge=number % 2 == 1,
            wallets={"USDT": self.wallet, "USDC": self.wallet, "BNB": Decimal(25)},
            leverage={symbol: random.choice(_LEVERAGES) for symbol in market.instruments},
            isolated=market.instruments if name in self.isolated else (),
            fees=self._fees(name, market),
            update_time_lag=self.update_time_lag,
        )

    def _fees(self, name: str, market: Market) -> Fees:
        return Fees(
            taker=STANDARD.taker,
            maker=_REBATE if name in self.rebated else STANDARD.maker,
            bnb_price=(lambda at: market.mark_price("BNBUSDT", at)) if name in self.bnb_fees else None,
        )

    def _fates(self, number: int, account: Account, market: Market, seed: int) -> Iterator[Actor]:
        """Yield what makes things happen to an account that it does not do itself."""
        if self.funding:
            yield Funding(account, market, _FUNDING_DELAYS[number % len(_FUNDING_DELAYS)])
        if self.risk:
            yield Risk(account, market, f"risk/{seed}/{account.name}", every=_RISK_EVERY, adl_every=_ADL_EVERY)
        if self.margin_moves:
            yield MarginHabits(account, market, f"margin/{seed}/{account.name}")
        if account.name in self.transfers:
            yield Transfers(account, "USDT", f"transfers/{seed}/{account.name}")
        if account.name in self.rebated:
            yield Rebates(account, f"rebates/{seed}/{account.name}")


DEMO = Scenario(funding=True, bnb_fees=frozenset({"hedge"}), transfers=frozenset({"main"}))
"""Two accounts, one in one-way and one in hedge mode, with funding; one pays fees with BNB, one moves money."""

LOAD = Scenario(accounts=50, habits=Habits(positions=20))
"""Fifty accounts with about twenty positions each."""

LEDGER = Scenario(
    accounts=4,
    names=("main", "hedge", "isolated", "bnb"),
    habits=Habits(pause=timedelta(minutes=15), splits=0.2),
    funding=True,
    risk=True,
    margin_moves=True,
    isolated=frozenset({"isolated"}),
    bnb_fees=frozenset({"bnb"}),
    rebated=frozenset({"main", "bnb"}),
    transfers=frozenset({"main", "isolated"}),
)
"""Everything that can be in the books: one-way cross, hedge cross, one-way isolated, and hedge with fees in BNB."""
