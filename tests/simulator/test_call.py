import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from recorder.simulator.clock import epoch_ms
from recorder.simulator.errors import ApiError
from recorder.simulator.keys import HmacKey
from recorder.simulator.rest.call import Call
from recorder.simulator.scenario import Scenario
from recorder.simulator.world import World

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TIME = f"timestamp={epoch_ms(NOON)}"
SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
PUBLISHED = "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp="


@pytest.fixture(scope="module")
def world() -> World:
    return Scenario(accounts=1).world(seed=1, start=NOON)


@pytest.fixture
def code(world: World) -> Callable[[str], int]:
    """The error code that a query of "main" gets; 0 if it is accepted."""

    def checked(query: str) -> int:
        api_key = world.accounts["main"].key.api_key
        call = Call(method="GET", path="/fapi/v1/income", query=query, api_key=api_key)
        try:
            assert call.signed(world, NOON) is world.accounts["main"]
        except ApiError as exc:
            return exc.code
        return 0

    return checked


@pytest.fixture
def sign(world: World) -> Callable[[str], str]:
    key = world.accounts["main"].key
    assert isinstance(key, HmacKey)
    return lambda payload: hmac.new(key.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def test_the_published_example_is_accepted() -> None:
    key = HmacKey(api_key="x" * 64, secret=SECRET)
    payload = f"{PUBLISHED}1591702613943".encode()
    assert key.verifies(payload, "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9")


def test_the_query_is_signed_as_sent_in_any_order(code: Callable[[str], int], sign: Callable[[str], str]) -> None:
    payload = f"{TIME}&symbol={quote('币安人生USDT')}&limit=5"
    assert code(f"{payload}&signature={sign(payload)}") == 0
    assert code(f"{payload}&signature={sign(payload).upper()}") == 0
    raw = f"{TIME}&symbol=币安人生USDT&limit=5"
    assert code(f"{payload}&signature={sign(raw)}") == -1022


def test_the_signature_is_the_last_parameter(code: Callable[[str], int], sign: Callable[[str], str]) -> None:
    assert code(f"signature={sign(TIME)}&{TIME}") == -1022


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("limit=5", -1102),
        ("timestamp=noon&signature=0", -1102),
        (TIME, -1102),
        ("timestamp=1&signature=0", -1021),
        (f"{TIME}&recvWindow=60001&signature=0", -1131),
        (f"{TIME}&signature=0", -1022),
    ],
)
def test_what_is_missing_late_or_wrong_is_said(code: Callable[[str], int], query: str, expected: int) -> None:
    assert code(query) == expected


def test_parameters_are_decoded() -> None:
    call = Call(method="GET", path="/", query=f"symbol={quote('币安人生USDT')}&limit=5&empty=")
    assert (call.text("symbol"), call.number("limit")) == ("币安人生USDT", 5)
    assert call.text("empty") is None
    assert call.number("page") is None
    assert call.name == "GET /"
