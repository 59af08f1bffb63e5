"""Position rows as ``v2/account.position`` sends them.

Amounts of money are cut to 8 decimals towards zero, entry and break-even prices come in the shortest form, with an
exponent when they are small, as the exchange writes them.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from recorder.simulator.account import Account
from recorder.simulator.books.order import Order
from recorder.simulator.clock import epoch_ms
from recorder.simulator.frames import Row
from recorder.simulator.instruments import Instrument
from recorder.simulator.market import Market
from recorder.simulator.position import ZERO, Position, money

_SMALL = Decimal("0.001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Valued:
    """A position at a mark price, with its open orders.

    Attributes:
        unrealized_profit: (mark price - entry price) x amount.
        notional: Mark price x amount: negative for a short.
        maint_margin: |notional| x the instrument's maintenance margin rate.
        order_margin: What the open orders of the larger side bind.
    """

    position: Position
    instrument: Instrument
    mark_price: Decimal
    unrealized_profit: Decimal
    notional: Decimal
    margin: Decimal
    maint_margin: Decimal
    bid_notional: Decimal
    ask_notional: Decimal
    order_margin: Decimal

    @property
    def isolated_margin(self) -> Decimal:
        """The isolated wallet and the unrealised profit; 0 for a cross position."""
        return self.position.isolated_wallet + self.unrealized_profit if self.position.isolated else ZERO


def value(
    position: Position,
    instrument: Instrument,
    *,
    mark_price: Decimal,
    leverage: int,
    orders: Iterable[Order] = (),
) -> Valued:
    notional = money(mark_price * position.amount)
    bids, asks = ZERO, ZERO
    for order in orders:
        if order.quantity > 0:
            bids += order.left * order.price
        else:
            asks -= order.left * order.price
    return Valued(
        position=position,
        instrument=instrument,
        mark_price=mark_price,
        unrealized_profit=money((mark_price - position.entry_price) * position.amount),
        notional=notional,
        margin=money(abs(notional) / leverage),
        maint_margin=money(abs(notional) * instrument.maint_margin_rate),
        bid_notional=money(bids),
        ask_notional=money(asks),
        order_margin=money(max(bids, asks) / leverage),
    )


def valued_positions(account: Account, market: Market, at: datetime) -> list[Valued]:
    """Return what the exchange lists of the account: every position held, or with open orders."""
    return [
        value(
            position,
            account.instrument(position.symbol),
            mark_price=market.mark_price(position.symbol, at),
            leverage=account.leverage[position.symbol],
            orders=orders,
        )
        for position, orders in account.rows()
    ]


def position_rows(account: Account, market: Market, at: datetime, symbol: str | None = None) -> list[Row]:
    """Return the account's rows, in hedge mode only of the sides with something in them; *symbol* leaves others out."""
    everything = valued_positions(account, market, at)
    cover: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for valued in everything:
        if not valued.position.isolated:
            cover[valued.instrument.margin_asset] += valued.unrealized_profit - valued.maint_margin
    for asset in account.wallets:
        cover[asset] += account.cross_wallet(asset)
    return [
        position_row(valued, cover=cover[valued.instrument.margin_asset], update_time_lag=account.update_time_lag)
        for valued in everything
        if symbol in {None, valued.position.symbol}
    ]


def position_row(valued: Valued, *, cover: Decimal, update_time_lag: timedelta = timedelta(0)) -> Row:
    """Return one row.

    *cover* is how much the account can lose in the margin asset before it is liquidated; an isolated position has its
    own instead.
    """
    position = valued.position
    if position.isolated:
        cover = position.isolated_wallet + valued.unrealized_profit - valued.maint_margin
    return {
        "symbol": position.symbol,
        "positionSide": position.position_side,
        "positionAmt": quantity_text(position.amount, valued.instrument.step_size),
        "entryPrice": shortest(position.entry_price),
        "breakEvenPrice": shortest(break_even(position, valued.instrument)),
        "markPrice": _fixed(valued.mark_price),
        "unRealizedProfit": _fixed(valued.unrealized_profit),
        "liquidationPrice": money_text(_liquidation_price(valued, cover)),
        "isolatedMargin": money_text(valued.isolated_margin),
        "notional": money_text(valued.notional),
        "marginAsset": valued.instrument.margin_asset,
        "isolatedWallet": money_text(position.isolated_wallet),
        "initialMargin": money_text(valued.margin + valued.order_margin),
        "maintMargin": money_text(valued.maint_margin),
        "positionInitialMargin": money_text(valued.margin),
        "openOrderInitialMargin": money_text(valued.order_margin),
        "adl": _adl(valued),
        "bidNotional": money_text(valued.bid_notional),
        "askNotional": money_text(valued.ask_notional),
        "updateTime": epoch_ms(position.update_time + update_time_lag) if position.update_time else 0,
    }


def break_even(position: Position, instrument: Instrument) -> Decimal:
    return position.break_even_price.quantize(Decimal((0, (1,), -instrument.entry_digits)))


def shortest(price: Decimal) -> str:
    """Write a price the way the exchange writes floating numbers: ``0.0``, ``0.385``, ``50000.0``, ``2.8E-4``."""
    if not price:
        return "0.0"
    if abs(price) >= _SMALL:
        text = format(price.normalize(), "f")
        return text if "." in text else f"{text}.0"
    sign, digits, _ = price.normalize().as_tuple()
    first, *others = map(str, digits)
    return f"{'-' * sign}{first}.{''.join(others) or '0'}E{price.adjusted()}"


def _liquidation_price(valued: Valued, cover: Decimal) -> Decimal:
    """Return where this position alone would use up *cover*; 0 when no positive price does."""
    amount = valued.position.amount
    if not amount:
        return ZERO
    loss_per_unit = amount - abs(amount) * valued.instrument.maint_margin_rate
    price = valued.mark_price - cover / loss_per_unit
    return money(price) if price > 0 else ZERO


def _adl(valued: Valued) -> int:
    """Return 0 for a loser, up to 4 for the largest profit on its margin."""
    if valued.unrealized_profit <= 0 or not valued.margin:
        return 0
    return min(1 + int(valued.unrealized_profit / valued.margin * 2), 4)


def quantity_text(amount: Decimal, step: Decimal) -> str:
    return format(amount.quantize(step), "f")


def _fixed(amount: Decimal) -> str:
    """Write with all its 8 decimals; a loss that was cut to nothing has no sign."""
    return format(amount or abs(amount), "f")


def money_text(amount: Decimal) -> str:
    """Write with 8 decimals, but nothing as ``0``."""
    return _fixed(money(amount)) if amount else "0"
