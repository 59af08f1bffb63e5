"""Answers that come late, swapped, in pieces or not at all."""

from datetime import timedelta
from decimal import Decimal

import pytest

from recorder.simulator.exchange import Simulator
from recorder.simulator.knobs import Cut, Disconnect, Garbage, Late, Maimed, RequestFault, Silence, Swapped
from tests.service.rows import as_recorded
from tests.service.running import Start, quiet, trade
from tests.service.tables import EVERY, Change, Tables

TIMEOUT = timedelta(milliseconds=800)  # of a slot, in these settings
LATE = timedelta(seconds=0.5)
GARBAGE = {
    "main": Garbage(b"\xff\xfe\x00 not UTF-8"),
    "hedge": Garbage(b"\x00\x01\x02", binary=True),
    "ed25519": Garbage(b'{"id":"17","status":200,"result":[]}'),
    "rsa": Garbage(b"[[[[[[{"),
}


@pytest.mark.parametrize("scenario", [pytest.param(quiet(3), id="three-accounts")])
async def test_an_account_that_is_never_answered_neither_delays_nor_changes_the_others(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    exchange.knobs.on_request(Silence(), account="hedge", times=None)
    async with recorder():
        first = await tables.first("hedge", "timeout")
        await tables.first("hedge", "timeout", after=first.time)
    assert {row.outcome for row in await tables.snapshots("hedge")} == {"timeout"}
    for account in ("main", "ed25519"):
        rows = await tables.snapshots(account)
        assert all(row.ok for row in rows)
        assert all(row.recorded_at - row.time < TIMEOUT for row in rows[1:])  # the service began within the first
        assert [await tables.samples(account, row.time) for row in rows] == [
            as_recorded(answer.rows or ()) for answer in exchange.traffic.answers_of(account)
        ]


async def test_an_exchange_that_falls_silent_leaves_a_row_for_each_slot_and_is_recorded_again_when_it_speaks(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    async with recorder():
        await tables.first("main", "ok")
        exchange.knobs.on_request(Silence(), method=None, times=None)
        failed = await tables.first("main", "timeout")
        await tables.first("hedge", "timeout")
        exchange.knobs.clear()
        for account in ("main", "hedge"):
            await tables.first(account, "ok", after=failed.time)
    assert "snapshot.timeout" in failed.detail
    assert await tables.inferred("main") == await tables.inferred("hedge") == []
    assert exchange.traffic.connections <= 10


async def test_an_answer_that_comes_in_the_next_slot_is_not_taken_for_that_slot(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    held = exchange.world.accounts["main"].open_positions()[0]
    key = held.symbol, held.position_side
    async with recorder():
        await tables.first("main", "ok")
        exchange.knobs.on_request(Late(timedelta(seconds=1.1)), account="main", times=2)
        failed = await tables.first("main", "timeout")
        after = trade(exchange, "main", held, held.amount)
        following = await tables.first("main", "ok", after=failed.time)
        await tables.first("main", "ok", after=following.time)
    late = [
        answer
        for answer in exchange.traffic.answers_of("main")
        if answer.sent_at > following.time and as_recorded(answer.rows or ())[key]["position_amt"] == f"{held.amount}"
    ]
    assert len(late) == 2
    for row in await tables.snapshots("main"):
        if row.time > failed.time:
            assert (await tables.samples("main", row.time))[key]["position_amt"] == f"{after.amount}"
    told = [(change.position_amt, change.update_time) for change in await _history_of(tables, key)]
    assert told == [(held.amount, held.update_time), (after.amount, after.update_time)]


async def test_answers_in_another_order_than_the_requests_each_go_to_their_own_account(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    async with recorder():
        first = await tables.first("hedge", "ok")
        exchange.knobs.on_request(Swapped(), times=2)
        for account in ("main", "hedge"):
            await tables.first(account, "ok", after=first.time)
    for account in ("main", "hedge"):
        rows = await tables.snapshots(account)
        assert [await tables.samples(account, row.time) for row in rows] == [
            as_recorded(answer.rows or ()) for answer in exchange.traffic.answers_of(account)
        ]


async def test_an_answer_belongs_to_the_request_whose_id_it_carries_and_the_next_slot_mends_what_crossed_ids_told(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    async with recorder():
        first = await tables.first("hedge", "ok")
        exchange.knobs.on_request(Swapped(crossed_ids=True), times=2)
        crossed = {each: await tables.first(each, "ok", after=first.time) for each in ("main", "hedge")}
        for account, row in crossed.items():
            await tables.first(account, "ok", after=row.time)
    held = {
        name: {(position.symbol, position.position_side): position.amount for position in account.open_positions()}
        for name, account in exchange.world.accounts.items()
    }
    for account, other in (("main", "hedge"), ("hedge", "main")):
        told = await tables.samples(account, crossed[account].time)
        assert {key: Decimal(sample["position_amt"]) for key, sample in told.items()} == held[other]
        assert await tables.held(account, crossed[account].time + EVERY) == held[account]


@pytest.mark.parametrize("fault", [Cut(), Disconnect()], ids=["cut frame", "dropped connection"])
async def test_an_answer_lost_with_its_connection_is_asked_for_again_within_the_slot(
    recorder: Start, exchange: Simulator, tables: Tables, fault: RequestFault
) -> None:
    exchange.knobs.on_request(fault, account="main")
    async with recorder():
        await tables.first("main", "ok")
        await tables.first("hedge", "ok")
    assert all(row.ok for row in await tables.snapshots())
    assert exchange.traffic.connections == 2


@pytest.mark.parametrize("scenario", [pytest.param(quiet(4), id="four-accounts")])
async def test_frames_without_meaning_change_nothing(recorder: Start, exchange: Simulator, tables: Tables) -> None:
    for account, garbage in GARBAGE.items():
        exchange.knobs.on_request(garbage, account=account, times=None)
    async with recorder():
        first = await tables.first("main", "ok")
        for account in GARBAGE:
            await tables.first(account, "ok", after=first.time)
    assert all(row.ok and row.position_count == 3 for row in await tables.snapshots())
    assert exchange.traffic.connections == 1


@pytest.mark.parametrize("scenario", [pytest.param(quiet(4), id="four-accounts")])
async def test_an_answer_without_one_of_its_parts_is_malformed_or_asked_for_again_and_never_taken_for_flat(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    maimed = {"main": "result", "hedge": "status", "ed25519": "id", "rsa": "rateLimits"}
    async with recorder():
        first = await tables.first("rsa", "ok")
        for account, member in maimed.items():
            exchange.knobs.on_request(Maimed(without=member), account=account)
        malformed = [await tables.first(account, "malformed", after=first.time) for account in ("main", "hedge")]
        for account in maimed:
            await tables.first(account, "ok", after=max(row.time for row in malformed))
    failed = [(row.account, row.outcome) for row in await tables.snapshots() if not row.ok]
    assert sorted(failed) == [("hedge", "malformed"), ("main", "malformed")]
    for account in maimed:
        assert await tables.inferred(account) == []


async def test_answers_that_take_their_time_do_not_delay_the_schedule(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    exchange.knobs.on_request(Late(LATE), times=None)
    async with recorder(every="2s", timeout="1900ms"):
        first = await tables.first("hedge", "ok")
        await tables.first("hedge", "ok", after=first.time)
    for row in await tables.snapshots():
        assert row.ok
        assert LATE <= row.duration < 2 * LATE
        asked_at = row.taken_at - row.duration / 2
        assert asked_at - row.time < LATE or row.time <= first.time  # the service began within the first


async def _history_of(tables: Tables, key: tuple[str, str]) -> list[Change]:
    return [change for change in await tables.history("main") if (change.symbol, change.position_side) == key]
