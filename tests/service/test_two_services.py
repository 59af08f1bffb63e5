"""Two services on the same accounts and database: one watches, the other stands by, and takes over when it must."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recorder.simulator.exchange import Simulator
from tests.cli.command import Recorder, Running
from tests.service.proxy import Proxy
from tests.service.rows import as_recorded
from tests.service.running import Start, load_settings, next_slot, running, trade, write_settings
from tests.service.tables import EVERY, PLENTY, Tables

TAKEN_OVER = timedelta(seconds=15)
SLACK = timedelta(seconds=2)


@asynccontextmanager
async def process(folder: Path, exchange: Simulator, database: str) -> AsyncIterator[Running]:
    """A recorder of its own, as if on a machine of its own."""
    write_settings(folder, exchange, database)
    async with Recorder(folder).started("run") as running:
        yield running


def asked_twice(
    exchange: Simulator, since: datetime, until: datetime | None = None
) -> list[tuple[str | None, datetime]]:
    """The accounts and seconds in which more than one recorder asked: each asks an account once a slot."""
    seen: set[tuple[str | None, datetime]] = set()
    twice = []
    for request in exchange.traffic.requests:
        if request.method == "v2/account.position" and since <= request.received_at < (until or datetime.now(UTC)):
            place = request.account, request.received_at.replace(microsecond=0)
            twice += [place] if place in seen else []
            seen.add(place)
    return twice


async def test_two_services_leave_the_tables_that_one_would_leave_and_ask_what_one_would_ask(
    recorder: Start, exchange: Simulator, tables: Tables, tmp_path: Path
) -> None:
    held, kept, closed = exchange.world.accounts["main"].open_positions()
    await next_slot()
    async with recorder(folder=tmp_path / "one") as one:
        first = await tables.first("hedge", "ok")
        async with running(load_settings(tmp_path / "other", exchange, one.settings.database_url or "")) as other:
            more = trade(exchange, "main", held, held.amount)
            trade(exchange, "main", closed, -closed.amount)
            second = await tables.first("main", "ok", after=first.time)
            last = await tables.first("hedge", "ok", after=second.time + EVERY)
            assert one.alive
            assert other.alive
        for account in ("main", "hedge"):
            answers = [as_recorded(answer.rows or ()) for answer in exchange.traffic.answers_of(account)]
            rows = await tables.snapshots(account)
            assert all(row.ok for row in rows)
            assert 0 <= len(answers) - len(rows) <= 1  # the newest may not be committed yet
            for row in rows:
                assert await tables.samples(account, row.time) in answers
    assert asked_twice(exchange, first.time) == []
    assert last.ok
    assert await tables.gaps() == []
    history = {(row.symbol, row.update_time, row.position_amt, row.source) for row in await tables.history("main")}
    assert history == {
        *((each.symbol, each.update_time, each.amount, "snapshot") for each in (held, more, kept, closed)),
        (closed.symbol, second.time, 0, "inferred"),
    }
    assert len(await tables.history("hedge")) == 3


async def test_two_services_that_both_record_because_neither_sees_the_other_do_no_harm(
    recorder: Start, exchange: Simulator, tables: Tables, proxy: Proxy, tmp_path: Path
) -> None:
    proxy.cut()
    async with recorder(folder=tmp_path / "one") as one:
        first = await tables.first("hedge", "ok")
        async with running(load_settings(tmp_path / "other", exchange, proxy.url)):
            for _ in range(2):
                away = await next_slot()
            await proxy.mend()
            await tables.first("hedge", "ok", after=away + 2 * EVERY)
            settled = datetime.now(UTC)
            await tables.first("hedge", "ok", after=settled + EVERY)
            assert one.alive
    assert asked_twice(exchange, first.time) != []
    assert asked_twice(exchange, settled) == []
    for account in ("main", "hedge"):
        answers = [as_recorded(answer.rows or ()) for answer in exchange.traffic.answers_of(account)]
        rows = await tables.snapshots(account)
        assert all(row.ok for row in rows)
        assert len({row.time for row in rows}) == len(rows)
        for row in rows:
            assert await tables.samples(account, row.time) in answers
        assert len(await tables.history(account)) == 3
    assert await tables.gaps() == []


async def test_the_other_takes_over_at_once_when_the_one_that_watches_is_stopped(
    recorder: Start, exchange: Simulator, tables: Tables, tmp_path: Path
) -> None:
    async with recorder(folder=tmp_path / "one") as one:
        first = await tables.first("hedge", "ok")
        settings = load_settings(tmp_path / "other", exchange, one.settings.database_url or "")
        async with running(settings):
            for _ in range(2):
                await next_slot()
            await one.finish()
            stopped = datetime.now(UTC)
            took_over = await tables.until(lambda rows: any(row.time >= stopped - EVERY for row in rows), "main")
            await tables.first("main", "ok", after=stopped + EVERY)
            await tables.first("hedge", "ok", after=stopped + EVERY)
    assert took_over[-1].recorded_at - stopped < 2 * EVERY + SLACK
    await tables.assert_every_slot_is_answered(("main", "hedge"), first.time, datetime.now(UTC) - EVERY)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hung"])
async def test_the_other_takes_over_within_15_s_when_the_one_that_watches_is(
    number: signal.Signals, exchange: Simulator, database: str, tables: Tables, tmp_path: Path
) -> None:
    async with process(tmp_path / "one", exchange, database) as one:
        first = await tables.first("hedge", "ok")
        async with process(tmp_path / "other", exchange, database) as other:
            await other.says("another recorder watches hedge")
            standing_by = await tables.first("hedge", "ok", after=await next_slot())
            os.kill(one.pid, number)
            gone = datetime.now(UTC)
            after = await tables.until(lambda rows: any(row.time > gone and row.ok for row in rows), "main", within=20)
            assert after[-1].recorded_at - gone < TAKEN_OVER
            last = await tables.first("hedge", "ok", after=after[-1].time)
            if number is signal.SIGSTOP:
                os.kill(one.pid, signal.SIGCONT)
                await one.says("another recorder watches hedge")
            end = await tables.first("hedge", "ok", after=await next_slot() + EVERY)
            stopping = datetime.now(UTC)
            assert (await other.stop()).code == 0
    assert asked_twice(exchange, first.time, gone) == []
    assert asked_twice(exchange, after[-1].time + EVERY, stopping) == []  # the slot in hand is asked for again
    reasons = {(gap.account, gap.reason) for gap in await tables.gaps() if gap.started_at >= standing_by.time}
    took_over = {("main", "took_over"), ("hedge", "took_over")}
    assert reasons == took_over if number is signal.SIGSTOP else reasons <= took_over  # a kill may cost no slot
    assert last.ok
    await tables.assert_every_slot_is_answered(("main", "hedge"), first.time, end.time)


async def test_the_one_that_watches_goes_on_while_its_connection_is_swallowed_and_is_the_only_one_afterwards(
    recorder: Start, tables: Tables, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    async with recorder(database=proxy.url):
        await tables.first("hedge", "ok")
        proxy.swallow()
        swallowed = await next_slot()
        async with asyncio.timeout(10):
            while "cannot be seen whether another recorder" not in caplog.text:  # noqa: ASYNC110 - nothing else tells
                await asyncio.sleep(0.05)
        await next_slot()
        await proxy.mend()
        await tables.first("hedge", "ok", after=datetime.now(UTC), within=PLENTY)
    assert "this one stands by" not in caplog.text
    for account in ("main", "hedge"):
        assert [row.time for row in await tables.snapshots(account) if row.time == swallowed]
    assert await tables.gaps() == []
