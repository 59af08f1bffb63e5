"""The events of the user data stream, as they go over the wire."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zlib import crc32

from recorder.simulator.account import Account
from recorder.simulator.books.happening import (
    AccountChange,
    Balance,
    Happening,
    LeverageChange,
    MarginCall,
    OrderChange,
)
from recorder.simulator.books.order import Order
from recorder.simulator.clock import epoch_ms
from recorder.simulator.frames import Row, json_text
from recorder.simulator.market import Market
from recorder.simulator.position import ZERO, Position, money
from recorder.simulator.rows import break_even, money_text

_SLOWEST = 13  # milliseconds from what happened to its event


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event.

    Attributes:
        type: The value of its ``e``.
        time: The millisecond in which it happened: its ``T``, if it has one.
        sent_at: Its ``E``.
        text: The JSON text, without the wrapping of combined streams.
    """

    account: str
    type: str
    time: datetime
    sent_at: datetime
    text: str


def event_of(happening: Happening, account: Account, market: Market) -> Event:
    """Return the event that announces *happening*. Happenings of one millisecond get equal times."""
    sent_at = happening.time + timedelta(milliseconds=crc32(account.name.encode()) % _SLOWEST)
    times = {"T": epoch_ms(happening.time), "E": epoch_ms(sent_at)}
    match happening:
        case AccountChange():
            body: Row = {"e": "ACCOUNT_UPDATE", **times, "a": _account_change(happening, account, market)}
        case OrderChange():
            body = {"e": "ORDER_TRADE_UPDATE", **times, "o": _order_change(happening)}
        case LeverageChange():
            body = {"e": "ACCOUNT_CONFIG_UPDATE", **times, "ac": {"s": happening.symbol, "l": happening.leverage}}
        case MarginCall():
            body = {"e": "MARGIN_CALL", "E": times["E"], **_margin_call(happening, account, market)}
    time = happening.time.replace(microsecond=happening.time.microsecond // 1000 * 1000)
    return Event(account=account.name, type=body["e"], time=time, sent_at=sent_at, text=json_text(body))


def expiry_text(listen_key: str, at: datetime) -> str:
    """Return ``listenKeyExpired``; of every other key with the time as a string, as was seen."""
    moment = epoch_ms(at)
    return json_text(
        {
            "e": "listenKeyExpired",
            "E": str(moment) if crc32(listen_key.encode()) % 2 else moment,
            "listenKey": listen_key,
        }
    )


def _account_change(change: AccountChange, account: Account, market: Market) -> Row:
    row: Row = {
        "B": [_balance(balance) for balance in change.balances],
        "P": [_position(position, account, market, change.time) for position in change.positions],
        "m": change.reason,
    }
    if change.reason == "FUNDING_FEE":
        row["S"] = change.symbol
        if not change.positions:
            del row["P"]
    return row


def _balance(balance: Balance) -> Row:
    return {
        "a": balance.asset,
        "wb": money_text(balance.wallet),
        "cw": money_text(balance.cross),
        "bc": money_text(balance.change),
    }


def _position(position: Position, account: Account, market: Market, at: datetime) -> Row:
    instrument = account.instrument(position.symbol)
    return {
        "s": position.symbol,
        "pa": _plain(position.amount),
        "ep": _plain(position.entry_price),
        "bep": _plain(break_even(position, instrument)),
        "cr": money_text(position.accumulated_realized),
        "up": money_text(_profit(position, market, at)),
        "mt": "isolated" if position.isolated else "cross",
        "iw": money_text(position.isolated_wallet),
        "ps": position.position_side,
        "ma": instrument.margin_asset,
    }


def _order_change(change: OrderChange) -> Row:
    order, fill = change.order, change.fill
    kind = "MARKET" if order.kind == "ADL" else order.kind
    row: Row = {
        "s": order.symbol,
        "c": order.client_order_id,
        "S": "BUY" if order.quantity > 0 else "SELL",
        "o": kind,
        "f": "IOC" if order.kind == "LIQUIDATION" else "GTC",
        "q": _plain(abs(order.quantity)),
        "p": _plain(order.price),
        "ap": _plain(order.average_price),
        "sp": "0",
        "x": change.execution,
        "X": _status(change),
        "i": order.order_id,
        "l": _plain(abs(fill.quantity)) if fill else "0",
        "z": _plain(abs(order.filled)),
        "L": format(fill.price, "f") if fill else "0",
    }
    if fill:
        row |= {"n": money_text(fill.commission), "N": fill.commission_asset}
    bids, asks = _open_notionals(order)
    return row | {
        "T": epoch_ms(change.time),
        "t": fill.trade_id if fill else 0,
        "b": _plain(bids),
        "a": _plain(asks),
        "m": fill.maker if fill else False,
        "R": order.kind in {"LIQUIDATION", "ADL"},
        "wt": "CONTRACT_PRICE",
        "ot": kind,
        "ps": order.position_side,
        "cp": False,
        "rp": money_text(fill.realized_profit) if fill else "0",
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": "EXPIRE_MAKER",
        "pm": "NONE",
        "gtd": 0,
        "er": "0",
    }


def _status(change: OrderChange) -> str:
    if change.fill is None:
        return change.execution
    return "PARTIALLY_FILLED" if change.order.left else "FILLED"


def _open_notionals(order: Order) -> tuple[Decimal, Decimal]:
    """Return the notionals of what is left of a limit order, as a bid and as an ask."""
    open_ = abs(order.left) * order.price
    return (open_, ZERO) if order.quantity > 0 else (ZERO, open_)


def _margin_call(call: MarginCall, account: Account, market: Market) -> Row:
    rows = []
    for position in call.positions:
        mark = market.mark_price(position.symbol, call.time)
        rate = account.instrument(position.symbol).maint_margin_rate
        rows.append(
            {
                "s": position.symbol,
                "ps": position.position_side,
                "pa": _plain(position.amount),
                "mt": "ISOLATED" if position.isolated else "CROSSED",
                "iw": money_text(position.isolated_wallet),
                "mp": _plain(mark),
                "up": money_text(_profit(position, market, call.time)),
                "mm": money_text(money(abs(position.amount) * mark * rate)),
            }
        )
    return {"p": rows} if call.cross is None else {"cw": money_text(call.cross), "p": rows}


def _profit(position: Position, market: Market, at: datetime) -> Decimal:
    if not position.amount:
        return ZERO
    return money((market.mark_price(position.symbol, at) - position.entry_price) * position.amount)


def _plain(number: Decimal) -> str:
    """Write without an exponent and without zeros at the end."""
    return format(number.normalize(), "f") if number else "0"
