"""Events: from one frame of the user data stream to what it means."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType, field

from recorder.binance.fields import (
    OptionalText,
    decimal,
    identifier,
    instant,
    malformed,
    opposite,
    optional_decimal,
    optional_text,
    text,
)
from recorder.domain.event import (
    AccountUpdate,
    BalanceChange,
    Event,
    KeptEvent,
    ListenKeyExpired,
    StreamPosition,
    Trade,
)
from recorder.domain.fill import Fill, FillSource
from recorder.exceptions import MalformedAnswer

_COIN_MARGINED = (2, "2")
"""The ``st`` of what belongs to the account's COIN-M side. Inside an order ``st`` is another thing, and text."""


class Head(msgspec.Struct, frozen=True):
    """What every message has; or, without ``e``, the envelope of the combined form."""

    kind: str | UnsetType = field(name="e", default=UNSET)
    event_time: Any = field(name="E", default=UNSET)
    system: Any = field(name="st", default=UNSET)
    data: Raw | UnsetType = UNSET


class BalanceEntry(msgspec.Struct, frozen=True):
    """One element of ``a.B``."""

    asset: str = field(name="a")
    wallet_balance: str = field(name="wb")
    cross_wallet_balance: OptionalText = field(name="cw", default=UNSET)
    balance_change: OptionalText = field(name="bc", default=UNSET)
    system: Any = field(name="st", default=UNSET)


class PositionEntry(msgspec.Struct, frozen=True):
    """One element of ``a.P``."""

    symbol: str = field(name="s")
    position_side: str = field(name="ps")
    position_amt: str = field(name="pa")
    entry_price: str = field(name="ep")
    accumulated_realized: str = field(name="cr")
    unrealized_profit: str = field(name="up")
    margin_type: str = field(name="mt")
    isolated_wallet: str = field(name="iw")
    break_even_price: OptionalText = field(name="bep", default=UNSET)
    margin_asset: OptionalText = field(name="ma", default=UNSET)
    system: Any = field(name="st", default=UNSET)


class Account(msgspec.Struct, frozen=True):
    """The ``a`` of ``ACCOUNT_UPDATE``."""

    reason: str = field(name="m")
    balances: tuple[BalanceEntry, ...] | None = field(name="B", default=None)
    positions: tuple[PositionEntry, ...] | None = field(name="P", default=None)
    symbol: OptionalText = field(name="S", default=UNSET)


class AccountMessage(msgspec.Struct, frozen=True):
    """``ACCOUNT_UPDATE``."""

    event_time: int | str = field(name="E")
    time: int | str = field(name="T")
    account: Account = field(name="a")


class Order(msgspec.Struct, frozen=True):
    """The part of the ``o`` of ``ORDER_TRADE_UPDATE`` that tells of a trade."""

    symbol: str = field(name="s")
    side: str = field(name="S")
    execution_type: str = field(name="x")
    order_id: int | str = field(name="i")
    time: int | str = field(name="T")
    trade_id: int | str = field(name="t", default=0)
    last_quantity: str = field(name="l", default="0")
    last_price: str = field(name="L", default="0")
    realized_profit: str = field(name="rp", default="0")
    commission: str = field(name="n", default="0")
    commission_asset: OptionalText = field(name="N", default=UNSET)
    position_side: str = field(name="ps", default="")
    maker: bool = field(name="m", default=False)


class OrderMessage(msgspec.Struct, frozen=True):
    """``ORDER_TRADE_UPDATE``."""

    event_time: int | str = field(name="E")
    order: Order = field(name="o")


_HEAD = msgspec.json.Decoder(Head)
_ACCOUNT = msgspec.json.Decoder(AccountMessage)
_ORDER = msgspec.json.Decoder(OrderMessage)


def decode_event(frame: bytes) -> Event | None:
    """Return what a frame means, ``None`` when it is none of the recorder's business.

    That is an order without a trade, and what belongs to COIN-M. Frames may be wrapped in ``stream`` and ``data``;
    ``raw`` is without the wrapping, since the stream's name is the listenKey. Raises MalformedAnswer, naming event
    type and field, for a frame that names no event and for an account update or a trade that is not as documented.
    """
    message = frame
    try:
        head = _HEAD.decode(frame)
        if head.kind is UNSET and head.data is not UNSET:
            message = bytes(head.data)
            head = _HEAD.decode(message)
    except (ValueError, RecursionError) as exc:
        raise malformed("User data stream: a frame is not readable", exc) from exc
    if head.kind is UNSET:
        raise malformed("User data stream: a frame", "it names no event type (e)")
    if head.system in _COIN_MARGINED:
        return None
    try:
        return _meaning(head, head.kind, message)
    except (ValueError, RecursionError, MalformedAnswer) as exc:
        raise malformed(f"User data stream: {head.kind[:40]}", exc) from exc


def _meaning(head: Head, kind: str, message: bytes) -> Event | None:
    match kind:
        case "ACCOUNT_UPDATE":
            return _account_update(_ACCOUNT.decode(message), _raw(message))
        case "ORDER_TRADE_UPDATE":
            return _order_update(_ORDER.decode(message), _raw(message))
        case "listenKeyExpired":
            return ListenKeyExpired(event_time=_event_time(head))
        case _:
            return KeptEvent(kind=kind.replace("\0", ""), event_time=_event_time(head), raw=_raw(message))


def _account_update(message: AccountMessage, raw: str) -> AccountUpdate:
    account = message.account
    return AccountUpdate(
        time=instant(message.time, "T"),
        event_time=instant(message.event_time, "E"),
        reason=text(account.reason, "a.m"),
        balances=tuple(_balances(account)),
        positions=tuple(_positions(account)),
        symbol=optional_text(account.symbol, "a.S"),
        raw=raw,
    )


def _balances(account: Account) -> Iterator[BalanceChange]:
    for place, entry in enumerate(account.balances or ()):
        at = f"a.B[{place}]"
        if entry.system not in _COIN_MARGINED:
            yield BalanceChange(
                asset=text(entry.asset, f"{at}.a"),
                wallet_balance=decimal(entry.wallet_balance, f"{at}.wb"),
                cross_wallet_balance=optional_decimal(entry.cross_wallet_balance, f"{at}.cw"),
                balance_change=optional_decimal(entry.balance_change, f"{at}.bc"),
            )


def _positions(account: Account) -> Iterator[StreamPosition]:
    for place, entry in enumerate(account.positions or ()):
        at = f"a.P[{place}]"
        if entry.system not in _COIN_MARGINED:
            yield StreamPosition(
                symbol=text(entry.symbol, f"{at}.s"),
                position_side=text(entry.position_side, f"{at}.ps"),
                position_amt=decimal(entry.position_amt, f"{at}.pa"),
                entry_price=decimal(entry.entry_price, f"{at}.ep"),
                break_even_price=optional_decimal(entry.break_even_price, f"{at}.bep"),
                accumulated_realized=decimal(entry.accumulated_realized, f"{at}.cr"),
                unrealized_profit=decimal(entry.unrealized_profit, f"{at}.up"),
                margin_type=text(entry.margin_type, f"{at}.mt"),
                isolated_wallet=decimal(entry.isolated_wallet, f"{at}.iw"),
                margin_asset=optional_text(entry.margin_asset, f"{at}.ma"),
            )


def _order_update(message: OrderMessage, raw: str) -> Event | None:
    order = message.order
    event_time = instant(message.event_time, "E")
    trade_id, quantity = identifier(order.trade_id, "o.t"), decimal(order.last_quantity, "o.l")
    if trade_id and quantity:
        return Trade(fill=_fill(order, trade_id, quantity), event_time=event_time, raw=raw)
    if order.execution_type == "CALCULATED":  # a liquidation or deleveraging, told without its trade
        return KeptEvent(kind="ORDER_TRADE_UPDATE", event_time=event_time, raw=raw)
    return None


def _fill(order: Order, trade_id: int, quantity: Decimal) -> Fill:
    return Fill(
        symbol=text(order.symbol, "o.s"),
        position_side=text(order.position_side, "o.ps"),
        trade_id=trade_id,
        order_id=identifier(order.order_id, "o.i"),
        time=instant(order.time, "o.T"),
        side=text(order.side, "o.S"),
        price=decimal(order.last_price, "o.L"),
        quantity=quantity,
        realized_profit=decimal(order.realized_profit, "o.rp"),
        commission=opposite(decimal(order.commission, "o.n")),
        commission_asset=optional_text(order.commission_asset, "o.N"),
        maker=order.maker,
        source=FillSource.STREAM,
    )


def _event_time(head: Head) -> datetime | None:
    """The time if it is one: what is only kept is not refused."""
    try:
        return instant(head.event_time, "E") if isinstance(head.event_time, int | str) else None
    except MalformedAnswer:
        return None


def _raw(message: bytes) -> str:
    return message.decode(errors="replace")
