import asyncio
import json
import os
import pty
import re
import struct
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from recorder.cli.main import app
from recorder.postgres.earnings import earned
from recorder.postgres.roles import create_roles
from tests.cli.pnl_scene import MANY_DIGITS, NOW, SCENE

REPOSITORY = Path(__file__).parents[2]
PLENTY = 60.0  # seconds; a command that takes longer hangs
AT_THAT_TIME = (
    "import sys; sys.argv[0] = 'recorder'; "
    f"import time_machine; time_machine.travel({NOW.timestamp()}, tick=True).start(); "
)
MAIN = "from recorder.cli.main import main; main()"
WITHOUT_MATPLOTLIB = "sys.modules['matplotlib'] = None; "
ESCAPE = "\x1b"
BRAILLE = re.compile("[\u2801-\u28ff]")


@dataclass(frozen=True, slots=True)
class Finished:
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


Pnl = Callable[..., Awaitable[Finished]]


@pytest.fixture
async def scene(engine: AsyncEngine) -> AsyncEngine:
    async with engine.begin() as connection:
        for statement in SCENE.split(";\n"):
            if statement.strip():
                await connection.exec_driver_sql(statement)
    return engine


@pytest.fixture
def environment(tmp_path: Path, database: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(REPOSITORY),
        "MPLCONFIGDIR": str(tmp_path / "matplotlib"),
        "RECORDER_STORAGE__DATA_DIR": str(tmp_path / "data"),
        "RECORDER_DATABASE__URL": database,
    }


@pytest.fixture
def pnl(tmp_path: Path, environment: dict[str, str]) -> Pnl:
    """``recorder pnl`` on 3 March 2026 at 9:30, as a process of its own."""

    async def run(*arguments: str, program: str = "", **variables: str) -> Finished:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            AT_THAT_TIME + program + MAIN,
            "pnl",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=tmp_path,
            env=environment | variables,
        )
        async with asyncio.timeout(PLENTY):
            stdout, stderr = await process.communicate()
        return Finished(process.returncode or 0, stdout.decode(), stderr.decode())

    return run


AMOUNTS = ("realized_profit", "commission", "funding", "net_profit", "unrealized_profit")
NOTHING = (None, None, None, None, None)
NONE_EARNED = ("0", "0", "0", "0")


def amounts(row: Mapping[str, Any]) -> tuple[str | None, ...]:
    return tuple(None if row[key] is None else format(row[key], "f") for key in AMOUNTS)


async def test_each_day_and_asset_has_its_exact_amounts_and_a_day_without_data_has_none(scene: AsyncEngine) -> None:
    days, _ = await earned(scene, "main", None, since=datetime(2026, 2, 1, tzinfo=UTC), until=NOW, unit="day")
    assert {(f"{row['time']:%m-%d}", row["asset"]): amounts(row) for row in days} == {
        ("02-26", "USDT"): (MANY_DIGITS, "0", "0", MANY_DIGITS, "36.250"),
        ("02-26", "BNB"): ("0", "-0.00125", "0", "-0.00125", "0"),
        ("02-27", "USDT"): ("0", "0", "-1.50", "-1.50", "36.250"),
        ("02-27", "BNB"): (*NONE_EARNED, "0"),
        ("02-28", "USDT"): NOTHING,
        ("02-28", "BNB"): NOTHING,
        ("03-01", "USDT"): ("7", "0", "0", "7", None),
        ("03-01", "BNB"): NOTHING,
        ("03-02", "USDT"): ("0.5", "0", "0", "0.5", "36.250"),
        ("03-02", "BNB"): (*NONE_EARNED, "0"),
        ("03-03", "USDT"): (*NONE_EARNED, "8.250"),
        ("03-03", "BNB"): (*NONE_EARNED, "0"),
    }
    assert len(days) == 12


async def test_totals_are_per_account_and_asset_and_keep_every_digit(scene: AsyncEngine) -> None:
    _, totals = await earned(scene, None, None, since=datetime(2026, 2, 1, tzinfo=UTC), until=NOW, unit="day")
    assert [(row["account"], row["asset"], *amounts(row)) for row in totals] == [
        ("flat", None, *NONE_EARNED, "0"),
        ("main", "BNB", "0", "-0.00125", "0", "-0.00125", "0"),
        (
            "main",
            "USDT",
            "12345678901234567897.500000000000000000000000000001",
            "0",
            "-1.50",
            "12345678901234567896.000000000000000000000000000001",
            "8.250",
        ),
    ]


async def test_months_are_those_of_the_calendar(scene: AsyncEngine) -> None:
    months, _ = await earned(scene, None, None, since=datetime(2025, 3, 1, tzinfo=UTC), until=NOW, unit="month")
    found = {(row["account"], f"{row['time']:%Y-%m-%d %H:%M}", row["asset"]): amounts(row) for row in months}
    february = "12345678901234567888.500000000000000000000000000001"
    assert found == {
        ("main", "2026-02-01 00:00", "USDT"): (MANY_DIGITS, "0", "-1.50", february, "36.250"),
        ("main", "2026-02-01 00:00", "BNB"): ("0", "-0.00125", "0", "-0.00125", "0"),
        ("main", "2026-03-01 00:00", "USDT"): ("7.5", "0", "0", "7.5", "8.250"),
        ("main", "2026-03-01 00:00", "BNB"): (*NONE_EARNED, "0"),
        ("flat", "2026-03-01 00:00", None): (*NONE_EARNED, "0"),
    }


async def test_an_hour_has_what_was_booked_in_it_also_after_its_last_snapshot(scene: AsyncEngine) -> None:
    hours, _ = await earned(scene, "main", None, since=datetime(2026, 2, 27, 22, tzinfo=UTC), until=NOW, unit="hour")
    usdt = [amounts(row) for row in hours if row["asset"] == "USDT"]
    assert len(usdt) == 2 + 2 * 24 + 24 + 10
    assert usdt[0] == (*NONE_EARNED, "34.250")
    assert usdt[1] == ("0", "0", "-1.50", "-1.50", "36.250")
    assert usdt[2:39] == [NOTHING] * 37
    assert usdt[39] == ("7", "0", "0", "7", None)
    assert usdt[-1] == (*NONE_EARNED, "8.250")


async def test_a_range_that_begins_where_nobody_watched_shows_so(scene: AsyncEngine) -> None:
    days, _ = await earned(scene, "main", "BTCUSDT", since=datetime(2026, 2, 28, tzinfo=UTC), until=NOW, unit="day")
    assert [f"{row['time']:%m-%d}" for row in days if amounts(row) == NOTHING] == ["02-28", "02-28", "03-01", "03-01"]


async def test_a_symbol_has_its_own_amounts_alone(scene: AsyncEngine) -> None:
    _, totals = await earned(scene, "main", "ETHUSDT", since=datetime(2026, 2, 1, tzinfo=UTC), until=NOW, unit="day")
    assert [(row["asset"], *amounts(row)) for row in totals] == [("USDT", "7", "0", "-1.50", "5.50", "-1")]


async def test_days_agree_with_the_view_of_days(scene: AsyncEngine) -> None:
    days, _ = await earned(scene, "main", None, since=datetime(2026, 2, 1, tzinfo=UTC), until=NOW, unit="day")
    told = {(row["time"].date(), row["asset"]): tuple(row[key] for key in AMOUNTS) for row in days}
    async with scene.connect() as connection:
        rows = await connection.execute(
            text(
                "SELECT day, asset, sum(realized_profit), sum(commission), sum(funding), sum(net_profit), "
                "sum(unrealized_profit) FROM bi.pnl_daily WHERE account = 'main' GROUP BY day, asset"
            )
        )
        viewed = {(day, asset): tuple(values) for day, asset, *values in rows}
    assert len(viewed) == 6
    assert {key: told[key] for key in viewed} == viewed


async def test_a_role_that_may_only_read_bi_gets_table_and_picture(
    pnl: Pnl, scene: AsyncEngine, database: str, tmp_path: Path
) -> None:
    await create_roles(scene)
    async with scene.begin() as connection:
        await connection.execute(text("CREATE ROLE bi_tool LOGIN PASSWORD 'bi' IN ROLE recorder_reader"))
    reader = re.sub("//[^@]*@", "//bi_tool:bi@", database)
    shown, drawn = await asyncio.gather(
        pnl("--json", RECORDER_DATABASE__URL=reader), pnl("--png", "curve.svg", RECORDER_DATABASE__URL=reader)
    )
    async with scene.begin() as connection:
        await connection.execute(text("DROP ROLE bi_tool"))
    assert (shown.stderr, len(shown.json["buckets"])) == ("", 13)
    assert (drawn.code, drawn.stderr) == (0, "Wrote curve.svg\n")
    picture = ET.parse(tmp_path / "curve.svg")  # noqa: S314
    assert picture.getroot().tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.usefixtures("scene")
async def test_programs_get_documented_keys_and_whole_buckets(pnl: Pnl) -> None:
    answer = (await pnl("--by", "month", "--since", "2026-02-27T12:00", "--symbol", "BTCUSDT", "--json")).json
    assert list(answer) == ["since", "until", "by", "symbol", "buckets", "totals"]
    assert (answer["since"], answer["by"], answer["symbol"]) == ("2026-02-01T00:00:00Z", "month", "BTCUSDT")
    assert next(row for row in answer["buckets"] if row["account"] == "main") == {
        "account": "main",
        "time": "2026-02-01T00:00:00Z",
        "asset": "BNB",
        "realized_profit": "0",
        "commission": "-0.00125",
        "funding": "0",
        "net_profit": "-0.00125",
        "unrealized_profit": "0",
    }
    assert list(answer["totals"][0]) == ["account", "asset", *AMOUNTS]


@pytest.mark.usefixtures("scene")
async def test_the_table_shows_what_is_not_known_as_a_dash_and_ends_with_totals(pnl: Pnl) -> None:
    shown = await pnl("--account", "main", "--since", "2026-02-27")
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert lines[0][:3] == ["account", "time", "asset"]
    assert ["main", "2026-02-27", "USDT", "0", "0", "-1.50", "-1.50", "36.250"] in lines
    assert ["main", "2026-02-28", "USDT", "-", "-", "-", "-", "-"] in lines
    assert ["main", "2026-03-01", "USDT", "7", "0", "0", "7", "-"] in lines
    assert lines[-2:] == [
        ["main", "total", "BNB", "0", "0", "0", "0", "0"],
        ["main", "total", "USDT", "7.5", "0", "-1.50", "6.00", "8.250"],
    ]


@pytest.mark.usefixtures("scene")
async def test_what_was_never_recorded_is_said_in_a_sentence(pnl: Pnl) -> None:
    plot, picture = await asyncio.gather(
        pnl("--account", "new", "--plot"), pnl("--account", "nobody", "--png", "new.png")
    )
    assert (plot.code, plot.stdout) == (0, "")
    assert "Nothing is recorded for that" in plot.stderr
    assert picture.code == 1
    assert "there is nothing to draw" in picture.stderr


@pytest.mark.usefixtures("scene")
async def test_the_plot_fits_eighty_columns_and_tells_account_asset_and_range(pnl: Pnl) -> None:
    plot = await pnl("--plot", "--symbol", "ETHUSDT")
    assert plot.stderr == ""
    assert max(map(len, plot.stdout.splitlines())) <= 80
    assert plot.stdout.startswith("main · ETHUSDT · USDT  2026-02-26 00:00 to 2026-03-03 09:30 UTC\n")
    assert "net profit since the first snapshot: 4.50" in plot.stdout
    assert "of it unrealised: -1\n" in plot.stdout
    assert "28 Feb" in plot.stdout
    assert ESCAPE not in plot.stdout


@pytest.mark.usefixtures("scene")
async def test_a_terminal_gets_colours_unless_it_wants_none(environment: dict[str, str], tmp_path: Path) -> None:
    async def on_terminal(**variables: str) -> str:
        leader, follower = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            AT_THAT_TIME + MAIN,
            "pnl",
            "--plot",
            stdin=follower,
            stdout=follower,
            stderr=follower,
            cwd=tmp_path,
            env=environment | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"} | variables,
        )
        os.close(follower)
        reading = asyncio.create_task(asyncio.to_thread(read_all, leader))
        async with asyncio.timeout(PLENTY):
            shown = await reading
            assert await process.wait() == 0
        os.close(leader)
        return shown

    coloured, plain = await asyncio.gather(on_terminal(), on_terminal(NO_COLOR="1"))
    assert f"{ESCAPE}[38;5;" in coloured
    assert ESCAPE not in plain
    assert max(map(len, plain.splitlines())) == 100


def read_all(descriptor: int) -> str:
    """What a terminal shows until the last process that writes to it has ended."""
    shown = b""
    while True:
        try:
            some = os.read(descriptor, 65536)
        except OSError:  # how Linux reports the end
            some = b""
        if not some:
            return shown.decode()
        shown += some


@pytest.mark.usefixtures("scene")
async def test_a_picture_is_a_png_with_a_panel_for_each_asset(pnl: Pnl, tmp_path: Path) -> None:
    (tmp_path / "curve.png").write_text("an older picture")
    drawn = await pnl("--png", "curve.png", "--account", "main")
    assert (drawn.code, drawn.stdout, drawn.stderr) == (0, "", "Wrote curve.png\n")
    content = (tmp_path / "curve.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    assert (width, height) == (1650, 2 * 510)
    assert len(content) > 20_000
    assert set(os.listdir(tmp_path)) <= {"curve.png", "matplotlib", ".cache"}  # noqa: PTH208


@pytest.mark.usefixtures("scene")
async def test_without_matplotlib_the_error_names_what_to_install(pnl: Pnl, tmp_path: Path) -> None:
    drawn = await pnl("--png", "curve.png", program=WITHOUT_MATPLOTLIB)
    assert drawn.code == 78
    assert 'pip install "position-recorder[chart]"' in drawn.stderr
    assert not (tmp_path / "curve.png").exists()


@pytest.mark.parametrize(
    "arguments", [("--plot", "--png", "a.png"), ("--json", "--plot"), ("--png", "a.pdf"), ("--by", "week")]
)
def test_options_that_contradict_each_other_are_an_error_of_use(arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, ["pnl", *arguments]).exit_code == 2
