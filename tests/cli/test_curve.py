"""Curves, drawn in the terminal and as pictures."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from recorder.cli.chart import draw
from recorder.cli.curve import Curve, Step, bucket_for
from recorder.cli.picture import save_curves
from recorder.exceptions import RecorderError

BRAILLE = re.compile("[\u2801-\u28ff]")
SINCE = datetime(2026, 2, 1, tzinfo=UTC)


def flat_curve(*days: int) -> Curve:
    """A curve of thirty days that were watched on the given ones only."""
    day = timedelta(days=1)
    steps = [
        Step(
            begin=SINCE + number * day,
            end=SINCE + (number + 1) * day,
            net_profit=Decimal("7.5"),
            unrealized_profit=Decimal(0),
        )
        for number in days
    ]
    return Curve(account="main", symbol=None, asset="USDT", since=SINCE, until=SINCE + 30 * day, steps=steps)


def test_the_drawn_line_breaks_where_nobody_watched() -> None:
    whole = draw(flat_curve(*range(30)), 80, coloured=False)
    broken = draw(flat_curve(*range(10), *range(20, 30)), 80, coloured=False)
    (whole_line,) = [line for line in whole.splitlines() if len(BRAILLE.findall(line)) > 20]
    (broken_line,) = [line for line in broken.splitlines() if len(BRAILLE.findall(line)) > 20]
    assert not re.search(r"[\u2801-\u28ff] +[\u2801-\u28ff]", whole_line)
    (gap,) = re.findall(r"[\u2801-\u28ff]( +)[\u2801-\u28ff]", broken_line)
    assert abs(len(gap) - len(BRAILLE.findall(whole_line)) / 3) <= 2


def test_a_single_watched_bucket_can_be_seen() -> None:
    assert BRAILLE.search(draw(flat_curve(15), 80, coloured=False))


def test_every_unbroken_run_is_a_line_of_steps() -> None:
    lines = list(flat_curve(0, 1, 5).net_profit())
    day = timedelta(days=1)
    assert [[(time - SINCE) // day for time, _ in line] for line in lines] == [[0, 1, 1, 2], [5, 6]]


@pytest.mark.parametrize(
    ("span", "spacing", "bucket"),
    [
        (timedelta(days=30), timedelta(minutes=1), timedelta(hours=6)),
        (timedelta(hours=2), timedelta(minutes=1), timedelta(minutes=1)),
        (timedelta(hours=2), timedelta(minutes=5), timedelta(minutes=5)),
        (timedelta(hours=2), None, timedelta(minutes=1)),
        (timedelta(days=9000), timedelta(minutes=1), timedelta(days=9000) / 140),
    ],
)
def test_a_bucket_is_as_fine_as_the_drawing_but_no_finer_than_the_snapshots(
    span: timedelta, spacing: timedelta | None, bucket: timedelta
) -> None:
    assert bucket_for(span, spacing, 140) == bucket


def test_a_picture_that_cannot_be_written_is_an_error_of_the_work(tmp_path: Path) -> None:
    with pytest.raises(RecorderError, match=r"missing/curve\.svg cannot be written") as caught:
        save_curves([flat_curve(0)], tmp_path / "missing" / "curve.svg")
    assert caught.value.why == "No such file or directory"
