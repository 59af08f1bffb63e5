"""The exchange's error table: what a refusal means, sorted by what the caller can do about it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from recorder.binance.messages import ErrorData, WireError
from recorder.exceptions import (
    AccountRejected,
    ClockRejected,
    ExchangeError,
    ExchangeUnavailable,
    RateLimited,
    RequestRejected,
)

_UNAUTHORIZED = 401
_BLOCKED = 403
_TIMED_OUT = 408
_BANNED = 418
_TOO_MANY = 429
_SERVER_FAULTS = 500

_LIMIT_CODES = frozenset({-1003, -1015})
_LIMIT_STATUSES = frozenset({_BLOCKED, _BANNED, _TOO_MANY})
_BAN_END = re.compile(r"until (\d{13})(?!\d)")
LONGEST_BAN = timedelta(days=3)
_BAN = timedelta(minutes=2)
_BLOCK = timedelta(minutes=5)
_MINUTE = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SignatureRejected(AccountRejected):
    """-1022, which is worth one more try before it stops the account."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What one error code means."""

    error: type[ExchangeUnavailable | ClockRejected | AccountRejected | RequestRejected]
    what: str
    why: str = ""
    fix: str = ""


_BUSY = Rule(
    ExchangeUnavailable,
    "the exchange has a fault of its own or is overloaded",
    why="It said so itself; the request was right.",
    fix="Nothing: it is asked again. See https://www.binance.com/en/support for announcements if it lasts.",
)
_CLOCK = Rule(
    ClockRejected,
    "the exchange refused the time of the request",
    why="The clock here is off, or this machine was too busy to send the request within 5 s of signing it.",
    fix="Let NTP set the clock (timedatectl status), and see whether the machine is overloaded.",
)
_KEY = Rule(
    AccountRejected,
    "the exchange refuses the API key",
    why="The key was deleted, does not allow reading futures, may not be used from this address, or is of the other "
    "environment (live or demo).",
    fix="In Binance's API management see that the key exists, that 'Enable Reading' is on, that it was made after "
    "the futures account was opened, and which IP addresses it allows; then restart.",
)
_KEY_FORMAT = Rule(
    AccountRejected,
    "the API key is not of the right form",
    why="It was probably not copied as a whole.",
    fix="Copy api_key again from Binance's API management, then restart.",
)
_KEY_LOCKED = Rule(
    AccountRejected,
    "the API keys of this account are locked",
    why="Binance locks keys after security events.",
    fix="Unlock the account at Binance or make a new key, then restart.",
)
_INACTIVE = Rule(
    AccountRejected,
    "the futures account is not active",
    why="It was never opened, or fell asleep for want of use.",
    fix="Open the USDⓈ-M futures account at Binance, or transfer any amount into it, then restart.",
)
_ADDRESS = Rule(
    AccountRejected,
    "the API key may not be used from this address",
    why="The key has a list of allowed IP addresses, and this machine's is not on it.",
    fix="Add this machine's public address to the key in Binance's API management, then restart.",
)
_SIGNATURE = Rule(
    SignatureRejected,
    "the exchange finds the signature wrong",
    why="The secret or private key does not belong to this API key.",
    fix="Copy api_key and api_secret again, or register this private key's public half at Binance; then restart.",
)
_LISTEN_KEY = Rule(
    ExchangeUnavailable,
    "the exchange does not know the listenKey of the event stream",
    why="It expired, or another program closed it.",
    fix="Nothing: a new one is asked for.",
)
_REQUEST = Rule(
    RequestRejected,
    "the exchange will not answer this request",
    why="The request is not as the exchange wants it now: its rules may have changed.",
    fix="Look for a newer version of this program, and report the message.",
)

TABLE = {
    -1000: _BUSY,
    -1001: _BUSY,
    -1002: _KEY,
    -1004: _ADDRESS,
    -1005: _ADDRESS,
    -1006: _BUSY,
    -1007: _BUSY,
    -1008: _BUSY,
    -1010: _BUSY,
    -1011: _ADDRESS,
    -1016: _BUSY,
    -1021: _CLOCK,
    -1022: _SIGNATURE,
    -1099: _KEY,
    -1109: _KEY,
    -1125: _LISTEN_KEY,
    -2014: _KEY_FORMAT,
    -2015: _KEY,
    -2017: _KEY_LOCKED,
    -2023: _BUSY,
    -4109: _INACTIVE,
}
"""The codes that say more than their status does; every other one goes by its status."""


def rate_limited(until: datetime, said: str = "") -> RateLimited:
    """Return the error to raise while this address may not ask; *until* is in this machine's time."""
    return RateLimited(
        f"The exchange wants nothing asked from this address until {until:%Y-%m-%d %H:%M:%S} UTC{said}",
        until=until,
        why="All accounts and programs behind one address share the exchange's limit, and it was passed.",
        fix="Wait: recording goes on by itself. If it comes again, lower exchange.weight_budget or ask less often, and "
        "find out what else asks Binance from this address.",
    )


def invalid_proxy() -> ExchangeUnavailable:
    """Return the error to raise ``from None``: the original quotes the URL, which may have a password in it."""
    return ExchangeUnavailable(
        "The proxy in the environment is not one",
        why="HTTPS_PROXY, ALL_PROXY or their like is set to something that is not a proxy's URL.",
        fix="Correct or unset the variable, then restart.",
    )


def refusal(subject: str, status: int, error: WireError) -> ExchangeError:
    """Return the error to raise for a refusal that is no rate limit; *subject* is whom the request was for."""
    rule = TABLE.get(error.code) or _by_status(status)
    return rule.error(f"{subject}: {rule.what}{told(status, error)}", why=rule.why, fix=rule.fix)


def told(status: int, error: WireError) -> str:
    """Return what the exchange said, in brackets, to stand after what it means."""
    message = f": {error.msg[:200]}" if error.msg else ""
    return f" (status {status}, code {error.code}{message})"


def retry_after(header: str, now: datetime) -> ErrorData | None:
    """Return what a Retry-After header in seconds says, as the exchange's own answers say it; *now* is its time."""
    if not (header.isascii() and header.isdigit()):
        return None
    wait = min(timedelta(seconds=int(header[:9])), 10 * LONGEST_BAN)
    return ErrorData(retry_after=(now + wait - _EPOCH) // timedelta(milliseconds=1))


def pause_end(status: int, error: WireError, now: datetime) -> datetime | None:
    """Return when this address may ask again, or ``None`` when the refusal is about something else.

    Both times are the exchange's. An end the exchange names counts, within the three days it bans for at most.
    Otherwise it is five minutes for 403, which is the firewall's, two for 418, which is the shortest ban, and the
    next full minute for 429 and -1003.
    """
    if status not in _LIMIT_STATUSES and error.code not in _LIMIT_CODES:
        return None
    named = _named_end(error)
    if named is not None and named > now:
        return min(named, now + LONGEST_BAN)
    if status == _BLOCKED:
        return now + _BLOCK
    if status == _BANNED:
        return now + _BAN
    return now.replace(second=0, microsecond=0) + _MINUTE


def _named_end(error: WireError) -> datetime | None:
    milliseconds = error.data.retry_after if error.data else None
    if milliseconds is None and (found := _BAN_END.search(error.msg)):
        milliseconds = int(found[1])
    try:
        return None if milliseconds is None else _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None


def _by_status(status: int) -> Rule:
    if status == _UNAUTHORIZED:
        return _KEY
    if status == _TIMED_OUT or status >= _SERVER_FAULTS:
        return _BUSY
    return _REQUEST
