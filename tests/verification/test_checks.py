"""Every check finds what breaks its promise, names the place, and blames nothing else."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.postgres.roles import create_roles
from recorder.postgres.verification.audit import CHECKS, audit
from recorder.postgres.verification.check import Example

MAIN = "(SELECT id FROM recorder.account WHERE name = 'main')"
A_SLOT = f"account_id = {MAIN} AND time = '2026-03-31 12:00Z'"
HELD_ON = f"""
    SELECT p.* FROM recorder.sample p
    JOIN recorder.sample b ON (b.account_id, b.symbol, b.position_side, b.update_time)
      = (p.account_id, p.symbol, p.position_side, p.update_time) AND b.time = p.time - interval '30 minutes'
    JOIN recorder.sample a ON (a.account_id, a.symbol, a.position_side, a.update_time)
      = (p.account_id, p.symbol, p.position_side, p.update_time) AND a.time = p.time + interval '30 minutes'
    WHERE p.account_id = {MAIN} AND p.time > '2026-03-31Z' ORDER BY p.time, p.symbol LIMIT 1
"""
"""A sample in the middle of a position's quiet hour: no change is told by it."""

ITS_CHANGE = f"""
    SELECT c.* FROM recorder.change c JOIN ({HELD_ON}) AS held
      ON (c.account_id, c.symbol, c.position_side, c.update_time)
       = (held.account_id, held.symbol, held.position_side, held.update_time)
"""
EARNING_WITHOUT_FUNDING = """
    SELECT replace(pg_get_viewdef('recorder.earning'), ';', '') || ' AND i.income_type <> ''FUNDING_FEE'''
"""


async def do(engine: AsyncEngine, *statements: str) -> None:
    async with engine.begin() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)


async def one(engine: AsyncEngine, sql: str) -> Any:
    async with engine.connect() as connection:
        return (await connection.exec_driver_sql(sql)).one()


async def violated(engine: AsyncEngine, **given: Any) -> dict[str, tuple[Example, ...]]:
    return {each.check.name: each.answer.examples for each in await audit(engine, **given) if each.is_violated}


def places(examples: tuple[Example, ...]) -> list[tuple[str | None, str | None, str | None]]:
    return [(each.account, f"{each.time:%d %H:%M}" if each.time else None, each.symbol) for each in examples]


async def test_what_the_recorder_wrote_breaks_no_promise_and_every_check_had_something_to_check(
    month: AsyncEngine,
) -> None:
    results = await audit(month)

    assert {each.check.name: each.answer.examples for each in results if each.is_violated} == {}
    without_gaps = {"gaps", "open gaps", "repairs"}
    assert {each.check.name for each in results if not each.answer.checked} == without_gaps
    assert [each.check for each in results] == list(CHECKS)


async def test_a_slot_without_a_row_is_found(month: AsyncEngine) -> None:
    await do(month, "DELETE FROM recorder.snapshot WHERE outcome = 'timeout'")
    found = await violated(month)
    assert list(found) == ["slots"]
    assert places(found["slots"]) == [("main", "31 06:00", None)]


async def test_slots_in_a_gap_are_answered_for_and_those_at_its_edges_are_not(month: AsyncEngine) -> None:
    await do(
        month,
        "DELETE FROM recorder.snapshot WHERE outcome = 'timeout'",
        f"""INSERT INTO recorder.gap (account_id, source, started_at, ended_at, reason)
        SELECT {MAIN}, 'snapshot', '2026-03-31 05:30Z', '2026-03-31 06:30Z', 'not_running'""",
    )
    assert await violated(month) == {}
    await do(month, "UPDATE recorder.gap SET ended_at = '2026-03-31 06:00Z'")
    assert list(await violated(month)) == ["slots"]
    await do(
        month, "UPDATE recorder.gap SET ended_at = '2026-03-31 07:00Z', source = 'stream', repaired_by = 'ledgers'"
    )
    assert list(await violated(month)) == ["slots"]


async def test_each_schedule_has_its_own_slots(month: AsyncEngine) -> None:
    await do(
        month,
        f"INSERT INTO recorder.schedule SELECT {MAIN}, '2026-04-01Z', '1 hour'",
        f"INSERT INTO recorder.schedule SELECT {MAIN}, '2026-04-01 12:00Z', '15 minutes'",
        f"INSERT INTO recorder.schedule SELECT {MAIN}, '2026-04-01 13:00Z', '30 minutes'",
    )
    found = await violated(month)
    assert list(found) == ["slots"]
    assert places(found["slots"]) == [("main", "01 12:15", None), ("main", "01 12:45", None)]


async def test_what_comes_after_the_newest_snapshot_is_told_but_breaks_no_promise(month: AsyncEngine) -> None:
    (notice,) = (each for each in await audit(month) if each.check.name == "open end")
    assert (notice.answer.found, notice.is_violated) == (4, False)


async def test_time_in_which_nobody_listened_needs_a_gap(month: AsyncEngine) -> None:
    await do(
        month,
        f"INSERT INTO recorder.stream SELECT {MAIN}, '2026-03-31 10:00Z', 'silent'",
        f"INSERT INTO recorder.stream SELECT {MAIN}, '2026-03-31 11:00Z', 'connected'",
    )
    found = await violated(month)
    assert list(found) == ["stream"]
    assert places(found["stream"]) == [("main", "31 10:00", None)]

    gap = f"INSERT INTO recorder.gap SELECT {MAIN}, 'stream', '2026-03-31 10:00Z', '2026-03-31 10:40Z', 'silent', 'ledgers'"
    await do(month, gap)
    assert places((await violated(month))["stream"]) == [("main", "31 10:40", None)]
    await do(month, "UPDATE recorder.gap SET ended_at = '2026-03-31 11:00Z'")
    assert await violated(month) == {}


async def test_a_stream_that_is_gone_for_good_needs_an_open_gap(month: AsyncEngine) -> None:
    await do(month, f"INSERT INTO recorder.stream SELECT {MAIN}, '2026-03-31 10:00Z', 'connection_lost'")
    assert list(await violated(month)) == ["stream"]
    await do(month, f"INSERT INTO recorder.gap SELECT {MAIN}, 'stream', '2026-03-31 10:00Z', NULL, 'connection_lost'")
    assert await violated(month) == {}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("ALTER TABLE recorder.gap DROP CONSTRAINT gap_pkey", "recorder.gap: no primary key of account_id, source"),
        (
            "CREATE INDEX half_made ON ONLY recorder.sample (update_time)",
            "recorder.half_made: this index is not valid",
        ),
        ("ALTER TABLE recorder.change ADD CONSTRAINT later CHECK (symbol <> 'X') NOT VALID", "constraint later"),
    ],
)
async def test_keys_that_guard_nothing_are_found(month: AsyncEngine, damage: str, words: str) -> None:
    await do(month, damage)
    found = await violated(month)
    assert list(found) == ["keys"]
    assert words in found["keys"][0].what


@pytest.mark.parametrize("parent", ["sample", "balance"])
async def test_a_missing_partition_is_found(month: AsyncEngine, parent: str) -> None:
    (name,) = await one(month, f"SELECT '{parent}_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')")
    await do(month, f"DROP TABLE recorder.{name}")
    found = await violated(month)
    assert list(found) == ["partitions"]
    assert [each.what for each in found["partitions"]] == [f"recorder.{parent}: no partition of this month"]


async def test_rows_in_a_default_partition_are_found_and_so_is_its_absence(month: AsyncEngine) -> None:
    await do(
        month,
        "ALTER TABLE recorder.sample DETACH PARTITION recorder.sample_2026_03",
        "INSERT INTO recorder.sample SELECT * FROM recorder.sample_2026_03",
        "DROP TABLE recorder.balance_default",
        "CREATE TABLE recorder.balance_default (LIKE recorder.balance, PRIMARY KEY (account_id, time, asset))",
    )
    found = await violated(month)
    assert list(found) == ["partitions"]
    assert [each.account for each in found["partitions"]] == ["bnb", "hedge", "isolated", "main", None]


async def test_a_snapshot_that_counted_other_samples_is_found(month: AsyncEngine) -> None:
    await do(month, f"UPDATE recorder.snapshot SET position_count = position_count + 1 WHERE {A_SLOT}")
    found = await violated(month)
    assert list(found) == ["snapshots"]
    assert [place[:2] for place in places(found["snapshots"])] == [("main", "31 12:00")]


async def test_samples_of_a_failed_snapshot_and_of_none_are_found(month: AsyncEngine) -> None:
    copy = f"""
        INSERT INTO recorder.sample
        SELECT (jsonb_populate_record(NULL::recorder.sample, to_jsonb(p) || '{{{{"time": "{{}}"}}}}')).* FROM ({HELD_ON}) AS p
    """
    await do(month, copy.format("2026-03-31T06:00:00Z"), copy.format("2026-03-31T06:01:00Z"))
    found = await violated(month)
    assert list(found) == ["snapshots"]
    assert [each.what for each in found["snapshots"]] == [
        "1 samples of a snapshot that failed: timeout",
        "1 samples and no snapshot",
    ]


async def test_a_deleted_sample_is_found_twice_over(month: AsyncEngine) -> None:
    held = await one(month, HELD_ON)
    await do(
        month,
        f"DELETE FROM recorder.sample WHERE (account_id, time, symbol) IN (SELECT account_id, time, symbol FROM ({HELD_ON}) AS p)",
    )
    found = await violated(month)
    assert list(found) == ["snapshots", "history"]
    assert places(found["history"]) == [("main", f"{held.time:%d %H:%M}", held.symbol)]
    assert "the snapshot shows nothing, the history says" in found["history"][0].what


@pytest.mark.parametrize("column", ["position_amt", "entry_price"])
async def test_an_altered_sample_contradicts_the_history(month: AsyncEngine, column: str) -> None:
    held = await one(month, HELD_ON)
    await do(
        month,
        f"UPDATE recorder.sample s SET {column} = p.{column} + 1 FROM ({HELD_ON}) AS p"
        " WHERE (s.account_id, s.time, s.symbol) = (p.account_id, p.time, p.symbol)",
    )
    found = await violated(month)
    assert list(found) == ["history"]
    assert places(found["history"]) == [("main", f"{held.time:%d %H:%M}", held.symbol)]


async def test_a_deleted_change_contradicts_the_samples_that_show_it(month: AsyncEngine) -> None:
    change = await one(month, ITS_CHANGE)
    await do(
        month,
        f"""DELETE FROM recorder.change c USING ({ITS_CHANGE}) AS gone
        WHERE (c.account_id, c.symbol, c.position_side, c.update_time)
          = (gone.account_id, gone.symbol, gone.position_side, gone.update_time)""",
    )
    found = await violated(month)
    assert list(found) == ["history"]
    assert found["history"][0].symbol == change.symbol
    assert found["history"][0].time == change.snapshot_time


async def test_an_invented_change_contradicts_the_samples_after_it(month: AsyncEngine) -> None:
    held = await one(month, HELD_ON)
    invented = f'{{"update_time": "{held.time}", "observed_at": "{held.time}", "position_amt": 77, "source": "stream", "snapshot_time": null}}'
    await do(
        month,
        f"INSERT INTO recorder.change SELECT (jsonb_populate_record(NULL::recorder.change, to_jsonb(c) || '{invented}')).* FROM ({ITS_CHANGE}) AS c",
    )
    found = await violated(month)
    assert list(found) == ["history"]
    assert found["history"][0].symbol == held.symbol


async def test_a_deleted_close_contradicts_the_snapshots_without_the_position(month: AsyncEngine) -> None:
    close = f"""
        SELECT * FROM recorder.change c WHERE account_id = {MAIN} AND source = 'inferred' AND NOT EXISTS (
          SELECT FROM recorder.change n WHERE n.account_id = c.account_id AND n.symbol = c.symbol
            AND n.update_time > c.update_time AND n.update_time < c.update_time + interval '3 hours')
        ORDER BY update_time LIMIT 1"""
    gone = await one(month, close)
    await do(
        month,
        f"DELETE FROM recorder.change WHERE (account_id, symbol, update_time) IN (SELECT account_id, symbol, update_time FROM ({close}) AS c)",
    )
    found = await violated(month)
    assert list(found) == ["history"]
    assert places(found["history"])[0] == ("main", f"{gone.update_time:%d %H:%M}", gone.symbol)


async def test_a_change_that_its_snapshot_did_not_show_is_found(month: AsyncEngine) -> None:
    change = await one(month, ITS_CHANGE)
    await do(
        month,
        f"""UPDATE recorder.change c SET snapshot_time = '2026-03-31 06:00Z' FROM ({ITS_CHANGE}) AS its
        WHERE (c.account_id, c.symbol, c.position_side, c.update_time)
          = (its.account_id, its.symbol, its.position_side, its.update_time)""",
    )
    found = await violated(month)
    assert list(found) == ["changes"]
    assert (found["changes"][0].symbol, found["changes"][0].time) == (change.symbol, change.update_time)
    assert "which failed" in found["changes"][0].what


async def test_an_answer_about_balances_without_rows_is_found(month: AsyncEngine) -> None:
    await do(month, f"UPDATE recorder.snapshot SET balance_outcome = 'timeout' WHERE {A_SLOT}")
    found = await violated(month)
    assert list(found) == ["balances"]
    assert places(found["balances"]) == [("main", "31 12:00", None)]


async def test_wallets_that_are_gone_for_one_slot_are_found(month: AsyncEngine) -> None:
    await do(
        month,
        "DELETE FROM recorder.ledger",
        "DELETE FROM recorder.income",
        f"DELETE FROM recorder.balance WHERE {A_SLOT}",
    )
    found = await violated(month)
    assert list(found) == ["balances"]
    assert places(found["balances"]) == [("main", "31 12:00", None)]


@pytest.mark.parametrize(
    "damage",
    [
        f"UPDATE recorder.snapshot SET recorded_at = taken_at - interval '1 hour' WHERE {A_SLOT}",
        f"UPDATE recorder.snapshot SET clock_offset_ms = -7200000 WHERE {A_SLOT}",
        f"UPDATE recorder.snapshot SET clock_offset_ms = 30000 WHERE {A_SLOT}",
    ],
)
async def test_a_snapshot_at_an_impossible_time_is_found(month: AsyncEngine, damage: str) -> None:
    await do(month, damage)
    found = await violated(month)
    assert list(found) == ["times"]
    assert places(found["times"]) == [("main", "31 12:00", None)]


async def test_a_change_of_the_future_is_found(month: AsyncEngine) -> None:
    change = await one(month, ITS_CHANGE)
    await do(
        month,
        f"""UPDATE recorder.change c SET observed_at = c.update_time - interval '1 hour' FROM ({ITS_CHANGE}) AS its
        WHERE (c.account_id, c.symbol, c.update_time) = (its.account_id, its.symbol, its.update_time)""",
    )
    found = await violated(month)
    assert list(found) == ["times"]
    assert found["times"][0].symbol == change.symbol


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE recorder.income SET income = income + 0.00000001 WHERE {line}",
        "DELETE FROM recorder.income WHERE {line}",
        "UPDATE recorder.income SET income_type = 'A_NEW_ONE', income = income + 5 WHERE {line}",
    ],
)
async def test_a_line_of_the_ledger_that_was_tampered_with_unbalances_the_books_where_it_stands(
    month: AsyncEngine, damage: str
) -> None:
    line = f"""
        SELECT account_id, income_type, tran_id, asset, "time" FROM recorder.income
        WHERE account_id = {MAIN} AND income_type = 'FUNDING_FEE' AND "time" > '2026-03-31Z' ORDER BY "time" LIMIT 1"""
    booked = await one(month, line)
    await do(
        month,
        damage.format(
            line=f"(account_id, income_type, tran_id) IN (SELECT account_id, income_type, tran_id FROM ({line}) AS l)"
        ),
    )
    found = await violated(month)
    assert list(found) == ["books", "profit"]
    (step,) = found["books"]
    assert (step.account, step.symbol) == ("main", "USDT")
    assert step.time is not None
    assert 0 <= (step.time - booked.time).total_seconds() < 3600 * 2


async def test_a_wallet_that_was_tampered_with_unbalances_the_books_before_and_after(month: AsyncEngine) -> None:
    await do(
        month, f"UPDATE recorder.balance SET wallet_balance = wallet_balance + 1 WHERE {A_SLOT} AND asset = 'USDC'"
    )
    found = await violated(month)
    assert list(found) == ["books"]
    assert places(found["books"]) == [("main", "31 12:00", "USDC"), ("main", "31 12:30", "USDC")]


async def test_profit_that_the_views_do_not_count_is_found(month: AsyncEngine) -> None:
    (definition,) = await one(month, EARNING_WITHOUT_FUNDING)
    await do(month, f"CREATE OR REPLACE VIEW recorder.earning AS {definition}")
    found = await violated(month)
    assert list(found) == ["profit"]
    assert {each.symbol for each in found["profit"]} == {"USDT", "USDC"}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE recorder.fill f SET realized_profit = realized_profit + 0.01",
        "UPDATE recorder.fill f SET commission = commission * 2",
        "UPDATE recorder.fill f SET commission_asset = 'USDC'",
        "DELETE FROM recorder.fill f",
    ],
)
async def test_a_fill_that_the_ledger_does_not_know_so_is_found(month: AsyncEngine, damage: str) -> None:
    which = """
        SELECT f.* FROM recorder.fill f JOIN recorder.account a ON a.id = f.account_id AND a.name = 'bnb'
        WHERE f."time" > '2026-03-31Z' AND f.commission_asset = 'BNB' ORDER BY f."time", f.trade_id LIMIT 1"""
    fill = await one(month, which)
    await do(
        month,
        f"{damage} WHERE (account_id, symbol, trade_id) IN (SELECT account_id, symbol, trade_id FROM ({which}) AS w)",
    )
    found = await violated(month)
    assert list(found) == ["fills"]
    assert (found["fills"][0].account, found["fills"][0].symbol) == ("bnb", fill.symbol)
    assert f"trade {fill.trade_id}" in found["fills"][0].what


GAP = f"INSERT INTO recorder.gap (account_id, source, started_at, ended_at, reason, repaired_by) SELECT {MAIN}, "


async def test_gaps_that_overlap_or_run_backwards_are_found(month: AsyncEngine) -> None:
    await do(
        month,
        f"{GAP} 'stream', '2026-03-31 10:00Z', '2026-03-31 11:00Z', 'silent', 'ledgers'",
        f"{GAP} 'stream', '2026-03-31 10:30Z', '2026-03-31 11:30Z', 'silent', 'ledgers'",
        f"{GAP} 'stream', '2026-03-31 11:20Z', '2026-03-31 11:50Z', 'buffer_full', 'ledgers'",
    )
    found = await violated(month)
    assert list(found) == ["gaps"]
    assert places(found["gaps"]) == [("main", "31 10:30", None)]

    await do(
        month,
        "DELETE FROM recorder.gap",
        "ALTER TABLE recorder.gap DROP CONSTRAINT gap_ends_after_start_check",
        f"{GAP} 'stream', '2026-03-31 10:00Z', '2026-03-31 09:00Z', 'silent', 'ledgers'",
    )
    assert [each.what for each in (await violated(month))["gaps"]] == ["stream gap, silent: ends before it starts"]


@pytest.mark.parametrize("source", ["stream", "snapshot"])
async def test_a_gap_that_was_never_closed_is_found(month: AsyncEngine, source: str) -> None:
    await do(
        month,
        f"INSERT INTO recorder.stream SELECT {MAIN}, '2026-03-31 11:00Z', 'connected'",
        f"{GAP} '{source}', '2026-03-31 10:00Z', NULL, 'silent', NULL",
    )
    found = await violated(month)
    assert list(found) == ["open gaps"]
    assert places(found["open gaps"]) == [("main", "31 10:00", None)]


async def test_a_gap_that_the_ledgers_cover_and_nobody_marked_is_found(month: AsyncEngine) -> None:
    await do(month, f"{GAP} 'stream', '2026-03-31 10:00Z', '2026-03-31 11:00Z', 'silent', NULL")
    found = await violated(month)
    assert list(found) == ["repairs"]
    assert places(found["repairs"]) == [("main", "31 10:00", None)]


async def test_a_reader_with_more_rights_than_schema_bi_is_found(month: AsyncEngine) -> None:
    await create_roles(month)
    assert await violated(month) == {}
    await do(month, "GRANT SELECT ON recorder.income TO recorder_reader")
    found = await violated(month)
    assert list(found) == ["rights"]
    assert [each.what for each in found["rights"]] == ["recorder_reader may read recorder.income"]


async def test_what_lies_before_since_or_in_another_account_is_not_looked_at(month: AsyncEngine) -> None:
    held = await one(month, HELD_ON)
    await do(
        month,
        f"UPDATE recorder.sample s SET position_amt = p.position_amt + 1 FROM ({HELD_ON}) AS p"
        " WHERE (s.account_id, s.time, s.symbol) = (p.account_id, p.time, p.symbol)",
    )
    assert list(await violated(month, account="main")) == ["history"]
    assert await violated(month, account="hedge") == {}
    assert list(await violated(month, since=held.time)) == ["history"]
    assert await violated(month, since=held.time.replace(microsecond=1)) == {}


async def test_of_many_violations_all_are_counted_and_the_first_are_named(month: AsyncEngine) -> None:
    await do(month, f"DELETE FROM recorder.change WHERE account_id = {MAIN}")
    (history,) = (each for each in await audit(month, examples=3) if each.check.name == "history")
    (samples,) = await one(
        month, f"SELECT count(*) FROM recorder.sample WHERE account_id = {MAIN} AND position_amt <> 0"
    )
    assert history.answer.found == samples
    assert [each.time for each in history.answer.examples] == sorted(
        each.time for each in history.answer.examples if each.time
    )
    assert len(history.answer.examples) == 3
