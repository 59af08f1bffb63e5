import json
from pathlib import Path

import pytest

from recorder.exceptions import ConfigurationError
from recorder.simulator.captured import captured_rows, symbol_of

ROW = '{"symbol" : "币安人生USDT", "positionAmt": "1.50", "adl": "2",\n "odd": 1.0E-8, "updateTime": "1722161166529"}'
FIXTURES = Path(__file__).resolve().parents[2] / ".." / "shared" / "exchange" / "fixtures"
OTHER = '{"symbol":"BTCUSDT","positionAmt":"0.000"}'


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (f'{{"id": "1", "status": 200, "result": [ {ROW}, {OTHER} ], "rateLimits": []}}', (ROW, OTHER)),
        (f"\n[{ROW} ,\n{OTHER}]\n", (ROW, OTHER)),
        (f"{ROW}\n", (ROW,)),
        ("[]", ()),
    ],
    ids=["envelope", "array", "row", "empty"],
)
def test_rows_are_kept_to_the_letter(tmp_path: Path, content: str, rows: tuple[str, ...]) -> None:
    file = tmp_path / "rows.json"
    file.write_text(content)
    assert captured_rows(file) == rows


@pytest.mark.parametrize("content", ["", "nonsense", "[1]", '{"result": {}}', '{"status": 400}', '[{"symbol": 1}]'])
def test_a_file_without_rows_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "rows.json"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=r"rows\.json has no position rows") as caught:
        captured_rows(file)
    assert caught.value.why
    assert caught.value.fix


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.json cannot be read"):
        captured_rows(tmp_path / "absent.json")


def test_the_symbol_of_a_row_can_be_read() -> None:
    assert symbol_of(ROW) == "币安人生USDT"


@pytest.mark.skipif(not FIXTURES.exists(), reason="the captured answers are not beside the repository")
def test_every_captured_answer_can_be_served() -> None:
    files = [*FIXTURES.glob("wsapi/v2_account_position_*"), *FIXTURES.glob("rest/positionRisk_v3_*")]
    assert len(files) >= 7
    for file in files:
        content = file.read_text()
        rows = captured_rows(file)
        assert rows
        for row in rows:
            assert row in content
            assert json.loads(row)["symbol"] == symbol_of(row)
