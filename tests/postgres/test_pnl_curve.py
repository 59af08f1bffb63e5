"""bi.pnl_curve and bi.pnl_series: what every position earned, to the last digit, and nothing where nobody watched."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.postgres.money_story import Story, at, money, rows

pytestmark = pytest.mark.every_postgres

CURVE = """
    SELECT time, symbol, position_side, asset, unrealized_profit, realized_profit, commission, funding, net_profit
    FROM bi.pnl_curve ORDER BY symbol NULLS FIRST, position_side NULLS FIRST, asset, time
"""
SERIES = "SELECT * FROM bi.pnl_series(:account, :symbol, :since, :until, :bucket)"
BTC = ("BTCUSDT", "BOTH")


def round_trip() -> Story:
    """A long position over a failed slot (3) and one nobody was there for (4)."""
    story = Story()
    story.slot(0)
    story.change(0.5, *BTC, "2")
    story.fill(0.5, 1, *BTC, "2", "100", commission="-0.08")
    story.slot(1, (*BTC, "2", "1.5"))
    story.income(1.5, "FUNDING_FEE", "-0.05", symbol="BTCUSDT")
    story.slot(2, (*BTC, "2", "-3"))
    story.change(2.5, *BTC, "0", "0")
    story.fill(2.5, 2, *BTC, "-2", "103", realized="6", commission="-0.0824")
    story.slot(3, outcome="timeout")
    story.slot(5)
    return story


async def test_a_position_has_a_row_at_each_ok_snapshot_since_it_was_opened(engine: AsyncEngine) -> None:
    await round_trip().write(engine)
    assert await rows(engine, CURVE) == [
        (at(1), *BTC, "USDT", *money("1.5", "0", "-0.08", "0", "1.42")),
        (at(2), *BTC, "USDT", *money("-3", "0", "-0.08", "-0.05", "-3.13")),
        (at(5), *BTC, "USDT", *money("0", "6", "-0.1624", "-0.05", "5.7876")),
    ]


async def test_a_fill_between_the_due_time_and_its_answer_counts_at_that_slot(engine: AsyncEngine) -> None:
    story = Story()
    story.slot(0)
    story.slot(1, (*BTC, "1", "0.25"))
    story.change(1.001, *BTC, "1")
    story.fill(1.001, 1, *BTC, "1", "100", commission="-0.04")
    story.income(1.01, "FUNDING_FEE", "7", symbol="BTCUSDT")  # after the answer
    await story.write(engine)
    assert await rows(engine, CURVE) == [(at(1), *BTC, "USDT", *money("0.25", "0", "-0.04", "0", "0.21"))]


async def test_what_was_booked_before_the_first_ok_snapshot_does_not_count(engine: AsyncEngine) -> None:
    story = Story()
    story.slot(-2, outcome="timeout")
    story.income(-1, "REALIZED_PNL", "1000", symbol="BTCUSDT")
    story.income(-1, "REALIZED_PNL", "1000", symbol="ETHUSDT")
    story.slot(0)
    story.income(0.5, "REALIZED_PNL", "1", symbol="BTCUSDT")
    story.slot(1)
    await story.write(engine)
    assert await rows(engine, CURVE) == [(at(1), *BTC, "USDT", *money("0", "1", "0", "0", "1"))]


async def test_a_fee_in_bnb_stays_bnb_and_every_line_but_a_transfer_has_its_part(engine: AsyncEngine) -> None:
    story = Story()
    story.slot(0)
    story.change(0.1, *BTC, "1")
    story.fill(0.1, 1, *BTC, "1", "100", commission="-0.0001", commission_asset="BNB")
    story.income(0.2, "COMMISSION_REBATE", "0.03")
    story.income(0.3, "API_REBATE", "0.01", symbol="BTCUSDT")
    story.income(0.4, "SPECIAL_FUNDING_FEE", "0.2", symbol="BTCUSDT")
    story.income(0.5, "INSURANCE_CLEAR", "-4", symbol="BTCUSDT")
    story.income(0.6, "WELCOME_BONUS", "5")
    story.income(0.7, "A_TYPE_OF_NEXT_YEAR", "0.5")
    for kind in ("TRANSFER", "INTERNAL_TRANSFER", "COIN_SWAP_DEPOSIT", "AUTO_EXCHANGE"):
        story.income(0.8, kind, "100")
    story.slot(1, (*BTC, "1", "2"))
    await story.write(engine)
    assert await rows(engine, CURVE) == [
        (at(1), None, None, "USDT", *money("0", "5.5", "0.03", "0", "5.53")),
        (at(1), *BTC, "BNB", *money("0", "0", "-0.0001", "0", "-0.0001")),
        (at(1), *BTC, "USDT", *money("2", "-4", "0.01", "0.2", "-1.79")),
    ]


async def test_in_hedge_mode_funding_belongs_to_no_side_and_a_fill_to_its_own(engine: AsyncEngine) -> None:
    story = Story()
    story.slot(0)
    story.change(0.1, "BTCUSDT", "LONG", "1")
    story.fill(0.1, 1, "BTCUSDT", "LONG", "1", "100", commission="-0.04")
    story.change(0.2, "BTCUSDT", "SHORT", "-2")
    story.fill(0.2, 2, "BTCUSDT", "SHORT", "-2", "100", commission="-0.08")
    story.income(0.3, "FUNDING_FEE", "0.01", symbol="BTCUSDT")
    story.income(0.3, "FUNDING_FEE", "0.02", symbol="ETHUSDT")  # never held in hedge mode
    story.slot(1, ("BTCUSDT", "LONG", "1", "3"), ("BTCUSDT", "SHORT", "-2", "-6"))
    await story.write(engine)
    assert await rows(engine, CURVE) == [
        (at(1), "BTCUSDT", None, "USDT", *money("0", "0", "0", "0.01", "0.01")),
        (at(1), "BTCUSDT", "LONG", "USDT", *money("3", "0", "-0.04", "0", "2.96")),
        (at(1), "BTCUSDT", "SHORT", "USDT", *money("-6", "0", "-0.08", "0", "-6.08")),
        (at(1), "ETHUSDT", "BOTH", "USDT", *money("0", "0", "0", "0.02", "0.02")),
    ]


async def test_an_account_does_not_touch_another(engine: AsyncEngine) -> None:
    await round_trip().write(engine)
    alone = await rows(engine, CURVE)
    other = Story("other")
    other.slot(0)
    other.change(0.5, "BTCUSDT", "LONG", "9")
    other.fill(0.5, 1, "BTCUSDT", "LONG", "9", "100", commission="-9")
    other.slot(2, ("BTCUSDT", "LONG", "9", "9"))
    await other.write(engine)
    assert await rows(engine, CURVE.replace("ORDER", "WHERE account = 'main' ORDER")) == alone


async def test_a_bucket_has_its_last_values_and_nulls_where_nobody_watched(engine: AsyncEngine) -> None:
    await round_trip().write(engine)
    found = await rows(
        engine, SERIES, account="main", symbol=None, since=at(0), until=at(8), bucket=timedelta(minutes=2)
    )
    nothing = money(None, None, None, None, None)
    assert found == [
        (at(0), "USDT", *money("1.5", "0", "-0.08", "0", "1.42")),
        (at(2), "USDT", *money("-3", "0", "-0.08", "-0.05", "-3.13")),
        (at(4), "USDT", *money("0", "6", "-0.1624", "-0.05", "5.7876")),
        (at(6), "USDT", *nothing),
    ]


async def test_a_series_counts_what_was_booked_before_it_begins(engine: AsyncEngine) -> None:
    await round_trip().write(engine)
    found = await rows(
        engine, SERIES, account="main", symbol="BTCUSDT", since=at(5), until=at(6), bucket=timedelta(minutes=1)
    )
    assert found == [(at(5), "USDT", *money("0", "6", "-0.1624", "-0.05", "5.7876"))]


async def test_buckets_are_aligned_to_utc_whatever_the_time_zone_of_the_session(engine: AsyncEngine) -> None:
    await round_trip().write(engine)
    async with engine.connect() as connection:
        await connection.exec_driver_sql("SET timezone = 'America/New_York'")
        found = await connection.exec_driver_sql(
            "SELECT time FROM bi.pnl_series('main', NULL, '2026-10-31 12:00+00', '2026-11-03 12:00+00', '1 day')"
        )
        days = [time for (time,) in found]
    assert days == [at(0).replace(month=10, day=31, hour=0)] + [at(0).replace(day=day, hour=0) for day in (1, 2, 3)]


@pytest.mark.parametrize(("account", "symbol"), [("main", "DOGEUSDT"), ("nobody", None)])
async def test_where_nothing_was_held_or_booked_there_is_no_asset(
    engine: AsyncEngine, account: str, symbol: str | None
) -> None:
    await round_trip().write(engine)
    found = await rows(
        engine, SERIES, account=account, symbol=symbol, since=at(0), until=at(1), bucket=timedelta(minutes=1)
    )
    zero = "0" if account == "main" else None
    assert found == [(at(0), None, *money(zero, zero, zero, zero, zero))]
