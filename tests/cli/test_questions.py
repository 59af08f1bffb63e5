"""``recorder positions``, ``history`` and ``gaps``: what is recorded comes out as it was written down."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.domain.position import Position
from recorder.domain.snapshot import Kind, Outcome, Snapshot
from recorder.recording import write
from tests.cli.command import Recorder

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LONG_NUMBER = "12345678901234567890.123456789012345678900"


def position(symbol: str, amount: str, minute: int, **fields: Any) -> Position:
    usual: dict[str, Any] = {
        "position_side": "BOTH",
        "entry_price": Decimal("100.50"),
        "break_even_price": Decimal("100.6"),
        "mark_price": Decimal("101.5"),
        "unrealized_profit": Decimal("-1.50"),
        "margin_asset": "USDT",
    }
    time = NOON + minute * MINUTE - MINUTE / 2
    return Position(symbol=symbol, position_amt=Decimal(amount), update_time=time, **(usual | fields))


def snapshot(minute: int, *positions: Position, account: str = "main") -> Snapshot:
    time = NOON + minute * MINUTE
    return Snapshot(account=account, time=time, kind=Kind.SLOT, taken_at=time, positions=positions)


def failed(minute: int, account: str = "main") -> Snapshot:
    time = NOON + minute * MINUTE
    return Snapshot(account=account, time=time, kind=Kind.SLOT, taken_at=time, outcome=Outcome.TIMEOUT, detail="late")


@pytest.fixture
async def filled(recorder: Recorder, engine: AsyncEngine) -> Recorder:
    """BTCUSDT of main is opened at 12:00, grows at 12:01 and is gone at 12:02; hedge holds one short all the time."""
    precise = position("币安人生USDT", f"-{LONG_NUMBER}", 0, position_side="SHORT")
    held = position("ETHUSDT", "2.0", 0)
    await write(
        engine,
        [
            snapshot(0, position("BTCUSDT", "0.50", 0), held),
            snapshot(1, position("BTCUSDT", "0.75", 1), held),
            snapshot(2, held),
            failed(3),
            snapshot(0, precise, account="hedge"),
            snapshot(3, precise, account="hedge"),
            Gap(
                account="hedge",
                source=GapSource.SNAPSHOT,
                started_at=NOON,
                ended_at=NOON + 3 * MINUTE,
                reason=GapReason.NOT_RUNNING,
            ),
            Gap(
                account="main",
                source=GapSource.STREAM,
                started_at=NOON + MINUTE,
                ended_at=None,
                reason=GapReason.BUFFER_FULL,
            ),
        ],
    )
    return recorder


async def test_positions_now_are_those_of_the_newest_ok_snapshot_exactly(filled: Recorder) -> None:
    finished = await filled("positions", "--json")

    assert finished.code == 0
    assert finished.stderr == ""
    hedge, main = finished.json
    assert float(hedge.pop("age_seconds")) > 0
    assert hedge == {
        "account": "hedge",
        "symbol": "币安人生USDT",
        "position_side": "SHORT",
        "position_amt": f"-{LONG_NUMBER}",
        "entry_price": "100.50",
        "mark_price": "101.5",
        "unrealized_profit": "-1.50",
        "margin_asset": "USDT",
        "update_time": "2026-11-20T11:59:30Z",
        "time": "2026-11-20T12:03:00Z",
    }
    assert (main["account"], main["symbol"], main["position_amt"]) == ("main", "ETHUSDT", "2.0")
    assert main["time"] == "2026-11-20T12:02:00Z"


async def test_positions_then_are_those_in_force_at_that_time(filled: Recorder) -> None:
    finished = await filled("positions", "--account", "main", "--at", "2026-11-20T12:01:10", "--json")

    assert finished.code == 0
    bitcoin, ether = finished.json
    assert bitcoin == {
        "account": "main",
        "symbol": "BTCUSDT",
        "position_side": "BOTH",
        "position_amt": "0.75",
        "entry_price": "100.50",
        "break_even_price": "100.6",
        "margin_asset": "USDT",
        "update_time": "2026-11-20T12:00:30Z",
        "valid_to": "2026-11-20T12:02:00Z",
        "source": "snapshot",
    }
    assert (ether["symbol"], ether["valid_to"]) == ("ETHUSDT", None)


async def test_a_state_is_in_force_from_its_first_instant_until_before_the_next(filled: Recorder) -> None:
    expected = {"11:59:29": [], "11:59:30": ["0.50", "2.0"], "12:00:30": ["0.75", "2.0"], "12:02:00": ["2.0"]}

    finished = await asyncio.gather(
        *(filled("positions", "--account", "main", "--at", f"2026-11-20T{at}", "--json") for at in expected)
    )

    for amounts, each in zip(expected.values(), finished, strict=True):
        assert [row["position_amt"] for row in each.json] == amounts


async def test_history_tells_every_change_oldest_first(filled: Recorder) -> None:
    finished = await filled("history", "--account", "main", "--symbol", "BTCUSDT", "--json")

    assert finished.code == 0
    opened, grown, closed = finished.json
    assert opened == {
        "account": "main",
        "symbol": "BTCUSDT",
        "position_side": "BOTH",
        "update_time": "2026-11-20T11:59:30Z",
        "valid_to": "2026-11-20T12:00:30Z",
        "position_amt": "0.50",
        "entry_price": "100.50",
        "break_even_price": "100.6",
        "margin_asset": "USDT",
        "accumulated_realized": None,
        "reason": None,
        "source": "snapshot",
        "observed_at": "2026-11-20T12:00:00Z",
        "contradicted_by": None,
    }
    assert (grown["position_amt"], grown["source"]) == ("0.75", "snapshot")
    assert (closed["position_amt"], closed["source"], closed["valid_to"]) == ("0", "inferred", None)


async def test_history_since_a_time_leaves_out_what_was_before(filled: Recorder) -> None:
    finished = await filled("history", "--since", "2026-11-20T12:00:30", "--json")

    assert [(row["account"], row["position_amt"]) for row in finished.json] == [("main", "0.75"), ("main", "0")]


async def test_gaps_are_told_with_their_reason_the_open_one_included(filled: Recorder) -> None:
    finished = await filled("gaps", "--json")

    assert finished.code == 0
    assert finished.json == [
        {
            "account": "hedge",
            "source": "snapshot",
            "started_at": "2026-11-20T12:00:00Z",
            "ended_at": "2026-11-20T12:03:00Z",
            "reason": "not_running",
            "symbol": None,
            "position_side": None,
            "repaired_by": None,
        },
        {
            "account": "main",
            "source": "stream",
            "started_at": "2026-11-20T12:01:00Z",
            "ended_at": None,
            "reason": "buffer_full",
            "symbol": None,
            "position_side": None,
            "repaired_by": None,
        },
    ]


async def test_gaps_since_a_time_are_those_that_had_not_ended(filled: Recorder) -> None:
    finished = await filled("gaps", "--since", "2026-11-20T12:03:01", "--json")

    assert [row["account"] for row in finished.json] == ["main"]


@pytest.mark.parametrize("command", ["positions", "history", "gaps"])
async def test_people_get_a_table_that_no_width_cuts_and_no_escape_code_spoils(filled: Recorder, command: str) -> None:
    finished = await filled(command, COLUMNS="40", NO_COLOR="1", TERM="xterm-256color")

    assert finished.code == 0
    assert finished.stderr == ""
    header, *lines = finished.stdout.splitlines()
    assert "account" in header
    assert lines
    assert "\x1b" not in finished.stdout
    if command != "gaps":
        assert f"-{LONG_NUMBER}" in finished.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("positions",), "No open positions are recorded."),
        (("positions", "--at", "2020-01-01"), "No position was recorded as open at that time."),
        (("history",), "No changes are recorded for that."),
        (("gaps",), "No gaps: every account was watched all the time."),
    ],
)
async def test_nothing_to_tell_is_said_on_stderr_and_is_an_empty_list_for_programs(
    recorder: Recorder, arguments: tuple[str, ...], sentence: str
) -> None:
    told, listed = await asyncio.gather(recorder(*arguments), recorder(*arguments, "--json"))

    assert (told.code, told.stdout) == (0, "")
    assert sentence in told.stderr
    assert (listed.code, listed.json, listed.stderr) == (0, [], "")


async def test_a_database_without_schema_is_told_with_the_command_that_makes_it(
    recorder: Recorder, database: str
) -> None:
    empty = database.rpartition("/")[0] + "/postgres"

    finished = await recorder("positions", RECORDER_DATABASE__URL=empty)

    assert finished.code == 1
    assert "fix: recorder db upgrade" in finished.stderr
