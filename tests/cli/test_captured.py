"""Real input: answers captured from the exchange end in ``bi.position_sample`` with every digit.

They lie beside the repository; without them these tests are skipped.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from recorder.simulator.exchange import Simulator
from recorder.simulator.scenario import Scenario
from recorder.simulator.settings import settings_text
from tests.cli.command import REPOSITORY, Recorder, Rows

FIXTURES = REPOSITORY.parent / "shared" / "exchange" / "fixtures"
FILES = sorted([*FIXTURES.glob("wsapi/*account_position_*.json"), *FIXTURES.glob("rest/positionRisk_*.json")])
MISSING = f"the captured answers are not there: {FIXTURES.name} beside the repository"

pytestmark = pytest.mark.skipif(not FILES, reason=MISSING)

NUMBERS = {
    "positionAmt": "position_amt",
    "entryPrice": "entry_price",
    "breakEvenPrice": "break_even_price",
    "markPrice": "mark_price",
    "unRealizedProfit": "unrealized_profit",
    "unrealizedProfit": "unrealized_profit",
    "liquidationPrice": "liquidation_price",
    "isolatedMargin": "isolated_margin",
    "notional": "notional",
    "isolatedWallet": "isolated_wallet",
    "initialMargin": "initial_margin",
    "maintMargin": "maint_margin",
    "positionInitialMargin": "position_initial_margin",
    "openOrderInitialMargin": "open_order_initial_margin",
    "bidNotional": "bid_notional",
    "askNotional": "ask_notional",
}
TEXTS = {"symbol": "symbol", "positionSide": "position_side", "marginAsset": "margin_asset"}
ELSEWHERE = {"updateTime", "adl"}


def captured_rows(file: Path) -> list[dict[str, Any]]:
    document = json.loads(file.read_text(), parse_float=Decimal)
    found = document.get("result", document) if isinstance(document, dict) else document
    return found if isinstance(found, list) else [found]


def as_recorded(row: dict[str, Any]) -> dict[str, Any]:
    """What must stand in the view for a captured row: numbers as the very text that was captured."""
    expected: dict[str, Any] = dict.fromkeys([*NUMBERS.values(), *TEXTS.values()])
    expected |= {column: row[field] for field, column in {**NUMBERS, **TEXTS}.items() if field in row}
    unknown = {field: row[field] for field in row.keys() - NUMBERS.keys() - TEXTS.keys() - ELSEWHERE}
    return expected | {
        "update_time": datetime.fromtimestamp(int(row["updateTime"]) / 1000, UTC),
        "adl": int(row["adl"]) if "adl" in row else None,
        "extra": unknown or None,
    }


async def recorded(rows: Rows, condition: str) -> list[dict[str, Any]]:
    numbers = ", ".join(f"{column}::text" for column in dict.fromkeys(NUMBERS.values()))
    others = ", ".join([*TEXTS.values(), "update_time", "adl", "extra"])
    return await rows(
        f"SELECT {numbers}, {others} FROM bi.position_sample WHERE {condition} ORDER BY symbol, position_side"
    )


@pytest.fixture
async def exchange() -> AsyncIterator[Simulator]:
    """An exchange with one account for each captured file."""
    world = Scenario(accounts=len(FILES)).world(seed=5, start=datetime.now(UTC))
    async with Simulator(world) as simulator:
        for account, file in zip(world.accounts, FILES, strict=True):
            simulator.serve_rows(file, account=account)
        yield simulator


def test_the_captured_answers_are_those_that_must_pass() -> None:
    names = {file.name for file in FILES}
    assert sum(name.startswith("v2_account_position_") for name in names) >= 3
    assert sum(name.startswith("positionRisk_v3_") for name in names) >= 4
    assert any(name.endswith(".partial.json") for name in names)


async def test_every_captured_number_comes_through_run_digit_for_digit(
    recorder: Recorder, exchange: Simulator, rows: Rows
) -> None:
    settings = settings_text(exchange, exchange.world.accounts.values(), recorder.folder)
    (recorder.folder / "recorder.toml").write_text(f'[snapshot]\nevery = "5s"\n[http]\nlisten = ""\n{settings}')

    async with recorder.started("run") as running:
        async with asyncio.timeout(30):
            while len(await rows("SELECT DISTINCT account FROM bi.snapshot WHERE outcome = 'ok'")) < len(FILES):
                assert not running.ended, running.stderr
                await asyncio.sleep(0.1)
        finished = await running.stop()

    assert finished.code == 0, finished.stderr
    for account, file in zip(exchange.world.accounts, FILES, strict=True):
        expected = sorted(map(as_recorded, captured_rows(file)), key=lambda row: (row["symbol"], row["position_side"]))
        newest = (
            f"account = '{account}' AND time = (SELECT max(time) FROM bi.position_sample WHERE account = '{account}')"
        )
        assert await recorded(rows, newest) == expected, file.name
    assert {row["outcome"] for row in await rows("SELECT outcome FROM bi.snapshot")} == {"ok"}


async def test_every_captured_number_comes_through_import_digit_for_digit(recorder: Recorder, rows: Rows) -> None:
    finished = await recorder("import", *map(str, FILES), "--account", "main", "--at", "2026-11-01T12:00", "--json")

    assert finished.code == 0, finished.stderr
    assert [row["file"] for row in finished.json] == [str(file) for file in FILES]
    for told, file in zip(finished.json, FILES, strict=True):
        expected = sorted(map(as_recorded, captured_rows(file)), key=lambda row: (row["symbol"], row["position_side"]))
        assert await recorded(rows, f"time = '{told['time']}'") == expected, file.name
