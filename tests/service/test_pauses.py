"""Limits and bans: what all accounts behind one address share."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recorder.simulator.exchange import Simulator
from recorder.simulator.knobs import Ban, Closed
from tests.service.running import Start, load_settings, running
from tests.service.tables import EVERY, Tables, Taken

LAST = "hedge"  # the account asked last in a slot: when it is refused, nobody else's request is on its way


@pytest.mark.parametrize("status", [429, 418])
async def test_after_a_refusal_for_everybody_nobody_asks_until_it_ends_and_every_slot_leaves_a_row(
    recorder: Start, exchange: Simulator, tables: Tables, status: int
) -> None:
    async with recorder():
        await tables.first(LAST, "ok")
        exchange.knobs.on_request(Ban(status, timedelta(seconds=1.9)), account=LAST)
        refused = await tables.first(LAST, "rate_limited")
        await tables.first(LAST, "ok", after=refused.time)
        await tables.first("main", "ok", after=refused.time)
    assert exchange.traffic.during_refusal == 0
    assert [answer.status for answer in exchange.traffic.answers].count(status) == 1
    outcomes = {(row.account, row.time): row.outcome for row in await tables.snapshots()}
    assert outcomes["main", refused.time] == "ok"
    assert outcomes["main", refused.time + EVERY] == "rate_limited"
    assert outcomes[LAST, refused.time + EVERY] == "rate_limited"
    assert "weight_budget" in refused.detail
    assert await tables.inferred("main") == []


@pytest.mark.parametrize("minutes", [-5, 5])
async def test_a_ban_is_respected_after_a_restart_whatever_the_clocks_say(
    exchange: Simulator, tables: Tables, database: str, tmp_path: Path, minutes: int
) -> None:
    exchange.clock.off = timedelta(minutes=minutes)
    settings = load_settings(tmp_path, exchange, database)
    async with running(settings):
        await tables.first(LAST, "ok")
        exchange.knobs.on_request(Ban(418, timedelta(seconds=3)), account=LAST)
        await tables.first(LAST, "rate_limited")
    before = len(exchange.traffic.handshakes)
    async with running(settings) as service:

        def since_then(account: str, outcome: str) -> Callable[[list[Taken]], bool]:
            return lambda rows: any(
                (row.account, row.outcome) == (account, outcome) and row.recorded_at > service.started_at
                for row in rows
            )

        await tables.until(since_then("main", "rate_limited"))
        assert len(exchange.traffic.handshakes) == before
        await tables.until(since_then("main", "ok"))
        await tables.until(since_then(LAST, "ok"))
    assert exchange.traffic.during_refusal == 0
    assert len(exchange.traffic.handshakes) == before + 1


async def test_a_handshake_refused_with_429_pauses_everybody_for_as_long_as_it_says(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    exchange.knobs.on_handshake(Closed(429, retry_after=3))
    async with recorder():
        limited = await tables.first("main", "rate_limited")
        await tables.first("main", "ok", after=limited.time)
    refused, admitted = exchange.traffic.handshakes
    assert (refused.status, admitted.status) == (429, 101)
    assert admitted.received_at - refused.received_at >= timedelta(seconds=3)


async def test_a_limit_that_others_use_up_is_kept_to_until_the_next_minute_without_one_refusal(
    exchange: Simulator, tables: Tables, database: str, tmp_path: Path
) -> None:
    _set_the_second(exchange, 52)
    exchange.meter.limit = 2400
    async with running(load_settings(tmp_path, exchange, database)):
        first = await tables.first("main", "ok")
        exchange.meter.count = 2380
        limited = await tables.first("main", "rate_limited", after=first.time)
        await tables.first("main", "ok", after=limited.time)
    assert {answer.status for answer in exchange.traffic.answers} == {200}
    assert exchange.traffic.during_refusal == 0


def _set_the_second(exchange: Simulator, second: int) -> None:
    """Put the exchange's clock forward, so that its minute ends when the test wants it to."""
    now = datetime.now(UTC)
    exchange.clock.off = timedelta(seconds=second - now.second - now.microsecond / 1e6) % timedelta(minutes=1)
