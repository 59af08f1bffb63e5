import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.binance.messages import RateLimit
from recorder.binance.session import Answered, LateAnswer, Refused, ServerShutdown, Session, Unintelligible

LIMIT = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400, "count": 7}


def frame(**members: Any) -> str:
    return json.dumps(members)


def ask(session: Session) -> str:
    request_id, _ = session.request("v2/account.position", {})
    return request_id


def test_a_request_is_written_as_the_exchange_wants_it() -> None:
    request_id, text = Session("1").request("v2/account.position", {"symbol": "币安人生USDT", "recvWindow": 5000})
    assert json.loads(text) == {
        "id": request_id,
        "method": "v2/account.position",
        "params": {"symbol": "币安人生USDT", "recvWindow": 5000},
    }


def test_an_answer_belongs_to_its_request() -> None:
    session = Session("1")
    request_id = ask(session)
    event = session.receive(frame(id=request_id, status=200, result=[{"a": "1.50"}], rateLimits=[LIMIT], new=1))
    assert event == Answered(request_id, b'[{"a": "1.50"}]', (RateLimit("REQUEST_WEIGHT", "MINUTE", 1, 2400, 7),))
    assert event.limits[0].is_weight_per_minute


@given(st.permutations(range(6)), st.sets(st.integers(0, 5)))
def test_in_any_order_each_request_is_answered_once_and_a_forgotten_one_never(order: list[int], late: set[int]) -> None:
    session = Session("1")
    ids = [ask(session) for _ in order]
    for number in late:
        session.forget(ids[number])
    for number in order:
        event = session.receive(frame(id=ids[number], status=200, result=number))
        expected = LateAnswer(ids[number]) if number in late else Answered(ids[number], str(number).encode())
        assert event == expected
        assert session.receive(frame(id=ids[number], status=200, result=0)) == LateAnswer(ids[number])


def test_two_connections_share_no_id() -> None:
    assert ask(Session("1")) != ask(Session("2"))


def test_a_refusal_belongs_to_its_request() -> None:
    session = Session("1")
    request_id = ask(session)
    event = session.receive(
        frame(id=request_id, status=418, error={"code": -1003, "msg": "x", "data": {"retryAfter": 5}})
    )
    assert isinstance(event, Refused)
    assert (event.id, event.status, event.error.code) == (request_id, 418, -1003)
    assert event.error.data is not None
    assert event.error.data.retry_after == 5


def test_a_message_without_id_is_about_the_connection_and_answers_nobody() -> None:
    session = Session("1")
    request_id = ask(session)
    event = session.receive(frame(id=None, status=401, error={"code": -2015, "msg": "revoked"}))
    assert isinstance(event, Refused)
    assert event.id is None
    assert isinstance(session.receive(frame(id=request_id, status=200, result=[])), Answered)


def test_an_announced_shutdown_is_told() -> None:
    assert Session("1").receive('{"event":{"e":"serverShutdown","E":1770123456789}}') == ServerShutdown()


@pytest.mark.parametrize(
    "members",
    [
        {"status": "fine"},
        {"status": 200},
        {},
        {"status": 200, "result": [], "rateLimits": 5},
        {"status": 400, "error": 5},
    ],
)
def test_an_unreadable_answer_still_belongs_to_its_request(members: dict[str, Any]) -> None:
    session = Session("1")
    request_id = ask(session)
    event = session.receive(frame(id=request_id, **members))
    assert isinstance(event, Unintelligible)
    assert event.id == request_id
    assert event.detail


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_no_frame_raises(data: bytes | str) -> None:
    session = Session("1")
    ask(session)
    assert session.receive(data) is not None


def test_an_abyss_of_brackets_is_garbage() -> None:
    assert isinstance(Session("1").receive("[" * 100_000), Unintelligible)
    assert isinstance(Session("1").receive('{"event":{"e":"news"}}'), Unintelligible)
