"""The views of an account's money: its equity, its days, its books; readers can read them, and all can be undone."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.postgres import tables
from recorder.postgres.roles import create_roles
from recorder.postgres.schedules import write_schedule
from tests.postgres.money_story import Story, at, money, rows

pytestmark = pytest.mark.every_postgres

EQUITY = """
    SELECT time, asset, wallet_balance, unrealized_profit, equity, net_transfers, net_profit
    FROM bi.account_equity ORDER BY asset, time
"""
DAYS = """
    SELECT symbol, asset, day, realized_profit, commission, funding, net_profit,
           unrealized_profit, unrealized_peak, unrealized_trough
    FROM bi.pnl_daily ORDER BY symbol NULLS FIRST, asset, day
"""
BTC = ("BTCUSDT", "BOTH")
TODAY, TOMORROW, DAY_AFTER = date(2026, 11, 22), date(2026, 11, 23), date(2026, 11, 24)


async def test_deposits_and_withdrawals_are_no_profit(engine: AsyncEngine) -> None:
    story = Story()
    story.income(-1, "TRANSFER", "1000")
    story.slot(0, (*BTC, "1", "10"), wallet={"USDT": "1000"})
    story.income(0.5, "TRANSFER", "500")
    story.income(0.6, "REALIZED_PNL", "3")
    story.slot(1, (*BTC, "1", "12"), ("ETHUSDT", "LONG", "1", "-1"), wallet={"USDT": "1503"})
    story.income(2.001, "TRANSFER", "-200")  # between the due time and its answer
    story.slot(2, wallet={"USDT": "1303"})
    await story.write(engine)
    assert await rows(engine, EQUITY) == [
        (at(0), "USDT", *money("1000", "10", "1010", "0", "0")),
        (at(1), "USDT", *money("1503", "11", "1514", "500", "4")),
        (at(2), "USDT", *money("1303", "0", "1303", "300", "-7")),
    ]


async def test_an_asset_that_is_used_up_is_zero_from_its_first_balance_on(engine: AsyncEngine) -> None:
    story = Story()
    story.slot(0, wallet={"USDT": "100"})
    story.income(0.5, "INTERNAL_TRANSFER", "2", "BNB")
    story.slot(1, wallet={"USDT": "100", "BNB": "2"})
    story.slot(2, wallet={"USDT": "100"})
    await story.write(engine)
    assert await rows(engine, EQUITY.replace("ORDER", "WHERE asset = 'BNB' ORDER")) == [
        (at(1), "BNB", *money("2", "0", "2", "2", "0")),
        (at(2), "BNB", *money("0", "0", "0", "2", "-2")),
    ]


async def test_equity_is_unknown_where_the_positions_are_and_has_no_row_where_the_balances_are(
    engine: AsyncEngine,
) -> None:
    story = Story()
    story.slot(0, wallet={"USDT": "90"}, outcome="timeout")
    story.slot(1, (*BTC, "1", "1"), wallet={"USDT": "100"})
    story.slot(2, wallet={"USDT": "105"}, outcome="timeout")
    story.slot(3, (*BTC, "1", "1"))
    story.slot(4, (*BTC, "1", "-2"), wallet={"USDT": "104"})
    await story.write(engine)
    assert await rows(engine, EQUITY) == [
        (at(0), "USDT", *money("90", None, None, "0", None)),
        (at(1), "USDT", *money("100", "1", "101", "0", "0")),
        (at(2), "USDT", *money("105", None, None, "0", None)),
        (at(4), "USDT", *money("104", "-2", "102", "0", "1")),
    ]


async def test_a_day_has_what_was_booked_and_its_unrealised_profit_at_close_peak_and_trough(
    engine: AsyncEngine,
) -> None:
    hours = 60
    story = Story()
    story.slot(0)
    story.fill(1, 1, *BTC, "2", "100", commission="-0.08")
    story.change(1, *BTC, "2")
    story.slot(1 * hours, ("BTCUSDT", "LONG", "1", "5"), ("BTCUSDT", "SHORT", "-1", "-2"))
    story.slot(2 * hours, (*BTC, "2", "4"))
    story.slot(3 * hours, outcome="timeout")
    story.income(4 * hours, "FUNDING_FEE", "-0.5", symbol="BTCUSDT")
    story.income(5 * hours, "TRANSFER", "1000")
    story.slot(12 * hours, (*BTC, "2", "-7"))  # midnight: the first of the next day
    story.slot(13 * hours, (*BTC, "2", "-1"))
    story.fill(14 * hours, 2, *BTC, "-2", "104", realized="8", commission="-0.0001", commission_asset="BNB")
    story.income(40 * hours, "COMMISSION_REBATE", "0.02")
    await story.write(engine)
    assert await rows(engine, DAYS) == [
        (None, "USDT", DAY_AFTER, *money("0", "0.02", "0", "0.02", None, None, None)),
        ("BTCUSDT", "BNB", TOMORROW, *money("0", "-0.0001", "0", "-0.0001", "0", "0", "0")),
        ("BTCUSDT", "USDT", TODAY, *money("0", "-0.08", "-0.5", "-0.58", "4", "4", "0")),
        ("BTCUSDT", "USDT", TOMORROW, *money("8", "0", "0", "8", "-1", "-1", "-7")),
    ]


async def test_a_position_that_ends_within_a_day_closes_it_at_zero(engine: AsyncEngine) -> None:
    story = Story()
    story.slot(0, (*BTC, "1", "-4"))
    story.slot(1)
    await story.write(engine)
    assert await rows(engine, DAYS) == [("BTCUSDT", "USDT", TODAY, *money("0", "0", "0", "0", "0", "0", "-4"))]


async def test_fills_and_income_stand_as_they_were_recorded(engine: AsyncEngine) -> None:
    story = Story()
    story.fill(1, 11, "BTCUSDT", "SHORT", "-0.5", "101.5", commission="0.001", commission_asset="BNB")
    story.income(2, "TRANSFER", "-7")
    await story.write(engine)
    assert await rows(engine, "SELECT * FROM bi.fill") == [
        (
            *("main", "BTCUSDT", "SHORT", 11, 11, at(1), "SELL"),
            *money("101.5", "0.5", "0", "0.001"),
            *("BNB", False, "stream", None),
        )
    ]
    assert await rows(engine, "SELECT * FROM bi.income ORDER BY time") == [
        ("main", at(1), "COMMISSION", "BTCUSDT", "BNB", *money("0.001"), "commission", 11, 11, None, None),
        ("main", at(2), "TRANSFER", None, "USDT", *money("-7"), "transfer", 8_000_000_000_000_000_002, *[None] * 3),
    ]


async def test_freshness_tells_the_state_of_the_stream(engine: AsyncEngine) -> None:
    await Story().write(engine)
    await Story("other").write(engine)
    main = select(tables.account.c.id).where(tables.account.c.name == "main").scalar_subquery()
    async with engine.begin() as connection:
        await connection.execute(insert(tables.stream).values(account_id=main, state="live", since=at(0)))
    assert await rows(engine, "SELECT account, stream_state FROM bi.freshness ORDER BY 1") == [
        ("main", "live"),
        ("other", None),
    ]


async def test_a_stream_is_not_called_connected_when_no_snapshot_comes_any_more(engine: AsyncEngine) -> None:
    story = Story()
    story.slot(0)
    await story.write(engine)
    minute = timedelta(minutes=1)
    async with engine.begin() as connection:
        account = await connection.scalar(select(tables.account.c.id))
        await write_schedule(connection, ["main"], at(0), minute)
        await connection.execute(insert(tables.stream).values(account_id=account, state="connected", since=at(0)))
    for age, state in ((minute, "connected"), (3 * minute, "not_running")):
        async with engine.begin() as connection:
            await connection.execute(update(tables.snapshot).values(time=datetime.now(UTC) - age))
        assert await rows(engine, "SELECT stream_state FROM bi.freshness") == [(state,)]


async def test_every_view_column_and_function_says_what_it_means(engine: AsyncEngine) -> None:
    assert (
        await rows(
            engine,
            """
            SELECT c.relname, a.attname
            FROM pg_class c
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
            WHERE c.relnamespace = 'bi'::regnamespace
              AND (obj_description(c.oid) IS NULL OR col_description(c.oid, a.attnum) IS NULL)
            UNION ALL
            SELECT p.proname, NULL
            FROM pg_proc p
            WHERE p.pronamespace = 'bi'::regnamespace AND obj_description(p.oid) IS NULL
            """,
        )
        == []
    )


async def test_a_reader_without_rights_on_the_tables_reads_every_view_and_the_series(engine: AsyncEngine) -> None:
    story = Story()
    story.slot(0, wallet={"USDT": "1"})
    story.change(1, *BTC, "1")
    story.fill(1, 1, *BTC, "1", "100", commission="-1")
    story.slot(2, (*BTC, "1", "1"), wallet={"USDT": "1"})
    await story.write(engine)
    await create_roles(engine)
    views = [name for (name,) in await rows(engine, "SELECT viewname FROM pg_views WHERE schemaname = 'bi'")]
    series = "pnl_series('main', NULL, '2026-11-22', '2026-11-23', '1 hour')"
    async with engine.connect() as connection:
        await connection.exec_driver_sql("GRANT recorder_reader TO CURRENT_USER")
        await connection.exec_driver_sql("SET ROLE recorder_reader")
        for name in (*views, series):
            await connection.exec_driver_sql(f"SELECT * FROM bi.{name}")
        assert set(views) >= {"fill", "income", "pnl_curve", "account_equity", "pnl_daily", "position_episode"}
