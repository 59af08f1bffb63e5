"""An account whose positions are all gone at once is shouted about, unless something told of a close."""

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from recorder.domain.position import Key, Position
from recorder.domain.snapshot import Kind, Outcome, Snapshot
from recorder.watching.emptiness import Emptiness

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def snapshot(minute: int, *symbols: str, outcome: Outcome = Outcome.OK) -> Snapshot:
    time = NOON + timedelta(minutes=minute)
    positions = tuple(
        Position(
            symbol=symbol,
            position_side="BOTH",
            position_amt=Decimal(1),
            entry_price=Decimal(1),
            update_time=NOON,
            mark_price=Decimal(1),
            unrealized_profit=Decimal(0),
        )
        for symbol in symbols
    )
    return Snapshot(account="main", time=time, kind=Kind.SLOT, taken_at=time, outcome=outcome, positions=positions)


def looked_empty(*snapshots: Snapshot, flat: frozenset[Key] = frozenset(), at_least: int = 1) -> list[str]:
    looked: list[str] = []
    emptiness = Emptiness("main", told_flat=flat.__contains__, at_least=at_least, looked=looked.append)
    for each in snapshots:
        emptiness.note(each)
    return looked


def test_an_account_that_loses_all_its_positions_at_once_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    assert looked_empty(snapshot(0, "A", "B"), snapshot(1), snapshot(2), snapshot(3)) == ["main"]
    (said,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "main looks empty" in said.getMessage()


def test_a_failed_snapshot_does_not_look_empty_and_hides_nothing() -> None:
    failed = snapshot(1, outcome=Outcome.TIMEOUT)
    assert looked_empty(snapshot(0, "A"), failed) == []
    assert looked_empty(snapshot(0, "A"), failed, snapshot(2)) == ["main"]


def test_closes_that_were_told_or_that_leave_something_are_nothing_to_shout_about() -> None:
    assert looked_empty(snapshot(0, "A", "B"), snapshot(1), flat=frozenset({("A", "BOTH")})) == []
    assert looked_empty(snapshot(0, "A", "B"), snapshot(1, "B")) == []
    assert looked_empty(snapshot(0, "A"), snapshot(1), at_least=2) == []
