"""A spool that somebody or something damaged: exactly the damaged records are lost, known to be lost, and put aside."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zlib import crc32

import pytest

from recorder.exceptions import SpoolInUse, SpoolUnusable
from recorder.spool.folder import Folder
from recorder.spool.log import Log
from recorder.spool.opening import open_spool, spool_path
from recorder.spool.reader import Loss
from recorder.spool.record import Record
from recorder.spool.segment import HEADER, segment_name

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PAYLOADS = [b"first payload", b"second payload", b"third payload", b"fourth payload"]


def opened(path: Path) -> Log:
    return Log(Folder(path), limit=100_000, replay_window=timedelta(hours=1))


def filled(path: Path) -> Path:
    """Write a spool of four records, a second between each, and return its only segment."""
    Folder(path).make()
    log = opened(path)
    for number, payload in enumerate(PAYLOADS):
        log.append([payload], NOON + number * SECOND)
    log.close()
    return path / segment_name(1)


def test_a_flipped_bit_anywhere_loses_exactly_the_record_it_is_in_and_says_between_which_times(tmp_path: Path) -> None:
    segment = filled(tmp_path / "spool")
    whole = segment.read_bytes()
    size = 28 + len(PAYLOADS[0])
    for offset in range(HEADER + size):
        segment.write_bytes(whole[:offset] + bytes([whole[offset] ^ 4]) + whole[offset + 1 :])
        log = opened(segment.parent)
        found = list(log.read())
        kept = [each.payload for each in found if isinstance(each, Record)]
        if offset < HEADER:  # what the header says, the records say too
            assert kept == PAYLOADS
            assert log.damaged == 1
        else:
            assert kept == PAYLOADS[1:]
            assert found[0] == Loss(1, 1, None, NOON + SECOND)
        log.close()
    assert {each.name for each in segment.parent.glob("damaged-*")} >= {f"damaged-{1:010}-{HEADER}"}


def test_a_damaged_record_in_the_middle_is_lost_between_the_times_of_its_neighbours(tmp_path: Path) -> None:
    segment = filled(tmp_path / "spool")
    segment.write_bytes(segment.read_bytes().replace(b"second", b"sec0nd"))
    found = list(opened(segment.parent).read())
    assert [each.payload for each in found if isinstance(each, Record)] == [PAYLOADS[0], *PAYLOADS[2:]]
    assert [each for each in found if isinstance(each, Loss)] == [Loss(1, 2, NOON, NOON + 2 * SECOND)]


def test_a_segment_cut_at_any_byte_keeps_every_record_that_is_whole_and_takes_new_ones(tmp_path: Path) -> None:
    segment = filled(tmp_path / "spool")
    whole = segment.read_bytes()
    ends = [HEADER]
    for payload in PAYLOADS:
        ends.append(ends[-1] + 28 + len(payload))
    for size in range(len(whole)):
        for file in segment.parent.iterdir():
            file.unlink()
        segment.write_bytes(whole[:size])
        log = opened(segment.parent)
        kept = [payload for payload, end in zip(PAYLOADS, ends[1:], strict=True) if end <= size]
        log.append([b"new"], NOON)
        assert [each.payload for each in log.read() if isinstance(each, Record)] == [*kept, b"new"]
        log.close()
        again = opened(segment.parent)
        assert [each.payload for each in again.read() if isinstance(each, Record)] == [*kept, b"new"]
        assert again.torn == 0


def test_a_segment_that_somebody_deleted_is_a_loss_and_not_the_end(tmp_path: Path) -> None:
    Folder(tmp_path / "spool").make()
    log = Log(Folder(tmp_path / "spool"), limit=100_000, replay_window=SECOND, segment_bytes=10)
    for number in range(3):
        log.append([b"%d" % number], NOON + number * SECOND)
    log.close()
    (tmp_path / "spool" / segment_name(2)).unlink()
    found = list(opened(tmp_path / "spool").read())
    assert found[1] == Loss(1, 2, NOON, NOON + 2 * SECOND)
    assert [each.payload for each in found if isinstance(each, Record)] == [b"0", b"2"]


def test_a_segment_of_a_newer_format_is_refused_with_a_text_that_says_so(tmp_path: Path) -> None:
    segment = filled(tmp_path / "spool")
    head = segment.read_bytes()[: HEADER - 4]
    newer = head[:8] + (2).to_bytes(4, "little") + head[12:]
    segment.write_bytes(newer + crc32(newer).to_bytes(4, "little"))
    with pytest.raises(SpoolUnusable, match="format 2") as refused:
        opened(segment.parent)
    assert "newer version" in refused.value.why


def test_a_second_process_is_refused_and_told_who_holds_the_spool(tmp_path: Path) -> None:
    with (
        open_spool(tmp_path, limit=2**20, replay_window=SECOND),
        pytest.raises(SpoolInUse) as refused,
        open_spool(tmp_path, limit=2**20, replay_window=SECOND),
    ):
        pass
    assert "storage.data_dir" in refused.value.why


def test_the_spool_is_its_owners_alone(tmp_path: Path) -> None:
    with open_spool(tmp_path, limit=2**20, replay_window=SECOND) as log:
        log.append([b"x"], NOON)
        log.commit(1, NOON)
        folder = spool_path(tmp_path)
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
        assert {file.name for file in folder.iterdir()} == {segment_name(1), "checkpoint", "lock", "reserve"}
