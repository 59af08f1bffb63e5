"""Wire structs of answers, and the one way from JSON text to values."""

from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from recorder.binance.fields import instant
from recorder.binance.rows import parse_positions
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


class AccountConfig(msgspec.Struct, frozen=True, rename="camel"):
    """Answer to ``GET /fapi/v1/accountConfig``: how an account is set up, and what the exchange lets it do.

    What one of its keys may do is another question: an account may trade whose key may only read.

    Attributes:
        dual_side_position: Whether it is in hedge mode.
        multi_assets_margin: Whether every asset counts as margin, by its value in USD.
    """

    can_trade: bool
    can_withdraw: bool
    dual_side_position: bool
    can_deposit: bool | None = None
    multi_assets_margin: bool | None = None


class KeyPermissions(msgspec.Struct, frozen=True, rename="camel"):
    """Answer to ``GET /sapi/v1/account/apiRestrictions``: what a key may do, by the boxes that are ticked for it."""

    enable_reading: bool
    enable_withdrawals: bool
    ip_restrict: bool | None = None
    enable_internal_transfer: bool = False
    permits_universal_transfer: bool = False
    enable_futures: bool = False
    enable_margin: bool = False
    enable_spot_and_margin_trading: bool = False
    enable_vanilla_options: bool = False
    enable_portfolio_margin_trading: bool = False
    enable_fix_api_trade: bool = False

    @property
    def can_trade(self) -> bool:
        return (
            self.enable_futures
            or self.enable_margin
            or self.enable_spot_and_margin_trading
            or self.enable_vanilla_options
            or self.enable_portfolio_margin_trading
            or self.enable_fix_api_trade
        )

    @property
    def can_withdraw(self) -> bool:
        """Whether it can move money out of the account, to an address or to another account."""
        return self.enable_withdrawals or self.enable_internal_transfer or self.permits_universal_transfer


def decode_positions(result: bytes | str) -> tuple[Position, ...]:
    """Return the rows of a complete ``result`` array, in the order in which they came.

    Raises MalformedAnswer, naming row and field, when any row is not as documented: a result is good as a whole
    or not at all. Fields that are not documented go to ``Position.extra``, their numbers as exact as the others.
    """
    return parse_positions(decode_json(result))


def decode_server_time(result: bytes | str) -> datetime:
    """Return the exchange's time in a ``session.status`` result or a ``GET /fapi/v1/time`` answer."""
    status = converted(decode_json(result), SessionStatus, "server time")
    return instant(status.server_time, "serverTime")


def decode_account_config(answer: bytes | str) -> AccountConfig:
    """Return the answer to ``GET /fapi/v1/accountConfig``; raises MalformedAnswer."""
    return converted(decode_json(answer), AccountConfig, "accountConfig")


def decode_key_permissions(answer: bytes | str) -> KeyPermissions:
    """Return the answer to ``GET /sapi/v1/account/apiRestrictions``; raises MalformedAnswer."""
    return converted(decode_json(answer), KeyPermissions, "apiRestrictions")


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
