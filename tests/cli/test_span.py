"""The range that is asked for, and its buckets."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
import time_machine

from recorder.cli.span import Span, Unit, beginning, span_of
from tests.cli.pnl_scene import NOW


def test_a_bucket_begins_in_utc_whatever_the_zone_of_the_time() -> None:
    time = datetime(2026, 3, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    assert [beginning(time, unit) for unit in Unit] == [
        datetime(2026, 2, 28, 23, tzinfo=UTC),
        datetime(2026, 2, 28, tzinfo=UTC),
        datetime(2026, 2, 1, tzinfo=UTC),
    ]


@pytest.mark.parametrize(
    ("by", "since"),
    [
        (Unit.HOUR, datetime(2026, 3, 1, 9, tzinfo=UTC)),
        (Unit.DAY, datetime(2026, 2, 1, tzinfo=UTC)),
        (Unit.MONTH, datetime(2025, 3, 1, tzinfo=UTC)),
    ],
)
def test_without_since_the_range_is_the_usual_one(by: Unit, since: datetime) -> None:
    with time_machine.travel(NOW, tick=False):
        assert span_of(None, by) == Span(since=since, until=NOW)
