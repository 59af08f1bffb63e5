from datetime import UTC, datetime
from pathlib import Path

import pytest

from recorder.binance.pause import PauseFile

UNTIL = datetime(2026, 3, 1, 12, 31, 0, 123_000, tzinfo=UTC)


def test_a_pause_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "pause.json"
    PauseFile(path).write(UNTIL)
    assert PauseFile(path).read() == UNTIL
    assert path.stat().st_mode & 0o777 == 0o600
    PauseFile(path).write(UNTIL.replace(year=2027))
    assert PauseFile(path).read() == UNTIL.replace(year=2027)
    assert list(path.parent.iterdir()) == [path]


def test_without_a_file_there_is_no_pause(tmp_path: Path) -> None:
    assert PauseFile(tmp_path / "pause.json").read() is None


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b"{}", b'{"paused_until":5}', b'{"paused_until":"2026-03-01"}']
)
def test_a_spoilt_file_is_no_pause(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pause.json"
    path.write_bytes(content)
    assert PauseFile(path).read() is None


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    PauseFile(tmp_path / "file" / "pause.json").write(UNTIL)
    assert "not outlast a restart" in caplog.text
