import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from recorder.binance.messages import decode_positions, decode_server_time
from recorder.exceptions import MalformedAnswer
from tests.binance.exchange import ROW

ENVELOPE = {"id": "1", "status": 200, "result": [ROW]}
REFUSAL = {"id": "1", "status": 400, "error": {"code": -1021, "msg": "Timestamp is outside of the recvWindow."}}
CAPTURED = Path(__file__).resolve().parents[2] / ".." / "shared" / "exchange" / "fixtures"


def lines(*documents: Any) -> bytes:
    return "\n".join(json.dumps(document) for document in documents).encode()


@pytest.mark.parametrize("text", ["", "[", '[{"a":NaN}]', "[" * 100_000, '[{"a":1e9999999999999999999}]', b"[\xff]"])
def test_what_is_not_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(MalformedAnswer, match="JSON"):
        decode_positions(text)


def test_the_server_time_is_read() -> None:
    result = '{"apiKey":null,"serverTime":1760000000123}'
    assert decode_server_time(result) == datetime(2025, 10, 9, 8, 53, 20, 123_000, tzinfo=UTC)
    with pytest.raises(MalformedAnswer, match="serverTime"):
        decode_server_time("{}")
