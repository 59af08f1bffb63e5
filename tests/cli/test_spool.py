"""``recorder replay``, ``recorder dead-letters``, and what ``recorder run`` says of its spool and database."""

import asyncio
import os
import pty
import signal
import sys
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.snapshot import Kind, Snapshot
from recorder.postgres.dead_letters import DeadLetter, open_letters
from recorder.recording import write
from recorder.spool.codec import encode_text
from recorder.spool.opening import open_spool
from tests.cli.command import MAIN, Recorder, Rows
from tests.cli.test_pnl import PLENTY, read_all
from tests.cli.test_service import until_recorded

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SNAPSHOT = Snapshot(account="main", time=NOON, kind=Kind.SLOT, taken_at=NOON)


async def test_replay_writes_again_what_the_database_lost_while_the_service_runs_and_afterwards(
    configured: Recorder, engine: AsyncEngine, rows: Rows
) -> None:
    async with configured.started("run") as running:
        await until_recorded(rows, running, "kind = 'slot'")
        during = await configured("replay", "--since", "1h", "--json")
        assert during.code == 0, during.stderr
        assert during.json["records"] > 0
        assert during.json["new_snapshots"] == 0
        second = await configured("run")
        assert second.code == 75
        assert str(running.pid) in second.stderr
        assert (await running.stop(signal.SIGTERM)).code == 0
    before = await rows("SELECT account, time FROM bi.snapshot ORDER BY 1, 2")
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE recorder.account, recorder.sample, recorder.balance CASCADE"))
    again = await configured("replay", "--since", "1h", "--json")
    assert again.code == 0, again.stderr
    assert again.json["new_snapshots"] == len(before)
    assert list(again.json) == ["records", "new_snapshots", "skipped", "first", "last"]
    assert await rows("SELECT account, time FROM bi.snapshot ORDER BY 1, 2") == before


async def test_replay_shows_a_terminal_how_far_it_is(recorder: Recorder) -> None:
    data_dir = recorder.folder / "data"
    with open_spool(data_dir, limit=2**20, replay_window=timedelta(hours=1)) as spool:
        spool.append([encode_text(SNAPSHOT)], datetime.now(UTC))
    leader, follower = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        MAIN,
        "replay",
        "--since",
        "1h",
        stdin=follower,
        stdout=follower,
        stderr=follower,
        cwd=recorder.folder,
        env=recorder.variables | {"TERM": "xterm-256color", "COLUMNS": "120"},
    )
    os.close(follower)
    async with asyncio.timeout(PLENTY):
        shown = await asyncio.to_thread(read_all, leader)
        assert await process.wait() == 0, shown
    os.close(leader)
    assert "Writing again" in shown
    assert "1 records, " in shown
    assert "1 snapshot(s) were missing" in shown


async def test_a_dead_letter_is_shown_with_its_reason_and_written_when_nothing_refuses_it_any_more(
    recorder: Recorder, engine: AsyncEngine, rows: Rows
) -> None:
    payload = encode_text(SNAPSHOT)
    letter = DeadLetter(account="main", kind="snapshot", reason="it was full", sqlstate="23514", payload=payload)
    await write(engine, [], letters=[letter])

    shown = await recorder("dead-letters", "--json")
    assert shown.code == 0, shown.stderr
    assert [(row["reason"], row["payload"], row["outcome"]) for row in shown.json] == [
        ("it was full", payload.decode(), "kept")
    ]

    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE recorder.snapshot ADD CONSTRAINT full_moon CHECK (kind <> 'slot')"))
    refused = await recorder("dead-letters", "--retry")
    assert refused.code == 1
    assert "full_moon" in refused.stdout

    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE recorder.snapshot DROP CONSTRAINT full_moon"))
    written = await recorder("dead-letters", "--retry", "--json")
    assert written.code == 0, written.stderr
    assert [row["outcome"] for row in written.json] == ["written"]
    assert await open_letters(engine) == []
    assert await rows("SELECT account, time FROM bi.snapshot") == [{"account": "main", "time": NOON}]


async def test_run_ends_at_once_without_a_database_when_that_is_required(configured: Recorder) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    finished = await asyncio.wait_for(configured("run", "--require-db", RECORDER_DATABASE__URL=nowhere), 30)
    assert finished.code == 69
    assert "PostgreSQL cannot be used" in finished.stderr
