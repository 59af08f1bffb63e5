from datetime import UTC, datetime

from recorder.simulator.frames import Answer
from recorder.simulator.traffic import Handshake, Received, RestCall, Traffic

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def received(account: str | None, *, refused: bool = False) -> Received:
    return Received(received_at=NOON, account=account, method="v2/account.position", request_id="1", refused=refused)


def test_requests_and_answers_are_found_by_account() -> None:
    traffic = Traffic()
    traffic.requests.extend([received("main"), received("hedge"), received(None)])
    assert traffic.requests_of("main") == [received("main")]
    traffic.sent(received("main"), Answer(request_id="1", status=200, body="[]", rows=()), NOON)
    traffic.sent(received("main"), Answer(request_id="2", status=503, body="{}"), NOON)
    assert [answer.request_id for answer in traffic.answers_of("main")] == ["1"]
    assert [answer.status for answer in traffic.answers] == [200, 503]


def test_whatever_comes_during_a_refusal_is_counted() -> None:
    traffic = Traffic()
    traffic.requests.extend([received("main"), received("main", refused=True)])
    traffic.handshakes.append(Handshake(received_at=NOON, status=418, refused=True))
    assert traffic.during_refusal == 2
    assert traffic.connections == 0


def test_only_the_newest_are_kept() -> None:
    traffic = Traffic(kept=2)
    traffic.requests.extend(received(name) for name in ("a", "b", "c"))
    assert [request.account for request in traffic.requests] == ["b", "c"]


def test_requests_over_http_during_a_refusal_count_too() -> None:
    traffic = Traffic()
    for refused in (True, False):
        traffic.rest.append(
            RestCall(
                received_at=NOON,
                account=None,
                method="GET /fapi/v1/time",
                query="",
                refused=refused,
                status=200,
            )
        )
    assert traffic.during_refusal == 1
