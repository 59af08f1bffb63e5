"""Position rows that are not as documented, and what becomes of their account's positions."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from recorder.simulator.alterations import (
    emptied,
    with_both_spellings,
    with_extreme_numbers,
    with_other_spelling,
    with_unknown_fields,
    with_value,
    without_field,
)
from recorder.simulator.exchange import Simulator
from recorder.simulator.frames import Row
from recorder.simulator.knobs import Altered
from tests.service.proxy import Proxy
from tests.service.rows import as_recorded
from tests.service.running import Start, next_slot, quiet
from tests.service.tables import EVERY, Tables

UNREADABLE = {
    "hedge": ("positionAmt", Altered(with_value("positionAmt", "NaN"))),
    "ed25519": ("markPrice", Altered(without_field("markPrice"))),
    "rsa": ("entryPrice", Altered(with_value("entryPrice", ["1"]))),
    "account-05": ("unRealizedProfit", Altered(with_value("unRealizedProfit", "Infinity"))),
    "account-06": ("updateTime", Altered(with_value("updateTime", -1))),
    "account-07": ("twice", Altered(lambda rows: [*rows, rows[0]])),
}


async def test_unknown_fields_are_kept_as_they_were_sent(recorder: Start, exchange: Simulator, tables: Tables) -> None:
    exchange.knobs.on_request(Altered(with_unknown_fields), account="main", times=None)
    exchange.knobs.on_request(Altered(with_value("fee", 0.1)), account="hedge", times=None)
    async with recorder():
        told = {account: await tables.first(account, "ok") for account in ("main", "hedge")}
    extras = {
        account: [
            json.loads(sample["extra"], parse_float=Decimal)
            for sample in (await tables.samples(account, row.time)).values()
        ]
        for account, row in told.items()
    }
    assert (
        extras["main"] == [{"marginTier": "T2", "riskScore": 17, "hints": {"source": "engine-b", "levels": [1, 2]}}] * 3
    )
    assert extras["hedge"] == [{"fee": Decimal("0.1")}] * 3


async def test_extreme_numbers_are_recorded_with_every_digit(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    exchange.knobs.on_request(Altered(with_extreme_numbers), account="main", times=None)
    async with recorder():
        row = await tables.first("main", "ok")
    for sample in (await tables.samples("main", row.time)).values():
        assert sample["break_even_price"] == "0.00000001"
        assert sample["liquidation_price"] == "123456789012345678901.234567891"
        assert sample["isolated_margin"] == "0.0"
        assert sample["isolated_wallet"] == "1500"
    sent = [answer for answer in exchange.traffic.answers_of("main") if answer.sent_at >= row.time]
    assert await tables.samples("main", row.time) == as_recorded(sent[0].rows or ())


@pytest.mark.parametrize("scenario", [pytest.param(quiet(7), id="seven-accounts")])
async def test_rows_that_cannot_be_read_fail_their_snapshot_by_the_fields_name_and_close_nothing(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    async with recorder():
        first = await tables.first("account-07", "ok")
        for account, (_, alteration) in UNREADABLE.items():
            exchange.knobs.on_request(alteration, account=account)
        failed = {account: await tables.first(account, "malformed", after=first.time) for account in UNREADABLE}
        for account, row in failed.items():
            await tables.first(account, "ok", after=row.time)
    for account, (field, _) in UNREADABLE.items():
        assert field in failed[account].detail
        assert failed[account].position_count == 0
        assert await tables.inferred(account) == []
        assert len(await tables.history(account)) == 3
    assert all(row.ok for row in await tables.snapshots("main"))


async def test_the_profit_is_read_under_either_spelling(recorder: Start, exchange: Simulator, tables: Tables) -> None:
    exchange.knobs.on_request(Altered(with_other_spelling), account="main", times=None)
    exchange.knobs.on_request(Altered(with_both_spellings), account="hedge", times=None)
    async with recorder():
        rows = {account: await tables.first(account, "ok") for account in ("main", "hedge")}
    for account, row in rows.items():
        (sent, *_) = (answer for answer in exchange.traffic.answers_of(account) if answer.sent_at >= row.time)
        profits = {json.loads(text)["symbol"]: json.loads(text)["unrealizedProfit"] for text in sent.rows or ()}
        samples = await tables.samples(account, row.time)
        assert {symbol: sample["unrealized_profit"] for (symbol, _), sample in samples.items()} == profits


async def test_a_complete_answer_without_rows_closes_every_position_at_its_slot(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    async with recorder():
        first = await tables.first("main", "ok")
        exchange.knobs.on_request(Altered(emptied), account="main")
        flat = await tables.first("main", "ok", after=first.time)
        await tables.first("main", "ok", after=flat.time)
    held = exchange.world.accounts["main"].open_positions()
    assert flat.position_count == 0
    closes = await tables.inferred("main")
    assert {(close.symbol, close.position_side) for close in closes} == {
        (each.symbol, each.position_side) for each in held
    }
    assert all(close.update_time == flat.time and close.position_amt == 0 for close in closes)
    assert await tables.held("main", flat.time) == {}
    assert await tables.held("main", flat.time + EVERY) == {
        (each.symbol, each.position_side): each.amount for each in held
    }
    assert await tables.inferred("hedge") == []


async def test_a_state_that_differs_under_the_same_update_time_is_kept_and_dated_by_its_slot(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    async with recorder():
        first = await tables.first("main", "ok")
        exchange.knobs.on_request(Altered(with_value("entryPrice", "1.25")), account="main")
        restated = await tables.first("main", "ok", after=first.time)
        await tables.first("main", "ok", after=restated.time)
    history = await tables.history("main")
    for held in exchange.world.accounts["main"].open_positions():
        assert [(each.update_time, each.entry_price) for each in history if each.symbol == held.symbol] == [
            (held.update_time, held.entry_price),
            (restated.time, Decimal("1.25")),
            (restated.time + EVERY, held.entry_price),
        ]


async def test_a_state_that_the_exchange_does_not_date_is_dated_by_the_slot_that_first_saw_it(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    async with recorder():
        await tables.first("main", "ok")
        exchange.knobs.on_request(Altered(_with_an_undated_row), account="main", times=None)
        seen = await tables.until(lambda rows: rows[-1].position_count == 4, "main")
        await tables.first("main", "ok", after=seen[-1].time)
    undated = [change for change in await tables.history("main") if change.symbol == "NEWUSDT"]
    assert [(change.update_time, change.source) for change in undated] == [(seen[-1].time, "snapshot")]


async def test_a_snapshot_that_postgresql_refuses_fails_alone_among_all_that_wait_and_closes_nothing(
    recorder: Start, exchange: Simulator, tables: Tables, proxy: Proxy
) -> None:
    async with recorder(database=proxy.url):
        await tables.first("hedge", "ok")
        proxy.cut()  # so that several snapshots wait, and are committed together
        exchange.knobs.on_request(Altered(with_value("note", "nul\0nul")), account="main")
        for _ in range(2):
            await next_slot()
        await proxy.mend()
        refused = await tables.first("main", "refused_by_database")
        await tables.first("main", "ok", after=refused.time)
        await tables.first("hedge", "ok", after=refused.time)
    assert "Unicode" in refused.detail
    assert [row.time for row in await tables.snapshots() if not row.ok] == [refused.time]
    assert await tables.inferred("main") == []


async def test_a_name_too_long_for_the_database_stops_neither_the_others_nor_the_slots_after_it(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    monstrous = "".join(chr(0x4E00 + place * 7919 % 20_000) for place in range(4000))
    async with recorder():
        await tables.first("main", "ok")
        exchange.knobs.on_request(Altered(lambda rows: [{**rows[0], "symbol": monstrous}]), account="main")
        refused = await tables.first("main", "refused_by_database")
        await tables.first("main", "ok", after=refused.time)
    assert all(row.ok and row.recorded_at - row.time < timedelta(seconds=5) for row in await tables.snapshots("hedge"))


def _with_an_undated_row(rows: list[Row]) -> list[Row]:
    return [*rows, {**rows[0], "symbol": "NEWUSDT", "updateTime": 0}]
