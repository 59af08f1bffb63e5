"""What makes the accounts trade: seeded habits, played out in the market's own time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from random import Random

from recorder.simulator.account import Account
from recorder.simulator.books.order import Order
from recorder.simulator.market import Market
from recorder.simulator.position import Position, PositionKey, PositionSide

_MILLISECOND = timedelta(milliseconds=1)
_SMALL, _LARGE = 150.0, 2500.0  # value of one trade in the margin asset
_HELD_BEFORE = timedelta(days=30)  # the oldest position at the start is of this age
_MOST_ORDERS = 4
_BELOW_TARGET_OPEN = 0.7  # chance that a missing position is opened at the next action


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How an account trades.

    Attributes:
        positions: How many it holds most of the time; now and then one less, for a while.
        pause: Mean time between two actions, which are at random moments.
        rest: A position is held at least this long before it is closed, and its symbol and side are left alone this
            long afterwards: a recorder that looks more often than this sees every close.
        splits: The chance that an order is filled in several trades.
    """

    positions: int = 6
    pause: timedelta = timedelta(seconds=45)
    rest: timedelta = timedelta(minutes=2)
    splits: float = 0.0


class Trader:
    """Trades one account. Two traders with equal seeds, habits and markets do the same at the same moments."""

    def __init__(self, account: Account, market: Market, habits: Habits, seed: str) -> None:
        self.account = account
        self._market = market
        self._habits = habits
        self._random = Random(seed)
        self._moved: dict[PositionKey, datetime] = {}  # when each was last opened or closed
        self._actions: dict[Callable[[datetime], bool], int] = {
            self._add: 34,
            self._reduce: 26,
            self._close: 13,
            self._flip: 7,
            self._place: 12,
            self._cancel: 8,
        }

    def settle_in(self, start: datetime) -> None:
        """Open as many positions as the account likes to hold, at moments in the month before *start*."""
        ages = sorted((self._random.random() for _ in range(self._habits.positions)), reverse=True)
        for age in ages:
            opened_at = start - _whole_milliseconds(_HELD_BEFORE * age) - _MILLISECOND
            if not self._open(opened_at):
                raise ValueError(f"account {self.account.name} cannot hold {len(ages)} positions in this market")

    def pause(self) -> timedelta:
        """Return how long to wait before the next action."""
        seconds = self._random.expovariate(1 / self._habits.pause.total_seconds())
        return max(_whole_milliseconds(timedelta(seconds=seconds)), _MILLISECOND)

    def next(self, after: datetime) -> datetime:
        return after + self.pause()

    def act(self, now: datetime) -> None:
        """Do one thing, after the orders that the market has reached are filled."""
        self._fill_reached_orders(now)
        missing = len(self.account.open_positions()) < self._habits.positions
        if missing and self._random.random() < _BELOW_TARGET_OPEN and self._open(now):
            return
        (action,) = self._random.choices(tuple(self._actions), tuple(self._actions.values()))
        if not action(now):
            self._add(now)

    def _open(self, now: datetime) -> bool:
        free = [
            (symbol, side)
            for symbol in self._market.instruments
            for side in self.account.sides
            if not self.account.position(symbol, side).amount and self._rested((symbol, side), now)
        ]
        if not free:
            return False
        symbol, side = self._random.choice(free)
        self._trade(symbol, side, self._quantity(symbol, self._direction(side), now), now)
        return True

    def _add(self, now: datetime) -> bool:
        held = self.account.open_positions()
        if not held:
            return False
        position = self._random.choice(held)
        quantity = self._quantity(position.symbol, position.amount, now)
        self._trade(position.symbol, position.position_side, quantity, now)
        return True

    def _reduce(self, now: datetime) -> bool:
        held = self.account.open_positions()
        if not held:
            return False
        position = self._random.choice(held)
        step = self.account.instrument(position.symbol).step_size
        share = Decimal(self._random.randint(15, 70)) / 100
        quantity = max(_in_steps(abs(position.amount) * share, step), step)
        if quantity >= abs(position.amount):
            return False
        self._trade(position.symbol, position.position_side, quantity.copy_sign(-position.amount), now)
        return True

    def _close(self, now: datetime) -> bool:
        ripe = self._ripe(now)
        if not ripe:
            return False
        position = self._random.choice(ripe)
        self._trade(position.symbol, position.position_side, -position.amount, now)
        return True

    def _flip(self, now: datetime) -> bool:
        ripe = [position for position in self._ripe(now) if position.position_side == "BOTH"]
        if not ripe:
            return False
        position = self._random.choice(ripe)
        beyond = self._quantity(position.symbol, -position.amount, now)
        self._trade(position.symbol, position.position_side, beyond - position.amount, now)
        return True

    def _place(self, now: datetime) -> bool:
        if len(tuple(self.account.orders())) >= _MOST_ORDERS:
            return False
        symbol = self._random.choice(tuple(self._market.instruments))
        side = self._random.choice(self.account.sides)
        direction = self.account.position(symbol, side).amount or self._direction(side)
        tick = self.account.instrument(symbol).tick_size
        distance = Decimal(self._random.randint(10, 200)).copy_sign(-direction) / 10_000
        price = _in_steps(self._market.mark_price(symbol, now) * (1 + distance), tick)
        self.account.place(symbol, side, self._quantity(symbol, direction, now), max(price, tick), time=now)
        return True

    def _cancel(self, now: datetime) -> bool:
        orders = tuple(self.account.orders())
        if not orders:
            return False
        self.account.cancel(self._random.choice(orders).order_id, time=now)
        return True

    def _fill_reached_orders(self, now: datetime) -> None:
        for order in tuple(self.account.orders()):
            mark = self._market.mark_price(order.symbol, now)
            if (mark > order.price) if order.quantity > 0 else (mark < order.price):
                continue
            key = (order.symbol, order.position_side)
            held = self.account.position(*key).amount
            if held * order.quantity < 0 or not (held or self._rested(key, now)):
                self.account.cancel(order.order_id, time=now)  # it would close, or open again, before the time
            else:
                for quantity in self._parts(order.symbol, order.left):
                    self._fill_order(order, quantity, now)

    def _trade(self, symbol: str, side: PositionSide, quantity: Decimal, now: datetime) -> None:
        before = self.account.position(symbol, side).amount
        price = self._market.trade_price(symbol, now, buy=quantity > 0)
        worse = self.account.instrument(symbol).tick_size.copy_sign(quantity)
        parts = self._parts(symbol, quantity)
        prices = [max(price + number * worse, abs(worse)) for number in range(len(parts))]
        self.account.trade(symbol, side, list(zip(parts, prices, strict=True)), time=now)
        if before * (before + quantity) <= 0:
            self._moved[symbol, side] = now

    def _fill_order(self, order: Order, quantity: Decimal, now: datetime) -> None:
        key = (order.symbol, order.position_side)
        if not self.account.position(*key).amount:
            self._moved[key] = now
        self.account.fill(*key, quantity, order.price, time=now, order_id=order.order_id)

    def _parts(self, symbol: str, quantity: Decimal) -> list[Decimal]:
        """Return *quantity* in one part or, as the habits are, in several."""
        step = self.account.instrument(symbol).step_size.copy_sign(quantity)
        if not self._habits.splits or abs(quantity) < 3 * abs(step) or self._random.random() >= self._habits.splits:
            return [quantity]
        first = max(_in_steps(quantity * self._random.randint(20, 60) / 100, abs(step)), step, key=abs)
        second = max(_in_steps((quantity - first) / 2, abs(step)), step, key=abs)
        return [first, second, quantity - first - second]

    def _ripe(self, now: datetime) -> list[Position]:
        return [
            position
            for position in self.account.open_positions()
            if self._rested((position.symbol, position.position_side), now)
        ]

    def _rested(self, key: PositionKey, now: datetime) -> bool:
        moved = self._moved.get(key)
        return moved is None or now - moved >= self._habits.rest

    def _direction(self, side: PositionSide) -> Decimal:
        match side:
            case "LONG":
                return Decimal(1)
            case "SHORT":
                return Decimal(-1)
            case "BOTH":
                return Decimal(self._random.choice((1, -1)))

    def _quantity(self, symbol: str, direction: Decimal, now: datetime) -> Decimal:
        """Return a random quantity that the exchange would accept, with the sign of *direction*."""
        step = self.account.instrument(symbol).step_size
        value = Decimal(round(self._random.uniform(_SMALL, _LARGE), 2))
        quantity = _in_steps(value / self._market.mark_price(symbol, now), step)
        return max(quantity, step).copy_sign(direction)


def _in_steps(amount: Decimal, step: Decimal) -> Decimal:
    return (amount / step).to_integral_value(ROUND_DOWN) * step


def _whole_milliseconds(span: timedelta) -> timedelta:
    return span // _MILLISECOND * _MILLISECOND
