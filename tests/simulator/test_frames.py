import json

from recorder.simulator.frames import Answer, array_text, json_text, rate_limits_text


def test_a_good_answer_has_a_result_and_a_bad_one_an_error() -> None:
    good = Answer(request_id='"a"', status=200, body="[]", rate_limits=rate_limits_text(2400, 7))
    assert json.loads(good.text()) == {
        "id": "a",
        "status": 200,
        "result": [],
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400, "count": 7}
        ],
    }
    bad = Answer(request_id="null", status=400, body='{"code":-1022}')
    assert bad.text() == '{"id":null,"status":400,"error":{"code":-1022}}'


def test_a_member_can_be_left_out() -> None:
    assert Answer(request_id="1", status=200, body="{}").text(without="result") == '{"id":1,"status":200}'


def test_names_are_not_escaped_to_ascii() -> None:
    assert json_text({"symbol": "币安人生USDT"}) == '{"symbol":"币安人生USDT"}'


def test_rows_are_joined_as_they_are() -> None:
    assert array_text(('{"a" : 1.0E-8}', "{}")) == '[{"a" : 1.0E-8},{}]'
