from datetime import UTC, datetime
from decimal import Decimal

import pytest

from recorder.domain.position import NEVER, Position
from recorder.domain.snapshot import Kind, Outcome, Snapshot

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def row(symbol: str) -> Position:
    return Position(
        symbol=symbol,
        position_side="BOTH",
        position_amt=Decimal(1),
        entry_price=Decimal(1),
        mark_price=Decimal(1),
        unrealized_profit=Decimal(0),
        update_time=NEVER,
    )


def test_a_failed_snapshot_cannot_have_positions() -> None:
    with pytest.raises(ValueError, match="main: a failed snapshot has no positions"):
        Snapshot(
            account="main",
            time=NOON,
            kind=Kind.SLOT,
            taken_at=NOON,
            outcome=Outcome.TIMEOUT,
            positions=(row("BTCUSDT"),),
        )


def test_a_symbol_and_side_stand_in_a_snapshot_once() -> None:
    with pytest.raises(ValueError, match="same symbol and side twice"):
        Snapshot(account="main", time=NOON, kind=Kind.SLOT, taken_at=NOON, positions=(row("BTCUSDT"), row("BTCUSDT")))
