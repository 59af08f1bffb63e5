"""bi.position_episode tells each life of a position, from flat to flat; bi.position_history is flat once."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.postgres.money_story import ANSWER, Story, at, money, rows

pytestmark = pytest.mark.every_postgres

LIVES = """
    SELECT position_side, opened_at, closed_at, max_position_amt, entry_price, exit_price,
           realized_profit, commission, funding, worst_unrealized_profit, best_unrealized_profit
    FROM bi.position_episode ORDER BY opened_at, position_side
"""
BTC = ("BTCUSDT", "BOTH")


async def test_a_life_has_the_average_prices_of_its_fills_and_all_that_it_earned(engine: AsyncEngine) -> None:
    story = Story()
    story.change(1, *BTC, "1", "100")
    story.fill(1, 1, *BTC, "1", "100", commission="-0.04")
    story.slot(2, (*BTC, "1", "-5"))
    story.change(3, *BTC, "4", "109")
    story.fill(3, 2, *BTC, "3", "112", commission="-0.1344")
    story.slot(4, (*BTC, "4", "8"))
    story.income(5, "FUNDING_FEE", "-0.25", symbol="BTCUSDT")
    story.change(6, *BTC, "3", "109")
    story.fill(6, 3, *BTC, "-1", "120", realized="11", commission="-0.048")
    story.change(7, *BTC, "0", "0")
    story.fill(7, 4, *BTC, "-3", "108", realized="-3", commission="-0.0001", commission_asset="BNB")
    story.slot(8)
    story.income(9, "FUNDING_FEE", "-1", symbol="BTCUSDT")  # after its end
    await story.write(engine)
    assert await rows(engine, LIVES) == [
        ("BOTH", at(1), at(7), *money("4", "109", "111", "8", "-0.2224", "-0.25", "-5", "8"))
    ]


async def test_a_flip_through_zero_ends_one_life_and_begins_the_next_at_that_instant(engine: AsyncEngine) -> None:
    story = Story()
    story.change(1, *BTC, "1", "100")
    story.fill(1, 1, *BTC, "1", "100", commission="-0.04")
    story.slot(2, (*BTC, "1", "4"))
    story.change(3, *BTC, "-2", "110")
    story.fill(3, 2, *BTC, "-0.5", "108", realized="4", commission="-0.0216")
    story.fill(3, 3, *BTC, "-2.5", "110", realized="5", commission="-0.11")
    story.slot(4, (*BTC, "-2", "-1"))
    story.slot(5, (*BTC, "-2", "3"))
    story.change(6, *BTC, "0", "0")
    story.fill(6, 4, *BTC, "2", "90", realized="40", commission="-0.072")
    await story.write(engine)
    assert await rows(engine, LIVES) == [
        ("BOTH", at(1), at(3), *money("1", "100", "109", "9", "-0.1716", "0", "4", "4")),
        ("BOTH", at(3), at(6), *money("-2", "110", "90", "40", "-0.072", "0", "-1", "3")),
    ]


async def test_an_open_life_has_no_end_and_the_exit_price_of_what_was_closed_so_far(engine: AsyncEngine) -> None:
    story = Story()
    story.change(1, *BTC, "-3", "100")
    story.fill(1, 1, *BTC, "-3", "100")
    story.slot(2, (*BTC, "-3", "6"))
    await story.write(engine)
    assert await rows(engine, LIVES) == [("BOTH", at(1), None, *money("-3", "100", None, "0", "0", "0", "6", "6"))]

    more = Story("more")
    more.change(1, *BTC, "-3", "100")
    more.fill(1, 1, *BTC, "-3", "100")
    more.change(2, *BTC, "-1", "100")
    more.fill(2, 2, *BTC, "2", "97", realized="6")
    await more.write(engine)
    assert await rows(
        engine,
        "SELECT closed_at, entry_price, exit_price, realized_profit FROM bi.position_episode WHERE account = 'more'",
    ) == [(None, *money("100", "97", "6"))]


async def test_a_position_opened_and_closed_between_two_slots_is_a_life_with_the_exchanges_times(
    engine: AsyncEngine,
) -> None:
    story = Story()
    story.slot(0)
    story.change(0.25, *BTC, "1", "100")
    story.fill(0.25, 1, *BTC, "1", "100", commission="-0.04", booked=False)
    story.change(0.75, *BTC, "0", "0")
    story.fill(0.75, 2, *BTC, "-1", "101", realized="1", commission="-0.0404", booked=False)
    story.slot(1)
    await story.write(engine)
    assert await rows(engine, LIVES) == [
        ("BOTH", at(0.25), at(0.75), *money("1", "100", "101", "1", "-0.0804", "0", None, None))
    ]


async def test_the_sides_of_hedge_mode_live_apart_and_their_funding_is_not_guessed(engine: AsyncEngine) -> None:
    story = Story()
    story.change(1, "BTCUSDT", "LONG", "1", "100")
    story.fill(1, 1, "BTCUSDT", "LONG", "1", "100", commission="-0.04")
    story.change(1, "BTCUSDT", "SHORT", "-2", "100")
    story.fill(1, 2, "BTCUSDT", "SHORT", "-2", "100", commission="-0.08")
    story.slot(2, ("BTCUSDT", "LONG", "1", "7"), ("BTCUSDT", "SHORT", "-2", "-14"))
    story.income(3, "FUNDING_FEE", "0.5", symbol="BTCUSDT")
    story.change(4, "BTCUSDT", "SHORT", "0", "0")
    story.fill(4, 3, "BTCUSDT", "SHORT", "2", "106", realized="-12", commission="-0.0848")
    await story.write(engine)
    assert await rows(engine, LIVES) == [
        ("LONG", at(1), None, *money("1", "100", None, "0", "-0.04", None, "7", "7")),
        ("SHORT", at(1), at(4), *money("-2", "100", "106", "-12", "-0.1648", None, "-14", "-14")),
    ]


async def test_a_liquidation_costs_its_clearance_too(engine: AsyncEngine) -> None:
    story = Story()
    story.change(1, *BTC, "1", "100")
    story.fill(1, 1, *BTC, "1", "100")
    story.change(2, *BTC, "0", "0")
    story.fill(2, 2, *BTC, "-1", "90", realized="-10", commission="-0.045")
    story.income(2, "INSURANCE_CLEAR", "-0.9", symbol="BTCUSDT")
    await story.write(engine)
    assert await rows(engine, LIVES) == [
        ("BOTH", at(1), at(2), *money("1", "100", "90", "-10.9", "-0.045", "0", None, None))
    ]


async def test_where_fills_are_missing_the_exchanges_entry_price_stands_and_the_ledger_tells_the_profit(
    engine: AsyncEngine,
) -> None:
    story = Story()
    story.change(-90, *BTC, "2", "105")
    story.slot(0, (*BTC, "2", "1"))
    story.income(0.5, "REALIZED_PNL", "3", symbol="BTCUSDT", trade_id=7)
    story.income(0.5, "COMMISSION", "-0.1", symbol="BTCUSDT", trade_id=7)
    story.change(1, *BTC, "0", "0", dated_by_exchange=False, source="inferred", observed_at=at(1) + ANSWER)
    story.slot(1)
    unknown = Story("unknown")
    unknown.change(1.5, *BTC, "1", "100")
    await story.write(engine)
    await unknown.write(engine)
    assert await rows(engine, LIVES) == [
        ("BOTH", at(-90), at(1), *money("2", "105", None, "3", "-0.1", "0", "1", "1")),
        ("BOTH", at(1.5), None, *money("1", "100", None, None, None, "0", None, None)),
    ]


async def test_a_life_that_only_snapshots_saw_takes_the_fills_before_its_dates(engine: AsyncEngine) -> None:
    story = Story()
    story.slot(0, (*BTC, "1", "0"))
    story.change(0, *BTC, "1", dated_by_exchange=False, source="snapshot", observed_at=at(0) + ANSWER)
    story.fill(0.5, 1, *BTC, "-1", "102", realized="2")
    story.change(1, *BTC, "0", "0", dated_by_exchange=False, source="inferred", observed_at=at(1) + ANSWER)
    story.slot(1)
    story.fill(1.5, 2, *BTC, "3", "100")
    story.slot(2, (*BTC, "3", "1"))
    story.change(2, *BTC, "3", dated_by_exchange=False, source="snapshot", observed_at=at(2) + ANSWER)
    story.fill(3.001, 3, *BTC, "-3", "101", realized="3")  # between the due time and its answer
    story.change(3, *BTC, "0", "0", dated_by_exchange=False, source="inferred", observed_at=at(3) + ANSWER)
    story.slot(3)
    await story.write(engine)
    assert await rows(engine, LIVES) == [
        ("BOTH", at(0), at(1), *money("1", "100", None, "2", "0", "0", "0", "0")),
        ("BOTH", at(2), at(3), *money("3", "100", "101", "3", "0", "0", "1", "1")),
    ]


async def test_flat_stands_once_in_the_history_and_not_before_anything_was_held(engine: AsyncEngine) -> None:
    snapshot: dict[str, Any] = {"dated_by_exchange": False, "source": "snapshot"}
    story = Story()
    story.change(0, *BTC, "0", "0", **snapshot)
    story.change(1, *BTC, "1", "100")
    story.change(2, *BTC, "0", "0", break_even_price=None, accumulated_realized=7, reason="ORDER")
    story.change(3, *BTC, "0", "0", break_even_price=0, **(snapshot | {"source": "inferred"}))
    story.change(4, *BTC, "1", "100", **snapshot)
    story.change(5, *BTC, "1", "100", **snapshot)
    story.change(6, *BTC, "1", "101", **snapshot)
    await story.write(engine)
    assert await rows(
        engine,
        "SELECT update_time, valid_to, position_amt, accumulated_realized, reason FROM bi.position_history ORDER BY 1",
    ) == [
        (at(1), at(2), *money("1", None), None),
        (at(2), at(4), *money("0", "7"), "ORDER"),
        (at(4), at(6), *money("1", None), None),
        (at(6), None, *money("1", None), None),
    ]


async def test_lives_whose_fills_have_the_ids_of_others_earned_each_their_own(engine: AsyncEngine) -> None:
    story = Story()
    for minute, profit, fee in ((1, "9", "-0.1"), (11, "-4", "-0.2"), (21, "2", "-0.3")):
        story.change(minute, *BTC, "1", "100")
        story.fill(minute, 1, *BTC, "1", "100", commission=fee)
        story.change(minute + 2, *BTC, "0", "0")
        story.fill(minute + 2, 2, *BTC, "-1", str(100 + int(profit)), realized=profit, commission=fee)
    story.slot(30)
    await story.write(engine)
    lives = "SELECT exit_price, realized_profit, commission FROM bi.position_episode ORDER BY opened_at"
    assert await rows(engine, lives) == [
        money("109", "9", "-0.2"),
        money("96", "-4", "-0.4"),
        money("102", "2", "-0.6"),
    ]
    assert await rows(engine, "SELECT sum(realized_profit), sum(commission) FROM bi.pnl_daily") == [money("7", "-1.2")]
    sides = "SELECT position_side, sum(commission), bool_and(told_by_fill) FROM recorder.earning GROUP BY 1"
    assert await rows(engine, sides) == [("BOTH", *money("-1.2"), True)]
