import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.command import Recorder, Rows, Running

ROW = {
    "symbol": "BTCUSDT",
    "positionSide": "BOTH",
    "positionAmt": "0.0090",
    "entryPrice": "67445.9",
    "markPrice": "67582.20000000",
    "unRealizedProfit": "1.22670000",
    "updateTime": 1722161166529,
}


async def settings_of(running: Running, accounts: int) -> str:
    """What it printed, once all of it is there."""
    await running.says("the simulated exchange listens")
    assert running.stdout.count("[[accounts]]") == accounts
    return running.stdout


def is_private(file: str) -> bool:
    return Path(file).stat().st_mode & 0o077 == 0


async def test_the_printed_settings_are_all_that_a_snapshot_needs(recorder: Recorder, rows: Rows) -> None:
    async with recorder.started("simulate", "--port", "0", "--accounts", "4", "--positions", "3") as simulating:
        (recorder.folder / "recorder.toml").write_text(await settings_of(simulating, 4))
        taken = await recorder("snapshot", "--json")
        checked = await recorder("check", "--json")
        finished = await simulating.stop()

    assert taken.code == 0, taken.stderr
    assert [row["account"] for row in taken.json] == ["main", "hedge", "ed25519", "rsa"]
    assert {row["outcome"] for row in taken.json} == {"ok"}
    assert checked.code == 0, checked.stdout
    assert len(await rows("SELECT DISTINCT account FROM bi.position_sample")) == 4
    assert finished.code == 0
    assert "the simulated exchange listens on ws://127.0.0.1:" in finished.stderr
    for key in ("ed25519.pem", "rsa.pem"):
        assert key in finished.stdout


async def test_its_keys_are_gone_with_it(recorder: Recorder) -> None:
    async with recorder.started("simulate", "--port", "0", "--accounts", "3") as simulating:
        settings = await settings_of(simulating, 3)
        key = settings.partition('"file:')[2].partition('"')[0]
        assert is_private(key)
        await simulating.stop()

    with pytest.raises(FileNotFoundError):
        is_private(key)


async def test_the_same_seed_makes_the_same_accounts(recorder: Recorder) -> None:
    printed = []
    for _ in range(2):
        async with recorder.started("simulate", "--port", "0", "--accounts", "2", "--seed", "3") as simulating:
            printed.append((await settings_of(simulating, 2)).partition("[[accounts]]")[2])
            await simulating.stop()

    assert printed[0] == printed[1]


async def test_rows_of_a_file_are_served_as_they_are(recorder: Recorder, rows: Rows) -> None:
    (recorder.folder / "rows.json").write_text(json.dumps([ROW]))
    async with recorder.started("simulate", "--port", "0", "--accounts", "1", "--rows", "rows.json") as simulating:
        (recorder.folder / "recorder.toml").write_text(await settings_of(simulating, 1))
        taken = await recorder("snapshot")
        await simulating.stop()

    assert taken.code == 0, taken.stderr
    recorded = await rows("SELECT symbol, position_amt::text, mark_price::text, update_time FROM bi.position_sample")
    assert recorded == [
        {
            "symbol": "BTCUSDT",
            "position_amt": "0.0090",
            "mark_price": "67582.20000000",
            "update_time": datetime(2024, 7, 28, 10, 6, 6, 529_000, tzinfo=UTC),
        }
    ]


async def test_a_file_without_rows_is_a_configuration_error(recorder: Recorder) -> None:
    (recorder.folder / "rows.json").write_text("[1]")

    finished = await recorder("simulate", "--port", "0", "--rows", "rows.json")

    assert finished.code == 78
    assert finished.stdout == ""
    assert "error: rows.json has no position rows" in finished.stderr


async def test_a_port_that_is_taken_is_a_configuration_error(recorder: Recorder) -> None:
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]

    finished = await recorder("simulate", "--port", str(port))
    taken.close()

    assert finished.code == 78
    assert "choose another port" in finished.stderr
