import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recorder.simulator.clock import epoch_ms
from recorder.simulator.errors import ApiError
from recorder.simulator.request import account_by_key, account_by_signature, account_of, parse_request
from recorder.simulator.scenario import Scenario
from recorder.simulator.session import Session
from recorder.simulator.world import World

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON_MS = epoch_ms(NOON)
Signed = Callable[..., str]


@pytest.fixture(scope="module")
def world() -> World:
    """Four accounts, one with an Ed25519 key and one with an RSA key."""
    return Scenario(accounts=4).world(seed=1, start=NOON)


@pytest.fixture
def session() -> Session:
    return Session(connected_at=NOON)


@pytest.fixture
def refusal(world: World, session: Session, signed: Signed) -> Callable[..., tuple[int, int, str]]:
    """The status, code and message that a request of "main" at noon gets."""

    def refused(**given: Any) -> tuple[int, int, str]:
        request = parse_request(signed(world.accounts["main"], **{"timestamp": NOON_MS, **given}))
        with pytest.raises(ApiError) as caught:
            account_by_signature(request, session, world, NOON)
        return caught.value.status, caught.value.code, caught.value.msg

    return refused


@pytest.mark.parametrize("name", ["main", "hedge", "ed25519", "rsa"])
def test_every_kind_of_key_can_sign(world: World, session: Session, signed: Signed, name: str) -> None:
    account = world.accounts[name]
    request = parse_request(signed(account, timestamp=NOON_MS, symbol="币安人生USDT", recvWindow=3000))
    assert account_by_signature(request, session, world, NOON) is account


@pytest.mark.parametrize("name", ["main", "ed25519", "rsa"])
def test_a_changed_parameter_breaks_the_signature(world: World, session: Session, signed: Signed, name: str) -> None:
    text = signed(world.accounts[name], timestamp=NOON_MS, recvWindow=3000)
    request = parse_request(text.replace("3000", "3001"))
    with pytest.raises(ApiError) as caught:
        account_by_signature(request, session, world, NOON)
    assert (caught.value.status, caught.value.code) == (400, -1022)


@pytest.mark.parametrize("parameter", ["apiKey", "timestamp"])
def test_a_mandatory_parameter_is_missed_by_name(refusal: Callable[..., tuple[int, int, str]], parameter: str) -> None:
    expected = f"Mandatory parameter '{parameter}' was not sent, was empty/null, or malformed."
    assert refusal(**{parameter: None}) == (400, -1102, expected)


def test_an_empty_signature_is_a_missing_one(refusal: Callable[..., tuple[int, int, str]]) -> None:
    assert refusal(signature="")[1] == -1102


@pytest.mark.parametrize("timestamp", ["1772366400000", True, 1.5])
def test_a_timestamp_is_an_integer(refusal: Callable[..., tuple[int, int, str]], timestamp: object) -> None:
    assert refusal(timestamp=timestamp)[1] == -1102


def test_a_key_of_the_wrong_shape_and_a_strange_one_are_told_apart(
    refusal: Callable[..., tuple[int, int, str]],
) -> None:
    assert refusal(apiKey="abc") == (401, -2014, "API-key format invalid.")
    assert refusal(apiKey="x" * 64) == (401, -2015, "Invalid API-key, IP, or permissions for action.")


def test_a_timestamp_may_be_almost_a_second_ahead_and_as_old_as_the_window(
    world: World, session: Session, signed: Signed
) -> None:
    main = world.accounts["main"]
    for timestamp, window in ((NOON_MS + 999, 5000), (NOON_MS - 5000, None), (NOON_MS - 60_000, 60_000)):
        request = parse_request(signed(main, timestamp=timestamp, recvWindow=window))
        assert account_by_signature(request, session, world, NOON) is main


def test_a_timestamp_too_early_or_too_late_is_refused_in_different_words(
    refusal: Callable[..., tuple[int, int, str]],
) -> None:
    ahead = (400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    behind = (400, -1021, "Timestamp for this request is outside of the recvWindow.")
    assert refusal(timestamp=NOON_MS + 1000) == ahead
    assert refusal(timestamp=NOON_MS - 5001) == behind
    assert refusal(timestamp=NOON_MS - 101, recvWindow=100) == behind
    assert refusal(recvWindow=60_001) == (400, -1131, "recvWindow must be less than 60000")


def test_after_a_logon_only_the_timestamp_is_needed(world: World) -> None:
    main = world.accounts["main"]
    session = Session(connected_at=NOON)
    session.log_on(main, NOON)
    request = parse_request(json.dumps({"id": 1, "method": "m", "params": {"timestamp": NOON_MS}}))
    assert account_of(request, session, world) is main
    assert account_by_key(request, session, world) is main
    assert account_by_signature(request, session, world, NOON) is main
    with pytest.raises(ApiError, match="-1021"):
        account_by_signature(request, session, world, NOON + timedelta(minutes=1))


def test_on_a_session_a_request_may_still_sign_for_another_account(world: World, signed: Signed) -> None:
    session = Session(connected_at=NOON)
    session.log_on(world.accounts["ed25519"], NOON)
    request = parse_request(signed(world.accounts["main"], timestamp=NOON_MS))
    assert account_of(request, session, world) is world.accounts["main"]
    assert account_by_signature(request, session, world, NOON) is world.accounts["main"]


def test_ids_are_echoed_as_they_were_written() -> None:
    for request_id in ("1", '"a-1"', "null"):
        assert parse_request(f'{{"id":{request_id},"method":"m"}}').request_id == request_id


@pytest.mark.parametrize(
    "message",
    ["", "nonsense", "[]", "1", '{"id":1}', '{"id":[],"method":"m"}', '{"id":1,"method":"m","params":[]}', b"\xff"],
)
def test_what_is_no_request_is_refused(message: str | bytes) -> None:
    with pytest.raises(ApiError, match="-1135"):
        parse_request(message)


def test_a_request_does_not_show_its_parameters(world: World, signed: Signed) -> None:
    main = world.accounts["main"]
    assert main.key.api_key not in repr(parse_request(signed(main)))
