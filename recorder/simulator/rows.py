"""Position rows as ``v2/account.position`` sends them.

Amounts of money are cut to 8 decimals towards zero, entry and break-even prices come in the shortest form, with an
exponent when they are small, as the exchange writes them.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from recorder.simulator.account import Account
from recorder.simulator.clock import epoch_ms
from recorder.simulator.frames import Row
from recorder.simulator.instruments import Instrument
from recorder.simulator.market import Market
from recorder.simulator.position import ZERO, Order, Position, money

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
            bids += order.quantity * order.price
        else:
            asks -= order.quantity * order.price
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
        cover[valued.instrument.margin_asset] += valued.unrealized_profit - valued.maint_margin
    for asset, balance in account.wallets.items():
        cover[asset] += balance
    return [
        position_row(valued, cover=cover[valued.instrument.margin_asset])
        for valued in everything
        if symbol in {None, valued.position.symbol}
    ]


def position_row(valued: Valued, *, cover: Decimal) -> Row:
    """Return one row. *cover* is how much the account can lose in the margin asset before it is liquidated."""
    position = valued.position
    return {
        "symbol": position.symbol,
        "positionSide": position.position_side,
        "positionAmt": _quantity(position.amount, valued.instrument.step_size),
        "entryPrice": shortest(position.entry_price),
        "breakEvenPrice": shortest(
            position.break_even_price.quantize(Decimal((0, (1,), -valued.instrument.entry_digits)))
        ),
        "markPrice": _fixed(valued.mark_price),
        "unRealizedProfit": _fixed(valued.unrealized_profit),
        "liquidationPrice": _money(_liquidation_price(valued, cover)),
        "isolatedMargin": "0",
        "notional": _money(valued.notional),
        "marginAsset": valued.instrument.margin_asset,
        "isolatedWallet": "0",
        "initialMargin": _money(valued.margin + valued.order_margin),
        "maintMargin": _money(valued.maint_margin),
        "positionInitialMargin": _money(valued.margin),
        "openOrderInitialMargin": _money(valued.order_margin),
        "adl": _adl(valued),
        "bidNotional": _money(valued.bid_notional),
        "askNotional": _money(valued.ask_notional),
        "updateTime": epoch_ms(position.update_time) if position.update_time else 0,
    }


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


def _quantity(amount: Decimal, step: Decimal) -> str:
    return format(amount.quantize(step), "f")


def _fixed(amount: Decimal) -> str:
    """Write with all its 8 decimals; a loss that was cut to nothing has no sign."""
    return format(amount or abs(amount), "f")


def _money(amount: Decimal) -> str:
    return _fixed(amount) if amount else "0"
