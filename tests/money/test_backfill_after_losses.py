"""Whatever the stream lost, the ledgers bring: fills and income are then what they were, to the last digit."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.access import credentials, open_client
from recorder.config.settings import Settings
from recorder.simulator.account import Account
from recorder.simulator.knobs import Error, Repeated, Silence
from recorder.simulator.scenario import LEDGER, Scenario
from recorder.simulator.trader import Habits
from recorder.simulator.world import World
from recorder.watching.backfill import OVERLAP, SETTLED, Backfill, Reached
from tests.money.conftest import At
from tests.money.recorder_at_work import RecorderAtWork

FILLS = """
    SELECT symbol, trade_id, order_id, time, position_side, side, price, quantity, realized_profit, commission,
           commission_asset, maker, source
    FROM bi.fill WHERE account = :account AND time <= :until
"""
INCOME = """
    SELECT time, income_type, coalesce(symbol, ''), asset, income, tran_id, trade_id
    FROM bi.income WHERE account = :account AND time <= :until
"""
COVERAGE = """
    SELECT kind, symbol, complete_since, complete_until FROM recorder.ledger l
    JOIN recorder.account a ON a.id = l.account_id WHERE a.name = :account
"""
LOOK_BACK = timedelta(days=90)
TOLERATED = timedelta(minutes=2)


class Interrupted(Exception):
    """The back-fill is stopped on its way."""


def past(days: float = 2) -> World:
    """Accounts that traded for some days until now, and do nothing for the time being."""
    scenario = Scenario(
        accounts=4,
        names=LEDGER.names,
        habits=Habits(pause=timedelta(minutes=20), rest=timedelta(minutes=1), splits=0.2),
        funding=True,
        isolated=LEDGER.isolated,
        bnb_fees=LEDGER.bnb_fees,
        rebated=LEDGER.rebated,
        transfers=LEDGER.transfers,
    )
    now = datetime.now(UTC).replace(microsecond=0)
    world = scenario.world(7, now - timedelta(days=days))
    world.advance(now)
    return world


def busy() -> World:
    scenario = Scenario(
        accounts=4,
        names=LEDGER.names,
        habits=Habits(pause=timedelta(milliseconds=250), rest=timedelta(milliseconds=500), splits=0.2),
        bnb_fees=LEDGER.bnb_fees,
    )
    return scenario.world(8, datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=5))


def fills_of(account: Account, until: datetime, source: str = "rest") -> set[tuple[Any, ...]]:
    return {
        (
            fill.symbol,
            fill.trade_id,
            fill.order_id,
            fill.time,
            fill.position_side,
            "BUY" if fill.quantity > 0 else "SELL",
            fill.price,
            abs(fill.quantity),
            fill.realized_profit,
            -fill.commission,
            fill.commission_asset,
            fill.maker,
            source,
        )
        for fill in account.truth.fills
        if fill.time <= until
    }


def income_of(account: Account, until: datetime) -> set[tuple[Any, ...]]:
    return {
        (line.time, line.type, line.symbol, line.asset, line.amount, line.tran_id, line.trade_id)
        for line in account.truth.incomes
        if line.time <= until
    }


async def backfill(engine: AsyncEngine, settings: Settings, since: datetime | None = None, **tell: Any) -> None:
    async with open_client(settings) as client:
        for each in credentials(settings):
            await Backfill(engine, client.rest, **tell).run(each, since)


async def require_truth(recorder: RecorderAtWork, until: datetime) -> None:
    for name, account in recorder.exchange.world.accounts.items():
        fills = await recorder.rows(FILLS, account=name, until=until)
        income = await recorder.rows(INCOME, account=name, until=until)
        assert set(fills) ^ fills_of(account, until) == set()
        assert set(income) ^ income_of(account, until) == set()
        assert len(fills) == len(set(fills))
        assert len(income) == len(set(income))
        assert fills
        assert income


async def test_a_first_backfill_brings_all_there_is_and_says_how_far(recorder_at: At, engine: AsyncEngine) -> None:
    world = past()
    bonus = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=5)
    world.accounts["main"].credit(
        "REFERRAL_KICKBACK", "USDT", [Decimal(n) / 100 for n in range(1, 2300)], time=bonus, reason="ADJUSTMENT"
    )
    async with recorder_at(world) as recorder:
        now = recorder.exchange.clock.now()
        await backfill(engine, recorder.settings(every="1m"))
        await require_truth(recorder, now)
        for name in world.accounts:
            coverage = await recorder.rows(COVERAGE, account=name)
            symbols = {fill.symbol for fill in world.accounts[name].truth.fills}
            assert {(kind, symbol) for kind, symbol, *_ in coverage} == {("income", "")} | {
                ("fill", s) for s in symbols
            }
            for _, _, since, until in coverage:
                assert abs(now - LOOK_BACK - since) < TOLERATED
                assert now - SETTLED - TOLERATED < until <= datetime.now(UTC) - SETTLED


async def test_a_backfill_that_is_interrupted_goes_on_where_it_was(recorder_at: At, engine: AsyncEngine) -> None:
    world = past(days=1)

    def interrupt(reached: Reached) -> None:
        places.append((reached.account, reached.ledger, reached.at))
        if len(places) == 17:
            raise Interrupted

    places: list[Any] = []
    async with recorder_at(world) as recorder:
        now = recorder.exchange.clock.now()
        settings = recorder.settings(every="1m")
        with pytest.raises(Interrupted):
            await backfill(engine, settings, tell=interrupt)
        first, places = places, [None] * 18
        await backfill(engine, settings, tell=interrupt)
        await require_truth(recorder, now)
    again = {(account, ledger) for account, ledger, _ in first[:-1]}
    assert again
    for account, ledger in again:
        reached = max(at for *whose, at in first if whose == [account, ledger])
        resumed = [place[2] for place in places if place and place[:2] == (account, ledger)]
        assert not resumed or min(resumed) > reached - OVERLAP - SETTLED


async def test_what_is_older_is_asked_for_once_and_joins_the_newer(recorder_at: At, engine: AsyncEngine) -> None:
    async with recorder_at(past()) as recorder:
        now = recorder.exchange.clock.now()
        settings = recorder.settings(every="1m")
        await backfill(engine, settings, now - timedelta(hours=12))
        coverage = await recorder.rows(COVERAGE, account="main")
        assert all(abs(since - (now - timedelta(hours=12))) < TOLERATED for _, _, since, _ in coverage)
        await backfill(engine, settings)
        await require_truth(recorder, now)
        for name in recorder.exchange.world.accounts:
            for _, _, since, _ in await recorder.rows(COVERAGE, account=name):
                assert abs(now - LOOK_BACK - since) < TOLERATED
        asked = len(recorder.exchange.traffic.rest)
        await backfill(engine, settings)
        assert len(recorder.exchange.traffic.rest) - asked < 20


async def test_what_is_older_goes_on_where_it_was_interrupted(recorder_at: At, engine: AsyncEngine) -> None:
    def interrupt(reached: Reached) -> None:
        parts.append(reached)
        if len(parts) == 7:
            raise Interrupted

    parts: list[Reached] = []
    async with recorder_at(past(days=0.1)) as recorder:
        settings = recorder.settings(every="1m")
        await backfill(engine, settings, recorder.exchange.clock.now() - timedelta(hours=1))
        with pytest.raises(Interrupted):
            await backfill(engine, settings, tell=interrupt)
        ((_, _, since, until),) = [row for row in await recorder.rows(COVERAGE, account="main") if row[0] == "income"]
        assert until - since > timedelta(days=28)
        parts.clear()
        with pytest.raises(Interrupted):
            await backfill(engine, settings, tell=interrupt)
    newest, *older = [part.missing for part in parts]
    assert newest.since >= until - OVERLAP
    assert [part.until for part in older] == sorted((part.until for part in older), reverse=True)
    assert older[0].until == since


async def test_a_service_that_is_stopped_in_a_backfill_goes_on_where_it_was(recorder_at: At) -> None:
    async with recorder_at(past(days=0.1)) as recorder:
        async with recorder.recording(every="1s", stream=False, ledger="1s"):
            await recorder.until("SELECT count(*) > 0 FROM recorder.ledger")
        ((_, _, _, until),) = [row for row in await recorder.rows(COVERAGE, account="main") if row[0] == "income"]
        asked = len(recorder.exchange.traffic.rest)
        async with recorder.recording(every="1s", stream=False, ledger="1s"):
            await recorder.until("SELECT max(complete_until) > :until FROM recorder.ledger", until=until)
    calls = list(recorder.exchange.traffic.rest)[asked:]
    starts = [
        datetime.fromtimestamp(int(parse_qs(call.query)["startTime"][0]) / 1000, UTC)
        for call in calls
        if call.account == "main" and call.method == "GET /fapi/v1/income"
    ]
    assert starts
    assert min(starts) > until - OVERLAP - timedelta(seconds=1)


async def test_an_account_whose_ledgers_fail_holds_up_no_other_and_no_snapshot(recorder_at: At) -> None:
    async with recorder_at(past(days=0.5)) as recorder:
        now = recorder.exchange.clock.now()
        for method in ("GET /fapi/v1/income", "GET /fapi/v1/userTrades"):
            recorder.exchange.knobs.on_request(
                Error(status=400, code=-1130, msg="invalid"), account="main", method=method, times=None
            )
        async with recorder.recording(every="1s", stream=False, ledger="1s"):
            await recorder.until("SELECT count(*) = 3 FROM recorder.ledger WHERE kind = 'income'")
            slots = await recorder.value("SELECT count(*) FROM recorder.snapshot WHERE outcome = 'ok'")
            await recorder.until(
                "SELECT count(*) > :slots FROM recorder.snapshot WHERE outcome = 'ok'", slots=slots + 8
            )
            assert await recorder.rows(FILLS, account="main", until=now) == []
            recorder.exchange.knobs.clear()
            await recorder.until("SELECT count(*) = 4 FROM recorder.ledger WHERE kind = 'income'")
            await recorder.until(
                "SELECT count(*) >= :all FROM bi.fill WHERE account = 'main'",
                all=len(fills_of(recorder.exchange.world.accounts["main"], now)),
            )
        await require_truth(recorder, now)


@pytest.mark.parametrize("stream", ["off", "lossy"])
async def test_fills_and_income_are_exact_without_a_stream_and_with_a_lossy_one(
    recorder_at: At, engine: AsyncEngine, stream: str
) -> None:
    async with recorder_at(busy()) as recorder:
        recorder.exchange.knobs.on_event(Silence(), times=None, chance=0.2)
        recorder.exchange.knobs.on_event(Repeated(), times=None, chance=0.125)  # of the other 80 %: 10 % of all
        async with recorder.recording(every="5s", stream=stream == "lossy", ledger="2s"):
            await asyncio.sleep(6)
        until = recorder.exchange.clock.now()
        recorder.exchange.world.advance(until)
        told_by_stream = await recorder.value("SELECT count(*) FROM bi.fill WHERE source = 'stream'")
        await backfill(engine, recorder.settings(every="5s"))
        await require_truth(recorder, until)
        assert stream == "lossy" or not told_by_stream
