"""An account: its wallets, its positions and open orders, and the private record of everything that happened to it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import count

from recorder.simulator.instruments import Instrument
from recorder.simulator.keys import Key
from recorder.simulator.position import ZERO, Fill, Order, Position, PositionSide

TAKER_FEE = Decimal("0.0004")
MAKER_FEE = Decimal("0.0002")

PositionKey = tuple[str, PositionSide]


@dataclass(slots=True)
class Truth:
    """What really happened, for tests to compare with what was recorded. In the order of time, and never cut.

    Attributes:
        states: Every position after every fill of it.
    """

    fills: list[Fill] = field(default_factory=list)
    states: list[Position] = field(default_factory=list)

    @property
    def closes(self) -> list[Position]:
        """The states that are flat; ``update_time`` is the moment of closing."""
        return [state for state in self.states if not state.amount]


class Account:
    """One futures account. Every position is cross-margined, and fees are paid in the margin asset.

    Attributes:
        name: What the scenario calls it; the exchange's clients never see it.
        hedge: Whether it holds ``LONG`` and ``SHORT`` apart instead of one ``BOTH``.
        wallets: Wallet balance per asset, without unrealised profit.
        wallet_times: When each wallet last changed; an asset that never did is missing.
        leverage: Per symbol.
    """

    def __init__(
        self,
        name: str,
        key: Key,
        instruments: Mapping[str, Instrument],
        *,
        hedge: bool = False,
        wallets: Mapping[str, Decimal],
        leverage: Mapping[str, int],
    ) -> None:
        self.name = name
        self.key = key
        self.hedge = hedge
        self.wallets = dict(wallets)
        self.wallet_times: dict[str, datetime] = {}
        self.leverage = dict(leverage)
        self.truth = Truth()
        self._instruments = instruments
        self._positions: dict[PositionKey, Position] = {}
        self._orders: dict[int, Order] = {}
        self._trade_ids = count(1)
        self._order_ids = count(1)

    @property
    def sides(self) -> tuple[PositionSide, ...]:
        return ("LONG", "SHORT") if self.hedge else ("BOTH",)

    def instrument(self, symbol: str) -> Instrument:
        return self._instruments[symbol]

    def position(self, symbol: str, side: PositionSide) -> Position:
        """Return the position, flat and never updated if there was none yet.

        Raises:
            ValueError: The account's mode has no such side.
        """
        if side not in self.sides:
            mode = "hedge" if self.hedge else "one-way"
            raise ValueError(f"account {self.name} is in {mode} mode and has no side {side}")
        return self._positions.get((symbol, side)) or Position(symbol=symbol, position_side=side)

    def open_positions(self) -> list[Position]:
        """Return what is held, in the order of first trading."""
        return [position for position in self._positions.values() if position.amount]

    def orders(self) -> Iterable[Order]:
        """Return the open orders, oldest first."""
        return self._orders.values()

    def rows(self) -> Iterator[tuple[Position, list[Order]]]:
        """Yield each position that the exchange would list: those that hold something or have open orders."""
        orders: dict[PositionKey, list[Order]] = defaultdict(list)
        for order in self._orders.values():
            orders[order.symbol, order.position_side].append(order)
        for key, position in self._positions.items():
            placed = orders.pop(key, [])
            if position.amount or placed:
                yield position, placed
        for (symbol, side), placed in orders.items():
            yield self.position(symbol, side), placed

    def fill(
        self,
        symbol: str,
        side: PositionSide,
        quantity: Decimal,
        price: Decimal,
        *,
        time: datetime,
        order_id: int | None = None,
    ) -> Fill:
        """Trade *quantity*: positive buys, negative sells.

        With *order_id* it is that order which is filled, whole and as the maker.

        Raises:
            ValueError: The account's mode has no such side, or the side cannot hold the result.
        """
        instrument = self._instruments[symbol]
        maker = order_id is not None
        position, realized, commission = self.position(symbol, side).filled(
            quantity=quantity,
            price=price,
            fee_rate=MAKER_FEE if maker else TAKER_FEE,
            time=time,
            entry_digits=instrument.entry_digits,
        )
        if order_id is None:
            order_id = next(self._order_ids)
        else:
            del self._orders[order_id]
        asset = instrument.margin_asset
        fill = Fill(
            account=self.name,
            symbol=symbol,
            position_side=side,
            trade_id=next(self._trade_ids),
            order_id=order_id,
            time=time,
            quantity=quantity,
            price=price,
            realized_profit=realized,
            commission=commission,
            margin_asset=asset,
            maker=maker,
        )
        self._positions[symbol, side] = position
        self.wallets[asset] = self.wallets.get(asset, ZERO) + realized - commission
        self.wallet_times[asset] = time
        self.truth.fills.append(fill)
        self.truth.states.append(position)
        return fill

    def place(self, symbol: str, side: PositionSide, quantity: Decimal, price: Decimal) -> Order:
        """Leave a limit order in the book. It changes no position, but a flat one is now listed, with amount 0."""
        self.position(symbol, side)
        order = Order(order_id=next(self._order_ids), symbol=symbol, position_side=side, quantity=quantity, price=price)
        self._orders[order.order_id] = order
        return order

    def cancel(self, order_id: int) -> None:
        """Take an order out of the book.

        Raises:
            KeyError: It is not there.
        """
        del self._orders[order_id]
