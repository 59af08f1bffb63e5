"""An account: its wallets, its positions and open orders, and the private record of everything that happened to it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from recorder.simulator.books.execution import Terms, execute
from recorder.simulator.books.fees import STANDARD, Fees
from recorder.simulator.books.fill import Fill
from recorder.simulator.books.happening import AccountChange, Balance, ExecutionType, Happening, OrderChange, Reason
from recorder.simulator.books.income import IncomeType
from recorder.simulator.books.ledger import Ledger
from recorder.simulator.books.order import Order, OrderKind, Part
from recorder.simulator.books.order_book import OrderBook
from recorder.simulator.books.truth import Truth
from recorder.simulator.instruments import Instrument
from recorder.simulator.keys import Key
from recorder.simulator.position import ZERO, Position, PositionKey, PositionSide


class Account:
    """One futures account.

    Attributes:
        name: What the scenario calls it; the exchange's clients never see it.
        hedge: Whether it holds ``LONG`` and ``SHORT`` apart instead of one ``BOTH``.
        leverage: Per symbol.
        isolated: The symbols whose positions have margin of their own.
        ledger: Books every change of a wallet.
        wallets: Wallet balance per asset, without unrealised profit.
        wallet_times: When each wallet last changed; an asset that never did is missing.
        update_time_lag: How much later than the event the position rows say that it happened; it may be changed. The
            exchange does not document whether the two times are equal.
        ticked: The boxes that are ticked for its key, as the exchange names them; they may be changed, and forbid
            nothing here.
        forgotten_until: What happened before it is not told any more by REST; ``None``: the account never began again.
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
        isolated: Iterable[str] = (),
        fees: Fees = STANDARD,
        update_time_lag: timedelta = timedelta(0),
    ) -> None:
        self.name = name
        self.key = key
        self.hedge = hedge
        self.leverage = dict(leverage)
        self.isolated = set(isolated)
        self.update_time_lag = update_time_lag
        self.forgotten_until: datetime | None = None
        self.ticked = {"enableReading", "ipRestrict"}
        self.ledger = Ledger(name, wallets)
        self.wallets: Mapping[str, Decimal] = self.ledger.wallets
        self.wallet_times: Mapping[str, datetime] = self.ledger.times
        self.truth = Truth(self.ledger.incomes, self.ledger.history)
        self._instruments = instruments
        self._fees = fees
        self._positions: dict[PositionKey, Position] = {}
        self._orders = OrderBook()

    @property
    def sides(self) -> tuple[PositionSide, ...]:
        return ("LONG", "SHORT") if self.hedge else ("BOTH",)

    def instrument(self, symbol: str) -> Instrument:
        return self._instruments[symbol]

    def cross_wallet(self, asset: str) -> Decimal:
        """Return the wallet balance less what isolated positions have put aside."""
        put_aside = (
            position.isolated_wallet
            for position in self._positions.values()
            if position.isolated_wallet and self._instruments[position.symbol].margin_asset == asset
        )
        return self.wallets.get(asset, ZERO) - sum(put_aside, ZERO)

    def position(self, symbol: str, side: PositionSide) -> Position:
        """Return the position, flat and never updated if there was none yet.

        Raises:
            ValueError: The account's mode has no such side.
        """
        if side not in self.sides:
            mode = "hedge" if self.hedge else "one-way"
            raise ValueError(f"account {self.name} is in {mode} mode and has no side {side}")
        return self._positions.get((symbol, side)) or Position(
            symbol=symbol, position_side=side, isolated=symbol in self.isolated
        )

    def open_positions(self) -> list[Position]:
        """Return what is held, in the order of first trading."""
        return [position for position in self._positions.values() if position.amount]

    def orders(self) -> Iterable[Order]:
        """Return the open orders, oldest first."""
        return self._orders

    def rows(self) -> Iterator[tuple[Position, list[Order]]]:
        """Yield each position that the exchange would list: those that hold something or have open orders."""
        orders = self._orders.by_position()
        for key, position in self._positions.items():
            placed = orders.pop(key, [])
            if position.amount or placed:
                yield position, placed
        for (symbol, side), placed in orders.items():
            yield self.position(symbol, side), placed

    def place(self, symbol: str, side: PositionSide, quantity: Decimal, price: Decimal, *, time: datetime) -> Order:
        """Leave a limit order in the book. It changes no position, but a flat one is now listed, with amount 0."""
        order = self._new_order("LIMIT", symbol, side, quantity=quantity, price=price, time=time)
        self._orders.put(order)
        return order

    def cancel(self, order_id: int, *, time: datetime) -> None:
        """Take an order out of the book.

        Raises:
            KeyError: It is not there.
        """
        order = self._orders.remove(order_id)
        self.announce(OrderChange(time=time, order=order, execution="CANCELED"))

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

        With *order_id* it is that order which is filled, as the maker; what is left of it stays in the book.

        Raises:
            ValueError: The account's mode has no such side, or the side cannot hold the result.
        """
        if order_id is None:
            (fill,) = self.trade(symbol, side, [(quantity, price)], time=time)
            return fill
        order, fill = self._execute(self._orders.get(order_id), quantity, price, time)
        self._orders.put(order)
        return fill

    def trade(
        self, symbol: str, side: PositionSide, parts: Sequence[Part], *, time: datetime, kind: OrderKind = "MARKET"
    ) -> list[Fill]:
        """Fill one order at once, in *parts*, all in the same millisecond.

        Raises:
            ValueError: The account's mode has no such side, or the side cannot hold the result.
        """
        quantity = sum((quantity for quantity, _ in parts), ZERO)
        order = self._new_order(kind, symbol, side, quantity=quantity, price=ZERO, time=time)
        fills = []
        for part, price in parts:
            order, fill = self._execute(order, part, price, time)
            fills.append(fill)
        return fills

    def credit(
        self,
        type_: IncomeType,
        asset: str,
        amounts: Sequence[Decimal],
        *,
        time: datetime,
        reason: Reason,
        symbol: str = "",
    ) -> None:
        """Book *amounts*, negative ones to take them away, as so many lines of one millisecond, and one event."""
        for amount in amounts:
            self.ledger.book(type_, asset, amount, at=time, symbol=symbol)
        self.announce_change(reason, [asset], time=time, change=sum(amounts, ZERO))

    def begin_again(self, *, time: datetime) -> None:
        """Forget orders and ledgers, and give all ids out once more, as a test network does that is wiped.

        What is held and the wallets stay, and so does the truth.
        """
        self.forgotten_until = time
        self._orders.begin_again()
        self.ledger.begin_again()

    def transfer(self, asset: str, amount: Decimal, *, time: datetime) -> None:
        """Deposit *amount*, or withdraw it when it is negative."""
        self.credit("TRANSFER", asset, [amount], time=time, reason="DEPOSIT" if amount > 0 else "WITHDRAW")

    def hold(self, position: Position) -> None:
        """Put *position* in the place of what it was."""
        self._positions[position.symbol, position.position_side] = position
        self.truth.states.append(position)

    def announce_change(
        self,
        reason: Reason,
        assets: Iterable[str],
        *,
        time: datetime,
        change: Decimal = ZERO,
        positions: Iterable[Position] = (),
        symbol: str | None = None,
    ) -> None:
        """Put an event on the stream that tells what the wallets of *assets* and *positions* are now."""
        balances = tuple(
            Balance(asset=asset, wallet=self.wallets.get(asset, ZERO), cross=self.cross_wallet(asset), change=change)
            for asset in assets
        )
        self.announce(
            AccountChange(time=time, reason=reason, balances=balances, positions=tuple(positions), symbol=symbol)
        )

    def announce(self, happening: Happening) -> None:
        """Put an event on the stream."""
        self.truth.happenings.append(happening)

    def _new_order(
        self, kind: OrderKind, symbol: str, side: PositionSide, *, quantity: Decimal, price: Decimal, time: datetime
    ) -> Order:
        self.position(symbol, side)
        order = self._orders.make(kind, symbol, side, quantity=quantity, price=price, time=time)
        self.announce(OrderChange(time=time, order=order, execution="NEW"))
        return order

    def _execute(self, order: Order, quantity: Decimal, price: Decimal, time: datetime) -> tuple[Order, Fill]:
        order, position, fill = execute(
            order,
            self.position(order.symbol, order.position_side),
            quantity,
            price,
            terms=Terms(
                self.name, self._instruments[order.symbol], self.leverage[order.symbol], self._fees, self.wallets
            ),
            trade_id=self._orders.trade_id(order.symbol),
            time=time,
        )
        self.ledger.book_fill(fill)
        self.hold(position)
        self.truth.fills.append(fill)
        self.announce_change(
            "ADL" if order.kind == "ADL" else "ORDER",
            dict.fromkeys((fill.margin_asset, fill.commission_asset)),
            time=time,
            positions=self._rows_told(position),
        )
        execution: ExecutionType = "CALCULATED" if order.kind == "LIQUIDATION" else "TRADE"
        self.announce(OrderChange(time=time, order=order, execution=execution, fill=fill))
        return order, fill

    def _rows_told(self, position: Position) -> tuple[Position, ...]:
        """Return what an event tells of a changed position: in isolated hedge mode all three rows of the symbol."""
        if not (self.hedge and position.isolated):
            return (position,)
        both = Position(symbol=position.symbol, position_side="BOTH", isolated=True)
        return both, *(self.position(position.symbol, side) for side in self.sides)
