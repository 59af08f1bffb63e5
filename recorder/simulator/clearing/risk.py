"""Margin calls, liquidations and auto-deleveraging: what the exchange does to positions against their owner's will."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from recorder.simulator.account import Account
from recorder.simulator.books.happening import MarginCall
from recorder.simulator.books.order import Part
from recorder.simulator.market import Market
from recorder.simulator.position import ZERO, Position, PositionKey, money

_MILLISECOND = timedelta(milliseconds=1)
_CALLED_BELOW = Decimal("1.25")  # equity in maintenance margins
_CLEARANCE_FEE = Decimal("0.005")  # of the value, as far as there is margin left


class Risk:
    """Looks after one account, *every* so often on average. A position is called at least one look before it ends."""

    def __init__(self, account: Account, market: Market, seed: str, *, every: timedelta, adl_every: timedelta) -> None:
        self._account = account
        self._market = market
        self._random = Random(seed)
        self._every = every
        self._adl_chance = every / adl_every
        self._called: set[PositionKey] = set()

    def next(self, after: datetime) -> datetime:
        return after + self._every * self._random.uniform(0.5, 1.5) // _MILLISECOND * _MILLISECOND

    def act(self, now: datetime) -> None:
        held = self._account.open_positions()
        cross: dict[str, list[Position]] = defaultdict(list)
        for position in held:
            if position.isolated:
                self._look([position], position.isolated_wallet, now)
            else:
                cross[self._account.instrument(position.symbol).margin_asset].append(position)
        for asset, positions in cross.items():
            self._look(positions, self._account.cross_wallet(asset), now)
        if self._random.random() < self._adl_chance:
            self._deleverage(now)

    def _look(self, positions: Sequence[Position], wallet: Decimal, now: datetime) -> None:
        """Call or liquidate positions that share a *wallet*."""
        equity = wallet + sum((self._profit(position, now) for position in positions), ZERO)
        maintenance = sum((self._maintenance(position, now) for position in positions), ZERO)
        keys = {(position.symbol, position.position_side) for position in positions}
        if equity > _CALLED_BELOW * maintenance:
            self._called -= keys
        elif not keys <= self._called:
            self._called |= keys
            warn(self._account, positions, wallet, time=now)
        elif equity <= maintenance:
            self._called -= keys
            liquidate(self._account, self._market, min(positions, key=lambda each: self._profit(each, now)), time=now)

    def _deleverage(self, now: datetime) -> None:
        winners = [each for each in self._account.open_positions() if self._profit(each, now) > 0]
        if winners:
            deleverage(self._account, self._market, self._random.choice(winners), time=now)

    def _profit(self, position: Position, now: datetime) -> Decimal:
        return money((self._market.mark_price(position.symbol, now) - position.entry_price) * position.amount)

    def _maintenance(self, position: Position, now: datetime) -> Decimal:
        rate = self._account.instrument(position.symbol).maint_margin_rate
        return money(abs(position.amount) * self._market.mark_price(position.symbol, now) * rate)


def liquidate(account: Account, market: Market, position: Position, *, time: datetime) -> None:
    """Close *position*, in two trades where it can be halved, and clear what is left of its margin, or missing.

    The insurance fund takes a fee from what is left and pays what is missing, so that no more is lost than an isolated
    position's own margin, or the whole cross wallet.
    """
    asset = account.instrument(position.symbol).margin_asset
    before = account.wallets[asset]
    parts = _closing(account, market, position, time)
    fills = account.trade(position.symbol, position.position_side, parts, time=time, kind="LIQUIDATION")
    change = account.wallets[asset] - before
    left = position.isolated_wallet + change if position.isolated else account.cross_wallet(asset)
    value = sum((abs(fill.quantity) * fill.price for fill in fills), ZERO)
    clearing = -left if left < 0 else -min(left, money(value * _CLEARANCE_FEE))
    if clearing:
        account.credit(
            "INSURANCE_CLEAR", asset, [clearing], time=time, reason="INSURANCE_CLEAR", symbol=position.symbol
        )


def deleverage(account: Account, market: Market, position: Position, *, time: datetime) -> None:
    """Close *position*, without a fee, because somebody else's liquidation found no other buyer."""
    closing = market.trade_price(position.symbol, time, buy=position.amount < 0)
    account.trade(position.symbol, position.position_side, [(-position.amount, closing)], time=time, kind="ADL")


def warn(account: Account, positions: Sequence[Position], wallet: Decimal, *, time: datetime) -> None:
    """Call for margin for *positions* that share a *wallet*."""
    isolated = positions[0].isolated
    account.announce(MarginCall(time=time, positions=tuple(positions), cross=None if isolated else wallet))


def _closing(account: Account, market: Market, position: Position, time: datetime) -> list[Part]:
    price = market.trade_price(position.symbol, time, buy=position.amount < 0)
    instrument = account.instrument(position.symbol)
    half = (position.amount / 2).quantize(instrument.step_size)
    worse = price + instrument.tick_size.copy_sign(-position.amount)
    if not half or half == position.amount or worse <= 0:
        return [(-position.amount, price)]
    return [(-half, price), (half - position.amount, worse)]
