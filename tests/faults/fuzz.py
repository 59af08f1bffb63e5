"""Messages of the exchange, spoilt at random: whatever comes is understood, refused by name, or kept; nothing else."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from recorder.binance.balances import decode_balances
from recorder.binance.errors import pause_end, refusal
from recorder.binance.events import decode_event
from recorder.binance.ledger import decode_fills, decode_income
from recorder.binance.messages import decode_positions, decode_server_time
from recorder.binance.session import Answered, Refused, Session
from recorder.domain.event import KeptEvent
from recorder.exceptions import MalformedAnswer
from recorder.simulator.scenario import LEDGER

Decode = Callable[[bytes], object]

_CONNECTION, _ID = "1", "1-1"
_REFUSALS = (
    b'{"id":"1-1","status":429,"error":{"code":-1003,"msg":"Too many","data":{"serverTime":1,"retryAfter":2}}}',
    b'{"id":"1-1","status":418,"error":{"code":-1003,"msg":"IP banned until 1772323300000."}}',
    b'{"id":"1-1","status":400,"error":{"code":-1021,"msg":"Timestamp"}}',
    b'{"id":null,"status":401,"error":{"code":-2015,"msg":"Invalid API-key"}}',
    b'{"event":{"e":"serverShutdown","E":1}}',
)
START = datetime(2026, 3, 1, tzinfo=UTC)
_STRANGE: tuple[Any, ...] = (
    *(None, True, "", "NaN", "Infinity", "-0", "-0.000", "1e-8", "1E+400", "0x10", "1_0", " 1", "\u0661", "9" * 400),
    *(-1, 0, 2**63, 2**64, 10**400, 1.5, 1e308, [], {}, [[]], {"e": {}}),
    *("\u0000", "\ud800", "x" * 7_000, "币安人生USDT", "'; --"),
)
_BYTES = (
    *(b"\x00", b"\xff", b"\xed\xa0\x80", b"{", b"}", b"[", b'"', b"\\", b"\\u0000", b"\\ud800"),
    *(b"1e999999999", b"NaN"),
)


def corpus() -> list[tuple[Decode, bytes]]:
    """Return good messages of every kind, each with what reads it."""
    world = LEDGER.world(5, START)
    world.advance(START + timedelta(hours=12))
    found: list[tuple[Decode, bytes]] = []
    for account in world.accounts.values():
        events = [event.text.encode() for event in world.events(account)]
        found += [(decode_event, text) for text in events[:60]]
        found += [(decode_event, b'{"stream":"key","data":' + text + b"}") for text in events[60:70]]
        found += [(_positions, world.answer_positions(account, _ID).encode())] * 10
        found += [(_balances, world.answer_balance(account, _ID).encode())] * 5
        found += [(_positions, said) for said in _REFUSALS]
        found += [(decode_income, _first(world.answer_income(account)))] * 10
        found += [(decode_fills, _first(world.answer_trades(account)))] * 10
    found += [(decode_server_time, b'{"serverTime":1772323200000}')] * 5
    return found


def fuzz(times: int, seed: int) -> Counter[str]:
    """Spoil so many messages, have them read, and return how often each outcome was.

    Raises ``AssertionError``, with the message, when reading one raised what it must not.
    """
    random = Random(seed)  # noqa: S311 - not secret
    good = corpus()
    outcomes: Counter[str] = Counter()
    for _ in range(times):
        decode, message = random.choice(good)
        spoilt = random.choice((_cut, _bytes, _value, _value, _member))(message, random)
        outcomes[_outcome(decode, spoilt)] += 1
    return outcomes


def _outcome(decode: Decode, message: bytes) -> str:
    try:
        value = decode(message)
    except MalformedAnswer:
        return "refused"
    except Exception as exc:
        raise AssertionError(f"{decode.__name__} raised {exc!r} for {message[:2000]!r}") from exc
    if value is None:
        return "passed over"
    return "kept" if isinstance(value, KeptEvent) else "understood"


def _positions(frame: bytes) -> object:
    return _answer(frame, decode_positions)


def _balances(frame: bytes) -> object:
    return _answer(frame, decode_balances)


def _answer(frame: bytes, decode: Callable[[bytes], object]) -> object:
    """Read a frame as it comes from the socket: who is answered, and what."""
    session = Session(_CONNECTION)
    session.request("v2/account.position", {})
    match session.receive(frame):
        case Answered(result=result):
            return decode(result)
        case Refused(status=status, error=error):
            pause_end(status, error, START)
            return refusal("account main", status, error)
        case other:
            return other


def _first(rows: str) -> bytes:
    return json.dumps(json.loads(rows)[:3]).encode()


def _cut(message: bytes, random: Random) -> bytes:
    begin, end = sorted(random.choices(range(len(message) + 1), k=2))
    return random.choice((message[:begin], message[:begin] + message[end:], message[:end] + message[begin:]))


def _bytes(message: bytes, random: Random) -> bytes:
    spoilt = message
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(spoilt) + 1)
        spoilt = spoilt[:place] + random.choice(_BYTES) + spoilt[place + random.randint(0, 2) :]
    return spoilt


def _value(message: bytes, random: Random) -> bytes:
    """Put something strange in the place of one value, however deep."""
    content = json.loads(message)
    holder, key = random.choice(_places(content))
    holder[key] = random.choice(_STRANGE)
    return _text(content)


def _member(message: bytes, random: Random) -> bytes:
    """Take a member away, or add one."""
    content = json.loads(message)
    holder, key = random.choice(_places(content))
    if isinstance(holder, dict) and random.random() < 0.5:
        holder[str(random.choice(_STRANGE))] = random.choice(_STRANGE)
    else:
        del holder[key]
    return _text(content)


def _places(content: Any) -> list[tuple[Any, Any]]:
    members = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    places = []
    for key, value in members:
        places.append((content, key))
        places += _places(value)
    return places


def _text(content: Any) -> bytes:
    return json.dumps(content).encode()
