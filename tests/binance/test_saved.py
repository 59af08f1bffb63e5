import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from recorder.binance.saved import decode_saved
from recorder.exceptions import MalformedAnswer
from tests.binance.exchange import ROW

ENVELOPE = {"id": "1", "status": 200, "result": [ROW]}
REFUSAL = {"id": "1", "status": 400, "error": {"code": -1021, "msg": "Timestamp is outside of the recvWindow."}}
BALANCE = {
    "accountAlias": "AbCd",
    "asset": "USDT",
    "balance": "12.5",
    "crossWalletBalance": "12.5",
    "crossUnPnl": "-0.25",
    "availableBalance": "12.25",
    "maxWithdrawAmount": "12.25",
}
CAPTURED = Path(__file__).resolve().parents[2] / ".." / "shared" / "exchange" / "fixtures"


def lines(*documents: Any) -> bytes:
    return "\n".join(json.dumps(document) for document in documents).encode()


@pytest.mark.parametrize("document", [ENVELOPE, [ROW], ROW, {"result": [ROW]}])
@pytest.mark.parametrize("indent", [None, 1])
def test_one_saved_document_is_one_snapshot(document: Any, indent: int | None) -> None:
    (snapshot,) = decode_saved(json.dumps(document, indent=indent).encode())
    assert [position.symbol for position in snapshot] == ["SOLUSDT"]


def test_single_rows_that_follow_one_another_are_one_answer_until_one_comes_again() -> None:
    other = {**ROW, "symbol": "XRPUSDT"}
    answers = decode_saved(lines(ROW, other, ROW, [other], other))
    assert [[position.symbol for position in answer] for answer in answers] == [
        ["SOLUSDT", "XRPUSDT"],
        ["SOLUSDT"],
        ["XRPUSDT"],
        ["XRPUSDT"],
    ]


def test_a_line_each_is_a_snapshot_each() -> None:
    snapshots = decode_saved(lines(ENVELOPE, [], [ROW], ROW) + b"\r\n\n")
    assert [len(snapshot) for snapshot in snapshots] == [1, 0, 1, 1]


def test_an_empty_array_is_a_snapshot_without_positions() -> None:
    assert decode_saved(b"\xef\xbb\xbf[]") == [()]


@pytest.mark.parametrize("document", [REFUSAL, {"id": "1", "status": 500}, {"error": {"code": -1000, "msg": ""}}])
def test_a_saved_refusal_is_no_snapshot(document: Any) -> None:
    with pytest.raises(MalformedAnswer, match="refusal"):
        decode_saved(lines(document))
    with pytest.raises(MalformedAnswer, match=r"Line 2: .*refusal"):
        decode_saved(lines(ENVELOPE, document))


def test_a_bad_line_is_named() -> None:
    with pytest.raises(MalformedAnswer, match=r"Line 3: .*markPrice"):
        decode_saved(lines([ROW], [], {**ROW, "markPrice": "Infinity"}))
    with pytest.raises(MalformedAnswer, match=r"Line 2: .*JSON"):
        decode_saved(lines([ROW]) + b"\n[{")


@pytest.mark.parametrize("data", [b"", b" \n", b"nonsense", b"5", b"\xff\xfe", b'{"status":200}'])
def test_a_file_of_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        decode_saved(data)


def _captured() -> list[Path]:
    return [*CAPTURED.glob("wsapi/v2_account_position_*.json"), *CAPTURED.glob("rest/positionRisk_v3_*.json")]


@pytest.mark.skipif(not _captured(), reason="the captured answers are not beside the repository")
def test_every_captured_answer_is_read_digit_for_digit() -> None:
    for path in _captured():
        document = json.loads(path.read_bytes())
        rows = document.get("result", [document]) if isinstance(document, dict) else document
        (snapshot,) = decode_saved(path.read_bytes())
        assert len(snapshot) == len(rows)
        for row, position in zip(rows, snapshot, strict=True):
            assert position.position_amt.as_tuple() == Decimal(row["positionAmt"]).as_tuple()
            assert position.mark_price.as_tuple() == Decimal(row["markPrice"]).as_tuple()
            assert position.extra == {}
