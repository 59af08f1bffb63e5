"""Fields: from the exchange's text to values, each refused by its name when it is not what it should be."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from msgspec import UNSET, UnsetType

from recorder.domain.position import NEVER
from recorder.exceptions import MalformedAnswer

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LAST_INSTANT = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LARGEST_ID = 2**63 - 1

_DECIMAL_LETTERS = frozenset("+-.0123456789eE")
_LONGEST_DECIMAL = 1_000
_LARGEST_EXPONENT = 1_000

OptionalText = str | UnsetType | None
"""Of a field that may be missing or null."""

OptionalNumber = int | str | UnsetType | None


def text(value: str, field: str) -> str:
    if not value or "\0" in value:  # PostgreSQL's text holds no NUL
        raise refusal(field, "text", value)
    return value


def optional_text(value: OptionalText, field: str) -> str | None:
    """Return ``None`` for what is missing, null or empty."""
    return text(value, field) if value else None


def decimal(value: str, field: str) -> Decimal:
    """Return the number with exactly the digits of the text."""
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise refusal(field, "a decimal number", value) from None
    if not _DECIMAL_LETTERS.issuperset(value) or len(value) > _LONGEST_DECIMAL:  # Decimal takes NaN, " 1" and "1_0"
        raise refusal(field, "a finite decimal number", value)
    if not -_LARGEST_EXPONENT <= number.adjusted() <= _LARGEST_EXPONENT:
        raise refusal(field, "a decimal number of sensible size", value)
    return number


def optional_decimal(value: OptionalText, field: str) -> Decimal | None:
    return None if value is UNSET or value is None else decimal(value, field)


def opposite(number: Decimal) -> Decimal:
    """Return the number with the other sign and the same digits, which unary minus would round; zero stays zero."""
    return number.copy_negate() if number else number.copy_abs()


def integer(value: int | str, field: str, largest: int = _LAST_INSTANT) -> int:
    """Return a number that came as such or as digits."""
    if isinstance(value, int):
        return value
    if len(value) <= len(str(largest)) and value.isascii() and value.isdigit():
        return int(value)
    raise refusal(field, "a whole number", value)


def identifier(value: int | str, field: str) -> int:
    """Return an id that fits into PostgreSQL's bigint."""
    number = integer(value, field, _LARGEST_ID)
    if not 0 <= number <= _LARGEST_ID:
        raise refusal(field, "an id of up to 63 bits", value)
    return number


def optional_identifier(value: OptionalNumber, field: str) -> int | None:
    """Return ``None`` for what is missing, null or empty."""
    return None if value is UNSET or value is None or value == "" else identifier(value, field)


def instant(milliseconds: int | str, field: str) -> datetime:
    """Return the time of epoch milliseconds, ``NEVER`` for 0."""
    number = integer(milliseconds, field)
    if not 0 <= number <= _LAST_INSTANT:
        raise refusal(field, "epoch milliseconds", milliseconds)
    return NEVER if number == 0 else _EPOCH + number * _MILLISECOND


def epoch_milliseconds(time: datetime) -> int:
    """Return the last whole millisecond not after *time*."""
    return (time - _EPOCH) // _MILLISECOND


def refusal(field: str, expected: str, value: object) -> MalformedAnswer:
    return MalformedAnswer(f"{field}: {expected} was expected, not {shown(value)}")


def shown(value: object, length: int = 60) -> str:
    """Return the value for a message, cut to a sensible length."""
    said = repr(value)
    return said if len(said) <= length else f"{said[:length]}…"


def malformed(subject: str, reason: object) -> MalformedAnswer:
    """Return the error to raise for a part of an answer that is not as documented."""
    return MalformedAnswer(
        f"{subject}: {reason}",
        why="The exchange's wire format is not the one this program knows.",
        fix="Look for a newer version of this program, and report the message.",
    )
