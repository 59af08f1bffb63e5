"""Wire structs of the WebSocket API, and the one way from JSON text to values."""

from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from recorder.binance.rows import instant, parse_positions
from recorder.domain.position import Position
from recorder.exceptions import MalformedAnswer

_T = TypeVar("_T")

_JSON = msgspec.json.Decoder(float_hook=Decimal)


class RateLimit(msgspec.Struct, frozen=True, rename="camel"):
    """One counter of an answer's ``rateLimits``; ``count`` includes the request that was answered."""

    rate_limit_type: str
    interval: str
    interval_num: int
    limit: int
    count: int

    @property
    def is_weight_per_minute(self) -> bool:
        return (self.rate_limit_type, self.interval, self.interval_num) == ("REQUEST_WEIGHT", "MINUTE", 1)


class ErrorData(msgspec.Struct, frozen=True, rename="camel"):
    """Both in epoch milliseconds of the exchange's clock; sent with 429 and 418, if at all."""

    server_time: int | None = None
    retry_after: int | None = None


class WireError(msgspec.Struct, frozen=True):
    """The ``error`` of an answer that is not a success; code 0 is a refusal that gave no code."""

    code: int = 0
    msg: str = ""
    data: ErrorData | None = None


class Notice(msgspec.Struct, frozen=True):
    """What the exchange says unasked, such as ``serverShutdown``."""

    name: str = msgspec.field(name="e")


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """One frame: an answer, or a notice when ``event`` is there."""

    id: int | str | None = None
    status: int | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: WireError = WireError()
    rate_limits: tuple[RateLimit, ...] = ()
    event: Notice | UnsetType = UNSET


class Addressee(msgspec.Struct, frozen=True):
    """The part of a frame that tells whose it is, for frames of which nothing else is understood."""

    id: int | str | None = None


class SessionStatus(msgspec.Struct, frozen=True, rename="camel"):
    """Result of ``session.status``; ``server_time`` is epoch milliseconds."""

    server_time: int


class Balance(msgspec.Struct, frozen=True, rename="camel"):
    """One element of the result of ``v2/account.balance``; amounts are in *asset*.

    Attributes:
        account_alias: The exchange's own short code of the account, the same for all of its keys.
        update_time: Epoch milliseconds of the last change of this balance; 0 means never.
    """

    account_alias: str
    asset: str
    balance: Decimal
    cross_wallet_balance: Decimal
    cross_un_pnl: Decimal
    available_balance: Decimal
    max_withdraw_amount: Decimal
    margin_available: bool | None = None
    update_time: int | None = None


def decode_positions(result: bytes | str) -> tuple[Position, ...]:
    """Return the rows of a complete ``result`` array, in the order in which they came.

    Raises MalformedAnswer, naming row and field, when any row is not as documented: a result is good as a whole
    or not at all. Fields that are not documented go to ``Position.extra``, their numbers as exact as the others.
    """
    return parse_positions(decode_json(result))


def decode_balances(result: bytes | str) -> tuple[Balance, ...]:
    """Return the rows of a ``v2/account.balance`` result; raises MalformedAnswer."""
    rows = converted(decode_json(result), list[dict[str, Any]], "v2/account.balance")
    return tuple(_balance(row, f"v2/account.balance: row {number}") for number, row in enumerate(rows, start=1))


def decode_server_time(result: bytes | str) -> datetime:
    """Return the exchange's time in a ``session.status`` result; raises MalformedAnswer."""
    status = converted(decode_json(result), SessionStatus, "session.status")
    return instant(status.server_time, "session.status: serverTime")


def decode_json(text: bytes | str) -> Any:
    try:
        return _JSON.decode(text)
    except (ValueError, ArithmeticError, RecursionError) as exc:
        raise MalformedAnswer(f"This is not readable JSON: {exc}") from exc


def converted(value: Any, wanted: type[_T], subject: str) -> _T:
    try:
        return msgspec.convert(value, wanted)
    except (ValueError, ArithmeticError) as exc:
        raise MalformedAnswer(f"{subject}: {exc}") from exc


def _balance(row: dict[str, Any], subject: str) -> Balance:
    balance = converted(row, Balance, subject)
    amounts = (
        balance.balance,
        balance.cross_wallet_balance,
        balance.cross_un_pnl,
        balance.available_balance,
        balance.max_withdraw_amount,
    )
    if not all(amount.is_finite() for amount in amounts):
        raise MalformedAnswer(f"{subject} ({balance.asset}): an amount is not a finite number")
    return balance
