"""``recorder import``: every shape of file, and that nothing is lost, doubled or half done."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Recorder, Rows

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
ROW = {
    "symbol": "BTCUSDT",
    "positionSide": "BOTH",
    "positionAmt": "0.009",
    "entryPrice": "67445.90",
    "breakEvenPrice": "67479.62295",
    "markPrice": "67582.20000000",
    "unRealizedProfit": "1.22670000",
    "liquidationPrice": "0",
    "marginAsset": "USDT",
    "adl": 2,
    "updateTime": 1722161166529,
}
OTHER = ROW | {"symbol": "ETHUSDT", "positionAmt": "-1.5"}
SHAPES = {
    "an envelope": {"id": "1", "status": 200, "result": [ROW, OTHER], "rateLimits": []},
    "a bare array": [ROW, OTHER],
}


Save = Callable[[str], Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write the file that is imported."""

    def write(content: str) -> Path:
        file = tmp_path / "saved.json"
        file.write_text(content)
        return file

    return write


def later(row: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return row | {"updateTime": row["updateTime"] + 1000} | fields


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_whole_answer_is_one_snapshot(recorder: Recorder, save: Save, rows: Rows, shape: str) -> None:
    save(json.dumps(SHAPES[shape]))

    finished = await recorder("import", "saved.json", "--account", "main", "--at", "2026-11-01T12:00", "--json")

    assert finished.code == 0, finished.stderr
    assert finished.stderr == ""
    assert finished.json == [{"file": "saved.json", "time": "2026-11-01T12:00:00Z", "rows": 2, "outcome": "recorded"}]
    (snapshot,) = await rows("SELECT account, time, kind, outcome, position_count FROM bi.snapshot")
    assert snapshot == {"account": "main", "time": AT, "kind": "import", "outcome": "ok", "position_count": 2}
    samples = await rows("SELECT symbol, position_amt, time FROM bi.position_sample ORDER BY symbol")
    assert samples == [
        {"symbol": "BTCUSDT", "position_amt": Decimal("0.009"), "time": AT},
        {"symbol": "ETHUSDT", "position_amt": Decimal("-1.5"), "time": AT},
    ]
    assert {row["source"] for row in await rows("SELECT source FROM bi.position_history")} == {"import"}


async def test_a_single_row_is_an_answer(recorder: Recorder, save: Save, rows: Rows) -> None:
    save(json.dumps(ROW, indent=2))

    finished = await recorder("import", "saved.json", "--account", "main", "--at", "2026-11-01T12:00", "--json")

    assert finished.code == 0, finished.stderr
    assert finished.json[0]["rows"] == 1
    assert [row["symbol"] for row in await rows("SELECT symbol FROM bi.position_sample")] == ["BTCUSDT"]


async def test_each_line_is_an_answer_and_they_follow_one_another_in_order(
    recorder: Recorder, save: Save, rows: Rows
) -> None:
    amounts = ["0.009", "0.010", "0.009", "0"]  # the third says the same as the first, and is no repetition of it
    answers = [[later(ROW, positionAmt=amount, updateTime=0)] for amount in amounts]
    save("".join(json.dumps(answer) + "\n" for answer in answers))

    finished = await recorder("import", "saved.json", "--account", "main", "--at", "2026-11-01T12:00", "--json")

    assert finished.code == 0, finished.stderr
    assert [datetime.fromisoformat(row["time"]) for row in finished.json] == [
        AT + number * timedelta(microseconds=1) for number in range(4)
    ]
    history = await rows("SELECT position_amt::text FROM bi.position_history ORDER BY update_time")
    assert [row["position_amt"] for row in history] == amounts


async def test_without_a_time_it_is_the_files_own(recorder: Recorder, save: Save, rows: Rows) -> None:
    file = save(json.dumps([ROW]))
    modified = datetime(2026, 10, 3, 4, 5, 6, tzinfo=UTC)
    os.utime(file, (modified.timestamp(), modified.timestamp()))

    finished = await recorder("import", "saved.json", "--account", "main", "--json")

    assert finished.code == 0, finished.stderr
    assert finished.json[0]["time"] == "2026-10-03T04:05:06Z"
    assert [row["time"] for row in await rows("SELECT time FROM bi.snapshot")] == [modified]


async def test_imported_twice_is_recorded_once_and_a_different_answer_is_kept_beside_it(
    recorder: Recorder, save: Save, rows: Rows
) -> None:
    call = ("import", "saved.json", "--account", "main", "--at", "2026-11-01T12:00", "--json")
    save("\n".join(json.dumps([row]) for row in (ROW, later(ROW, positionAmt="2"), ROW)))

    first, second = await recorder(*call), await recorder(*call)
    save(json.dumps([later(ROW, markPrice="67582.20000001")]))
    third = await recorder(*call)

    assert [row["outcome"] for row in first.json] == ["recorded"] * 3
    assert [row["outcome"] for row in second.json] == ["known"] * 3
    assert [row["time"] for row in second.json] == [row["time"] for row in first.json]
    assert [(row["outcome"], row["time"]) for row in third.json] == [("recorded", "2026-11-01T12:00:00.000003Z")]
    assert len(await rows("SELECT account FROM bi.snapshot")) == 4
    assert len(await rows("SELECT account FROM bi.position_sample")) == 4


async def test_answers_that_differ_in_nothing_but_a_margin_are_both_kept(
    recorder: Recorder, save: Save, rows: Rows
) -> None:
    save("\n".join(json.dumps([ROW | {"isolatedWallet": wallet}]) for wallet in ("10", "11")))

    await recorder("import", "saved.json", "--account", "main", "--at", "2026-11-01T12:00")

    wallets = await rows("SELECT isolated_wallet::text FROM bi.position_sample ORDER BY time")
    assert [row["isolated_wallet"] for row in wallets] == ["10", "11"]


async def test_many_answers_at_one_time_do_not_take_longer_and_longer(
    recorder: Recorder, save: Save, rows: Rows
) -> None:
    save("".join(json.dumps([later(ROW, markPrice=str(price))]) + "\n" for price in range(1, 101)))

    finished = await recorder("import", "saved.json", "--account", "main", "--at", "2026-11-01T12:00", "--json")

    assert finished.code == 0, finished.stderr
    assert finished.json[-1]["time"] == "2026-11-01T12:00:00.000099Z"
    (transactions,) = await rows(
        "SELECT xact_commit + xact_rollback AS number FROM pg_stat_database WHERE datname = current_database()"
    )
    assert transactions["number"] < 100 * 10  # some 5,000 if each answer begins at the first one's time


async def test_a_position_that_an_answer_lacks_is_closed(recorder: Recorder, save: Save, rows: Rows) -> None:
    save(json.dumps([ROW]) + "\n[]\n")

    finished = await recorder("import", "saved.json", "--account", "main", "--at", "2026-11-01T12:00")

    assert finished.code == 0, finished.stderr
    assert finished.stdout.splitlines()[0].split() == ["file", "time", "rows", "outcome"]
    history = await rows("SELECT position_amt, source FROM bi.position_history ORDER BY update_time")
    assert [(row["position_amt"], row["source"]) for row in history] == [
        (Decimal("0.009"), "import"),
        (Decimal(0), "inferred"),
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (json.dumps([ROW | {"markPrice": "NaN"}]), ("row 1 (BTCUSDT)", "markPrice")),
        (json.dumps([ROW]) + "\n" + json.dumps([ROW | {"updateTime": "soon"}]), ("Line 2", "updateTime")),
        ('{"id": 1, "status": 401, "error": {"code": -2015, "msg": "Invalid API-key"}}', ("refusal", "-2015")),
        ("symbol,positionAmt\nBTCUSDT,1\n", ("not readable JSON",)),
    ],
)
async def test_a_malformed_file_is_named_with_its_field_and_nothing_is_recorded(
    recorder: Recorder, save: Save, rows: Rows, content: str, told: tuple[str, ...]
) -> None:
    (recorder.folder / "good.json").write_text(json.dumps([ROW]))
    save(content)

    finished = await recorder("import", "good.json", "saved.json", "--account", "main", "--at", "2026-11-01T12:00")

    assert finished.code == 1
    assert finished.stdout == ""
    assert "error: saved.json: " in finished.stderr
    for part in told:
        assert part in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not await rows("SELECT account FROM bi.snapshot")


@pytest.mark.parametrize(("name", "why"), [("absent.json", "No such file"), ("outputs", "Is a directory")])
async def test_a_file_that_cannot_be_read_is_named_with_the_reason(recorder: Recorder, name: str, why: str) -> None:
    finished = await recorder("import", name, "--account", "main")

    assert finished.code == 1
    assert f"error: {name} cannot be read" in finished.stderr
    assert f"why: {why}" in finished.stderr


NASTY = (
    "x'); DROP TABLE recorder.sample; --",
    'quoted "name" \\ with backslashes \\\\',
    "$$; DROP SCHEMA bi CASCADE; $$",
    "%s %(name)s :account {account} \\x00",
    "币安人生',NULL); --",
)


async def test_names_and_symbols_that_are_sql_are_stored_as_text(recorder: Recorder, save: Save, rows: Rows) -> None:
    for number, nasty in enumerate(NASTY):
        file = save(json.dumps([ROW | {"symbol": nasty, "updateTime": 1722161166529 + number}]))
        finished = await recorder("import", str(file), "--account", nasty, "--at", AT.isoformat())
        assert finished.code == 0, finished.stderr
        held = await recorder("positions", "--account", nasty, "--at", AT.isoformat(), "--json")
        told = await recorder("history", "--account", nasty, "--symbol", nasty, "--json")
        for asked in (held, told):
            assert [(row["account"], row["symbol"]) for row in asked.json] == [(nasty, nasty)], asked.stderr
    stored = await rows("SELECT account, symbol FROM bi.position_sample")
    assert sorted((row["account"], row["symbol"]) for row in stored) == sorted((nasty, nasty) for nasty in NASTY)


@pytest.mark.parametrize("name", ["", " main", "two\nlines", "x" * 65], ids=["empty", "blank", "lines", "long"])
async def test_a_name_that_the_settings_would_refuse_is_refused(recorder: Recorder, save: Save, name: str) -> None:
    finished = await recorder("import", str(save("[]")), "--account", name)

    assert finished.code == 2
    assert "--account" in finished.stderr
    assert "control characters" in finished.stderr
