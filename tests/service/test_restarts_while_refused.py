"""A refused account is one gap, however often and whenever the service is started again."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.slot import slot_at
from recorder.postgres.verification.audit import audit
from recorder.simulator.exchange import Simulator
from recorder.simulator.knobs import Error
from recorder.simulator.scenario import Scenario
from tests.service.proxy import Proxy
from tests.service.running import Start, load_settings, quiet, running, sleep_until
from tests.service.tables import Tables

REFUSED = Error(status=401, code=-2015, msg="Invalid API-key, IP, or permissions for action, request ip: 1.2.3.4")
EVERY = timedelta(seconds=2)
PHASES = (0.05, 0.5, 1.0, 1.5, 1.9)  # seconds after a slot


@pytest.fixture(params=[1, 4], ids=["one account", "four accounts"])
def scenario(request: pytest.FixtureRequest) -> Scenario:
    return quiet(request.param)


async def violations(engine: AsyncEngine) -> list[str]:
    return [f"{each.check.name}: {each.answer}" for each in await audit(engine) if each.is_violated]


async def test_restarts_at_every_phase_between_two_slots_leave_one_open_gap(
    recorder: Start, exchange: Simulator, tables: Tables, engine: AsyncEngine
) -> None:
    exchange.knobs.on_request(REFUSED, account="main", method="v2/account.position", times=None)
    last = datetime(1970, 1, 1, tzinfo=UTC)
    for phase in PHASES:
        await sleep_until(slot_at(datetime.now(UTC), EVERY) + EVERY + timedelta(seconds=phase))
        async with recorder(every="2s", timeout="1s"):
            last = (await tables.first("main", "account_rejected", after=last)).time
    (gap,) = [each for each in await tables.gaps() if each.account == "main"]
    assert (gap.reason, gap.ended_at) == ("key_rejected", None)
    assert await violations(engine) == []
    exchange.knobs.clear()
    async with recorder(every="2s", timeout="1s"):
        mended = (await tables.first("main", "ok")).time
        async with asyncio.timeout(20):
            while any(each.account == "main" and each.ended_at is None for each in await tables.gaps()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    (gap,) = [each for each in await tables.gaps() if each.account == "main"]
    assert gap.ended_at is not None
    assert gap.ended_at <= mended
    assert await violations(engine) == []


async def test_restarts_without_postgresql_leave_one_open_gap_when_it_is_back(
    exchange: Simulator, tables: Tables, engine: AsyncEngine, proxy: Proxy, tmp_path: Path
) -> None:
    settings = load_settings(tmp_path, exchange, proxy.url, every="2s", timeout="1s")
    exchange.knobs.on_request(REFUSED, account="main", method="v2/account.position", times=None)
    async with running(settings):
        await tables.first("main", "account_rejected")
        proxy.cut()
    for _ in range(2):
        async with running(settings):
            await sleep_until(slot_at(datetime.now(UTC), EVERY) + EVERY + timedelta(seconds=0.5))
    async with running(settings):
        asked = slot_at(datetime.now(UTC), EVERY) + EVERY
        await sleep_until(asked + timedelta(seconds=0.5))
        await proxy.mend()
        await tables.first("main", "account_rejected", after=asked)
    (gap,) = [each for each in await tables.gaps() if each.account == "main"]
    assert (gap.reason, gap.ended_at) == ("key_rejected", None)
    assert await violations(engine) == []
