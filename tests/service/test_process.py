"""The service as the process that an operator runs: stopped, killed and frozen from outside."""

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from recorder.simulator.exchange import Simulator
from recorder.simulator.knobs import Error, Late
from tests.cli.command import Recorder
from tests.service.running import GRACE, Start, next_slot, sleep_until, write_settings
from tests.service.tables import EVERY, Gap, Tables

REFUSED = Error(status=401, code=-2015, msg="Invalid API-key, IP, or permissions for action.")


@pytest.fixture
def command(exchange: Simulator, database: str, tmp_path: Path) -> Recorder:
    """The command, with a recorder.toml for every account of the exchange."""
    write_settings(tmp_path, exchange, database)
    return Recorder(tmp_path)


async def test_sigterm_while_answers_are_on_their_way_finishes_them_and_exits_with_0(
    command: Recorder, exchange: Simulator, tables: Tables
) -> None:
    async with command.started("run") as process:
        first = await tables.first("hedge", "ok")
        exchange.knobs.on_request(Late(timedelta(seconds=0.3)), times=None)
        asked = len(exchange.traffic.requests_of("hedge"))
        async with asyncio.timeout(GRACE):
            while len(exchange.traffic.requests_of("hedge")) == asked:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        async with asyncio.timeout(GRACE):
            finished = await process.stop(signal.SIGTERM)
    assert finished.code == 0
    assert "Traceback" not in finished.stderr
    for account in ("main", "hedge"):
        last = (await tables.snapshots(account))[-1]
        assert last.ok
        assert last.time > first.time
        assert last.duration >= timedelta(seconds=0.3)


async def test_a_killed_process_leaves_a_gap_that_the_next_start_writes(
    command: Recorder, recorder: Start, tables: Tables
) -> None:
    async with command.started("run") as process:
        await tables.first("hedge", "ok")
        killed = await process.stop(signal.SIGKILL)
    assert killed.code == -signal.SIGKILL
    last = {name: (await tables.times(name))[-1] for name in ("hedge", "main")}
    await sleep_until(max(last.values()) + 2 * EVERY)
    async with recorder() as service:
        await tables.first("hedge", "ok", after=service.started_at)
    after = {name: await tables.times(name, after=last[name]) for name in last}
    assert sorted(await tables.gaps(), key=lambda gap: gap.account) == [
        Gap(account=name, started_at=last[name], ended_at=after[name][0], reason="not_running") for name in last
    ]


async def test_slots_that_pass_while_the_process_is_frozen_are_written_as_missed(
    command: Recorder, tables: Tables
) -> None:
    async with command.started("run") as process:
        first = await tables.first("hedge", "ok")
        frozen = await next_slot()
        await tables.first("hedge", "ok", after=frozen - EVERY)
        os.kill(process.pid, signal.SIGSTOP)
        await sleep_until(frozen + 3.1 * EVERY)
        os.kill(process.pid, signal.SIGCONT)
        resumed = await tables.first("hedge", "ok", after=frozen)
        await tables.first("main", "ok", after=frozen)
        finished = await process.stop()
    assert finished.code == 0
    for account in ("main", "hedge"):
        rows = await tables.snapshots(account)
        missed = [row.time for row in rows if row.outcome == "missed"]
        assert {frozen + EVERY, frozen + 2 * EVERY} <= set(missed)
        assert missed == [row.time for row in rows if frozen < row.time < resumed.time]
    assert await tables.gaps() == [
        Gap(account=account, started_at=frozen, ended_at=resumed.time, reason="asleep") for account in ("hedge", "main")
    ]
    await tables.assert_every_slot_is_answered(("main", "hedge"), first.time, resumed.time)


async def test_a_schema_of_another_revision_ends_the_command_with_the_one_that_mends_it(
    command: Recorder, exchange: Simulator, tables: Tables, owner: asyncpg.Connection
) -> None:
    await owner.execute("UPDATE recorder.alembic_version SET version_num = '0000'")
    finished = await command("run")
    assert finished.code == 1
    assert "recorder db upgrade" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert await tables.snapshots() == []
    assert list(exchange.traffic.requests) == []


async def test_a_snapshot_by_hand_exits_with_1_when_an_account_fails_and_records_both(
    command: Recorder, exchange: Simulator, tables: Tables
) -> None:
    exchange.knobs.on_request(REFUSED, account="hedge", times=None)
    finished = await command("snapshot", "--json")
    assert finished.code == 1
    assert {row["account"]: row["outcome"] for row in finished.json} == {"main": "ok", "hedge": "account_rejected"}
    assert {row.account: (row.kind, row.outcome) for row in await tables.snapshots()} == {
        "main": ("manual", "ok"),
        "hedge": ("manual", "account_rejected"),
    }
