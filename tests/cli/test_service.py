"""``recorder run`` and ``recorder snapshot`` in front of a simulated exchange."""

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.simulator.exchange import Simulator
from recorder.simulator.knobs import Ban, Error, Silence
from tests.cli.command import MAIN, PLENTY, Recorder, Rows, Running, until

LEAVES_WITHIN = 10.0  # seconds, promised
REJECTED = Error(status=401, code=-2015, msg="Invalid API-key, IP, or permissions for action.")


async def until_recorded(rows: Rows, running: Running, condition: str) -> None:
    """Wait until a snapshot meets *condition*."""
    async with asyncio.timeout(PLENTY):
        while not await rows(f"SELECT account FROM bi.snapshot WHERE {condition} LIMIT 1"):
            assert not running.ended, running.stderr
            await asyncio.sleep(0.05)


async def test_snapshot_records_every_account_and_says_so(configured: Recorder, rows: Rows) -> None:
    before = datetime.now(UTC)
    finished = await configured("snapshot", "--json")

    assert finished.code == 0, finished.stderr
    assert finished.stderr == ""
    assert [row["account"] for row in finished.json] == ["main", "hedge"]
    recorded = await rows("SELECT account, time, outcome, position_count, detail, kind FROM bi.snapshot")
    for row in finished.json:
        assert list(row) == ["account", "time", "outcome", "position_count", "detail"]
        assert row["outcome"] == "ok"
        assert row["position_count"] > 0
        assert row["detail"] is None
        time = datetime.fromisoformat(row["time"])
        assert before <= time <= datetime.now(UTC)
        assert row["time"].endswith("Z")
        assert {**row, "time": time, "kind": "manual"} in recorded
    assert len(recorded) == len(finished.json)


async def test_snapshot_prints_a_table_without_escape_codes(configured: Recorder) -> None:
    finished = await configured("snapshot")

    assert finished.code == 0
    header, *lines = finished.stdout.splitlines()
    assert header.split() == ["account", "time", "outcome", "rows", "detail"]
    assert [line.split()[0] for line in lines] == ["main", "hedge"]
    assert "\x1b" not in finished.stdout + finished.stderr


async def test_snapshot_of_one_account_asks_no_other(configured: Recorder, exchange: Simulator, rows: Rows) -> None:
    finished = await configured("snapshot", "--account", "hedge", "--json")

    assert finished.code == 0, finished.stderr
    assert [row["account"] for row in finished.json] == ["hedge"]
    assert exchange.traffic.requests_of("hedge")
    assert not exchange.traffic.requests_of("main")
    assert [row["account"] for row in await rows("SELECT account FROM bi.snapshot")] == ["hedge"]


async def test_snapshot_of_an_unknown_account_names_those_there_are(configured: Recorder, rows: Rows) -> None:
    finished = await configured("snapshot", "--account", "mian")

    assert finished.code == 78
    assert finished.stdout == ""
    assert "error: there is no account 'mian'" in finished.stderr
    assert "main, hedge" in finished.stderr
    assert not await rows("SELECT account FROM bi.snapshot")


async def test_an_account_that_fails_is_recorded_as_failed_and_the_exit_code_says_so(
    configured: Recorder, exchange: Simulator, rows: Rows
) -> None:
    exchange.knobs.on_request(REJECTED, account="hedge", times=None)

    finished = await configured("snapshot", "--json")

    assert finished.code == 1
    outcomes = {row["account"]: row["outcome"] for row in finished.json}
    assert outcomes == {"main": "ok", "hedge": "account_rejected"}
    (failed,) = await rows("SELECT outcome, detail, position_count FROM bi.snapshot WHERE account = 'hedge'")
    assert (failed["outcome"], failed["position_count"]) == ("account_rejected", 0)
    assert "code -2015" in failed["detail"]
    assert "Enable Reading" in failed["detail"]


async def test_snapshot_without_a_schema_names_the_command_that_makes_it(configured: Recorder, database: str) -> None:
    empty = database.rpartition("/")[0] + "/postgres"

    finished = await configured("snapshot", RECORDER_DATABASE__URL=empty)

    assert finished.code == 1
    assert finished.stdout == ""
    assert "error: the database has no schema yet" in finished.stderr
    assert "fix: recorder db upgrade" in finished.stderr


async def test_run_records_slots_until_sigterm_and_leaves_in_time(configured: Recorder, rows: Rows) -> None:
    async with configured.started("run") as running:
        await until_recorded(rows, running, "kind = 'slot' AND outcome = 'ok'")
        told = asyncio.get_running_loop().time()
        finished = await running.stop()
        took = asyncio.get_running_loop().time() - told

    assert finished.code == 0, finished.stderr
    assert finished.stdout == ""
    assert took < LEAVES_WITHIN
    assert '"event": "stopping: finishing what is in hand"' in finished.stderr
    snapshots = await rows("SELECT account, time, kind, outcome FROM bi.snapshot")
    assert {row["account"] for row in snapshots} == {"main", "hedge"}
    assert {row["outcome"] for row in snapshots} == {"ok"}
    assert all(row["time"].timestamp() % 2 == 0 for row in snapshots if row["kind"] == "slot")


async def test_run_that_is_stopped_amid_a_question_writes_down_that_it_was(
    configured: Recorder, exchange: Simulator, rows: Rows
) -> None:
    file = configured.folder / "recorder.toml"
    file.write_text(file.read_text().replace('every = "2s"\ntimeout = "1900ms"', 'every = "30s"\ntimeout = "20s"'))
    exchange.knobs.on_request(Silence(), account="main", times=None)

    async with configured.started("run") as running:
        await until_recorded(rows, running, "account = 'hedge'")
        told = asyncio.get_running_loop().time()
        finished = await running.stop()
        took = asyncio.get_running_loop().time() - told

    assert finished.code == 0, finished.stderr
    assert took < LEAVES_WITHIN
    outcomes = {row["outcome"] for row in await rows("SELECT outcome FROM bi.snapshot WHERE account = 'main'")}
    assert outcomes == {"stopped"}


async def test_ctrl_c_stops_it_as_well(configured: Recorder, rows: Rows) -> None:
    async with configured.started("run") as running:
        await until_recorded(rows, running, "outcome = 'ok'")
        finished = await running.stop(signal.SIGINT)

    assert finished.code == 0, finished.stderr
    assert "Traceback" not in finished.stderr


async def test_the_time_between_two_runs_is_a_gap(configured: Recorder, rows: Rows) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    file = configured.folder / "answer.json"
    file.write_text("[]")
    imported = await configured("import", "answer.json", "--account", "main", "--at", long_ago.isoformat())
    assert imported.code == 0, imported.stderr

    async with configured.started("run") as running:
        async with asyncio.timeout(PLENTY):
            while not await rows("SELECT account FROM bi.gap WHERE source = 'snapshot' AND reason = 'not_running'"):
                assert not running.ended, running.stderr
                await asyncio.sleep(0.05)
        await running.stop()

    (gap,) = await rows(
        "SELECT account, started_at, reason FROM bi.gap WHERE source = 'snapshot' AND reason = 'not_running'"
    )
    assert gap == {"account": "main", "started_at": long_ago, "reason": "not_running"}


async def test_run_refuses_a_port_that_is_taken(configured: Recorder) -> None:
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    host, port = taken.sockets[0].getsockname()

    finished = await configured("run", RECORDER_HTTP__LISTEN=f"{host}:{port}")
    taken.close()

    assert finished.code == 78
    assert f"error: cannot listen on 127.0.0.1:{port}" in finished.stderr
    assert "fix: set http.listen" in finished.stderr


async def test_run_refuses_a_schema_of_another_revision(configured: Recorder, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE recorder.alembic_version SET version_num = '9999'"))

    finished = await configured("run")

    assert finished.code == 1
    assert "error: the database's schema is at revision 9999" in finished.stderr
    assert "fix: install the version of the recorder that made it" in finished.stderr


NOBODYS = "import os; os.umask(0); "
"""What an init system or a shell may start a program with."""


async def test_whatever_the_service_writes_is_nobody_elses_whatever_the_umask(
    configured: Recorder, exchange: Simulator, open_folder: Path
) -> None:
    data = open_folder / "not" / "there" / "yet"
    exchange.knobs.on_request(Ban(429, timedelta(seconds=30)), account="main")
    async with configured.started(
        "run", program=NOBODYS + MAIN, RECORDER_STORAGE__DATA_DIR=str(data)
    ) as running:  # it has a database elsewhere
        await until(lambda: (data / "pause.json").exists() or running.ended)
        stopped = await running.stop()
    assert stopped.code == 0, stopped.stderr
    made = [open_folder / "not", *(open_folder / "not").rglob("*")]
    assert data / "pause.json" in made
    assert [str(path) for path in made if path.stat().st_mode & 0o077] == []


async def test_the_embedded_database_is_nobody_elses_whatever_the_umask(
    configured: Recorder, open_folder: Path
) -> None:
    data = open_folder / "data"
    del configured.variables["RECORDER_DATABASE__URL"]
    taken = await configured("snapshot", program=NOBODYS + MAIN, RECORDER_STORAGE__DATA_DIR=str(data))
    assert taken.code == 0, taken.stderr
    made = list(data.rglob("*"))
    assert data / "postgres" in made
    assert [str(path) for path in made if path.stat().st_mode & 0o077] == []
    assert data.stat().st_mode & 0o066 == 0  # root lets the user pass who runs PostgreSQL


async def test_run_needs_no_database_and_no_folder_but_makes_its_own(configured: Recorder, open_folder: Path) -> None:
    del configured.variables["RECORDER_DATABASE__URL"]
    async with configured.started("run", RECORDER_STORAGE__DATA_DIR=str(open_folder / "data")) as running:
        await running.says("its event stream is connected")
        stopped = await running.stop()
    assert stopped.code == 0, stopped.stderr
    assert {"postgres", "spool"} <= {path.name for path in (open_folder / "data").iterdir()}
