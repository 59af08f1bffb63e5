"""Messages that were captured from the exchange, replayed through a real socket, give what they state."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from recorder.simulator.scenario import Scenario
from recorder.simulator.trader import Habits
from tests.money.conftest import At

CAPTURED = Path(__file__).resolve().parents[2] / ".." / "shared" / "exchange" / "fixtures" / "user_stream"
HISTORY = """
    SELECT symbol, position_side, update_time, position_amt, entry_price, accumulated_realized, reason
    FROM bi.position_history WHERE source = 'stream'
"""
FILLS = (
    "SELECT symbol, trade_id, time, side, quantity, price, commission, commission_asset, realized_profit FROM bi.fill"
)
BALANCES = 'SELECT asset, "time", wallet_balance, balance_change, reason FROM recorder.balance_change'

pytestmark = pytest.mark.skipif(not CAPTURED.is_dir(), reason="the captured messages are not beside the repository")


def messages() -> list[dict[str, Any]]:
    """Every captured message but those after which the exchange sends nothing more."""
    found = []
    for file in sorted(CAPTURED.glob("*.json")):
        content = json.loads(file.read_text())
        found += content if isinstance(content, list) else [content]
    return [message for message in found if message.get("e") not in {None, "listenKeyExpired"}]


def at(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)


async def test_captured_messages_give_the_changes_fills_and_balances_that_they_state(recorder_at: At) -> None:
    quiet = Scenario(accounts=1, habits=Habits(pause=timedelta(days=36_500)))
    world = quiet.world(2, datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1))
    updates = [message for message in messages() if message["e"] == "ACCOUNT_UPDATE"]
    trades = [m["o"] for m in messages() if m["e"] == "ORDER_TRADE_UPDATE" and m["o"]["x"] == "TRADE"]
    balances = {
        (row["a"], at(m["T"]), Decimal(row["wb"]), Decimal(row["bc"]) if "bc" in row else None, m["a"]["m"])
        for m in updates
        for row in m["a"]["B"]
    }
    async with recorder_at(world) as recorder, recorder.recording(every="1h"):
        for message in messages():
            recorder.exchange.push("main", json.dumps(message))
        await recorder.until("SELECT count(*) = :all FROM recorder.balance_change", all=len(balances))
        await recorder.until("SELECT count(*) = :all FROM bi.fill", all=len(trades))
        history = await recorder.rows(HISTORY)
        fills = await recorder.rows(FILLS)
        told = await recorder.rows(BALANCES)

    assert set(told) == balances
    assert set(history) == {
        (
            row["s"],
            row["ps"],
            at(m["T"]),
            Decimal(row["pa"]),
            Decimal(row["ep"]),
            Decimal(row["cr"]),
            m["a"]["m"],
        )
        for m in updates
        for row in m["a"].get("P", [])
    }
    assert set(fills) == {
        (
            order["s"],
            order["t"],
            at(order["T"]),
            order["S"],
            Decimal(order["l"]),
            Decimal(order["L"]),
            -Decimal(order["n"]),
            order["N"],
            Decimal(order["rp"]),
        )
        for order in trades
    }
