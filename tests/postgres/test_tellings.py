"""Lines that the exchange tells again count once, as they were told last; lines under an id used again all count."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from random import Random
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.clash import Clash
from recorder.domain.event import AccountUpdate, Arrival, BalanceChange, Told, Trade
from recorder.domain.fill import Fill, FillSource
from recorder.domain.income import Income
from recorder.metrics import Metrics
from recorder.postgres.accounts import take_turn
from recorder.postgres.ledgers import Interval, Ledger, mark_complete, write_fills, write_income
from recorder.postgres.verification.audit import audit
from recorder.recording import write

pytestmark = pytest.mark.every_postgres

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
FILL = Fill(
    symbol="SOLUSDT",
    position_side="BOTH",
    trade_id=7,
    order_id=70,
    time=NOON,
    side="BUY",
    price=Decimal("150.10"),
    quantity=Decimal(3),
    realized_profit=Decimal(0),
    commission=Decimal("-0.18"),
    commission_asset="USDT",
    maker=False,
    source=FillSource.REST,
)
LINE = Income(
    time=NOON,
    income_type="COMMISSION",
    symbol="SOLUSDT",
    asset="USDT",
    income=Decimal("-0.18"),
    tran_id=900,
    trade_id=7,
    info="",
)
FILLS = (
    "SELECT trade_id, order_id, time, price, quantity, commission, maker, source, told_at FROM bi.fill ORDER BY 3, 2"
)
SUPERSEDED = "SELECT record, time, symbol, source, told_at, body FROM bi.superseded ORDER BY body::text"

Telling = tuple[Fill, datetime]


def at(seconds: float) -> datetime:
    return NOON + seconds * SECOND


def streamed(fill: Fill, told_at: datetime) -> Told:
    fill = replace(fill, source=FillSource.STREAM)
    arrival = Arrival(number=1, received_at=told_at, clock_offset=None)
    return Told("main", arrival, Trade(fill=fill, event_time=fill.time, raw="{}"))


async def tell(engine: AsyncEngine, *fills: Fill, told_at: datetime = NOON) -> list[Clash]:
    async with engine.begin() as connection:
        account_id = (await take_turn(connection, ["main"]))["main"]
        return await write_fills(connection, account_id, fills, told_at=told_at)


async def book(engine: AsyncEngine, *lines: Income, told_at: datetime = NOON) -> list[Clash]:
    async with engine.begin() as connection:
        account_id = (await take_turn(connection, ["main"]))["main"]
        return await write_income(connection, account_id, lines, told_at=told_at)


async def rows(engine: AsyncEngine, sql: str) -> list[tuple[Any, ...]]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(sql))]


async def forget(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE recorder.account, recorder.sample, recorder.balance CASCADE"))


async def violations_and_notices(engine: AsyncEngine) -> tuple[list[str], dict[str, list[str]]]:
    results = await audit(engine)
    notices = {each.check.name: [e.what for e in each.answer.examples] for each in results if each.answer.found}
    return [each.check.name for each in results if each.is_violated], notices


@pytest.mark.parametrize("other", [{"time": at(86_400)}, {"order_id": 71}, {"time": at(-3600), "order_id": 3}], ids=str)
async def test_another_time_or_order_under_a_known_trade_id_is_another_fill(
    engine: AsyncEngine, other: dict[str, Any]
) -> None:
    assert await tell(engine, FILL) == []
    again = replace(FILL, **other, quantity=Decimal(1))
    (clash,) = await tell(engine, again, FILL)
    assert (clash.record, clash.is_restated) == ("fill", False)
    assert "trade_id 7" in clash.what
    assert {row[4] for row in await rows(engine, FILLS)} == {3, 1}
    assert await tell(engine, again, FILL, told_at=at(1)) == []  # no news
    assert await rows(engine, SUPERSEDED) == []


async def test_two_fills_of_one_id_in_one_page_both_count_and_are_said(engine: AsyncEngine) -> None:
    clashes = await tell(engine, FILL, replace(FILL, time=at(9), order_id=9))
    assert [clash.is_restated for clash in clashes] == [False]
    assert len(await rows(engine, FILLS)) == 2


async def test_a_line_of_another_time_is_another_line_also_one_that_is_earlier_than_the_newest(
    engine: AsyncEngine,
) -> None:
    await book(engine, LINE)
    clashes = await book(engine, replace(LINE, time=at(-7200)), replace(LINE, time=at(60), income=Decimal(-1)))
    assert [clash.is_restated for clash in clashes] == [False, False]
    assert await rows(engine, "SELECT time, income FROM bi.income ORDER BY 1") == [
        (at(-7200), Decimal("-0.18")),
        (at(0), Decimal("-0.18")),
        (at(60), -1),
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"price": Decimal("150.2")},
        {"quantity": Decimal("3.000000000000000000000000000001")},
        {"realized_profit": Decimal("-1E-30")},
        {"commission": Decimal("0.18")},
        {"commission_asset": "BNB"},
        {"maker": True},
        {"side": "SELL"},
        {"position_side": "LONG"},
    ],
    ids=str,
)
async def test_a_fill_that_is_told_again_otherwise_counts_as_told_last_and_the_older_is_kept(
    engine: AsyncEngine, other: dict[str, Any]
) -> None:
    await tell(engine, FILL)
    (clash,) = await tell(engine, replace(FILL, **other), told_at=at(5))
    ((name, value),) = other.items()
    assert clash.is_restated
    assert f"{name} {getattr(FILL, name)} became {value}" in clash.what
    assert await rows(engine, f"SELECT {name}, told_at FROM bi.fill") == [(value, at(5))]
    ((*known, body),) = await rows(engine, SUPERSEDED)
    assert known == ["fill", NOON, "SOLUSDT", "rest", NOON]
    assert body["trade_id"] == 7
    kept = await rows(engine, f"SELECT body ->> '{name}' FROM bi.superseded")
    assert kept == [(str(getattr(FILL, name)).replace("False", "false"),)]


@pytest.mark.parametrize("other", [{"income": Decimal("-0.2")}, {"trade_id": None}, {"info": "late"}], ids=str)
async def test_a_line_of_income_that_is_told_again_otherwise_counts_as_told_last(
    engine: AsyncEngine, other: dict[str, Any]
) -> None:
    await book(engine, LINE)
    (clash,) = await book(engine, replace(LINE, **other), told_at=at(5))
    ((name, value),) = other.items()
    assert (clash.record, clash.is_restated) == ("income", True)
    assert await rows(engine, f"SELECT {name}, told_at FROM bi.income") == [(value, at(5))]
    assert await book(engine, LINE, told_at=at(-5)) == []
    assert await rows(engine, f"SELECT {name}, told_at FROM bi.income") == [(value, at(5))]
    assert len(await rows(engine, SUPERSEDED)) == 1


async def put(engine: AsyncEngine, tellings: Sequence[Telling]) -> None:
    """Write each telling as it would come: from REST directly, from the stream as an observation."""
    for fill, told_at in tellings:
        if fill.source is FillSource.REST:
            await tell(engine, fill, told_at=told_at)
        else:
            await write(engine, [streamed(fill, told_at)])


async def test_whatever_order_tellings_are_written_in_the_tables_are_the_same(engine: AsyncEngine) -> None:
    other, third = replace(FILL, price=Decimal(151)), replace(FILL, price=Decimal(152), maker=True)
    heard = replace(third, source=FillSource.STREAM)
    tellings: list[Telling] = [(FILL, at(1)), (other, at(2)), (FILL, at(3)), (heard, at(9)), (third, at(2))]
    await put(engine, tellings)
    expected = await rows(engine, FILLS), await rows(engine, SUPERSEDED)
    assert expected[0][0][3] == Decimal("150.10")
    assert sorted((row[4], row[5]["price"], row[3]) for row in expected[1]) == [
        (at(2), 151, "rest"),
        (at(2), 152, "rest"),
    ]
    random = Random(1)  # noqa: S311 - makes orders, no secrets
    for order in random.sample([*permutations(tellings)], 30):
        await forget(engine)
        await put(engine, [*order, *random.choices(tellings, k=2)])
        assert (await rows(engine, FILLS), await rows(engine, SUPERSEDED)) == expected


async def test_of_two_contents_in_one_page_the_same_one_stands_in_either_order(engine: AsyncEngine) -> None:
    other = replace(FILL, commission=Decimal(-1))
    await tell(engine, FILL, other)
    expected = await rows(engine, FILLS), await rows(engine, SUPERSEDED)
    await forget(engine)
    await tell(engine, other, FILL, other)
    assert (await rows(engine, FILLS), await rows(engine, SUPERSEDED)) == expected
    assert len(expected[1]) == 1


@pytest.mark.parametrize("rest_first", [True, False])
async def test_what_rest_tells_stands_over_the_stream_and_other_numbers_are_kept(
    engine: AsyncEngine, rest_first: bool
) -> None:
    heard = replace(FILL, price=Decimal("150.1"), realized_profit=Decimal("0.01"))
    if rest_first:
        await tell(engine, FILL)
    await write(engine, [streamed(heard, at(9))])
    if not rest_first:
        await tell(engine, FILL)
    assert [(row[3], row[7]) for row in await rows(engine, FILLS)] == [(Decimal("150.10"), "rest")]
    ((*_, body),) = await rows(engine, SUPERSEDED)
    assert Decimal(str(body["realized_profit"])) == Decimal("0.01")


async def test_the_same_numbers_with_other_zeros_or_without_the_asset_of_no_commission_are_no_restatement(
    engine: AsyncEngine,
) -> None:
    free = replace(FILL, commission=Decimal("0.00"))
    heard = replace(free, price=Decimal("150.1"), quantity=Decimal("3.000"), commission_asset=None)
    await write(engine, [streamed(heard, at(1))])
    assert await tell(engine, free, told_at=at(2)) == []
    assert await rows(engine, SUPERSEDED) == []
    assert await rows(engine, "SELECT price, commission_asset, source FROM bi.fill") == [
        (Decimal("150.10"), "USDT", "rest")
    ]


async def test_two_changes_of_one_balance_in_one_instant_with_two_reasons_are_two(engine: AsyncEngine) -> None:
    def told(reason: str, change: str, seconds: float) -> Told:
        balance = BalanceChange(
            asset="USDT", wallet_balance=Decimal(10), cross_wallet_balance=None, balance_change=Decimal(change)
        )
        update = AccountUpdate(
            time=NOON, event_time=at(1), reason=reason, balances=(balance,), positions=(), symbol=None, raw="{}"
        )
        return Told("main", Arrival(number=1, received_at=at(seconds), clock_offset=None), update)

    metrics = Metrics()
    await write(engine, [told("ORDER", "0", 1), told("FUNDING_FEE", "0.0", 1)], metrics=metrics)
    await write(engine, [told("ORDER", "2", 5), told("ORDER", "0", 4)], metrics=metrics)
    assert await rows(engine, "SELECT reason, balance_change FROM recorder.balance_change ORDER BY 1") == [
        ("FUNDING_FEE", 0),
        ("ORDER", 2),
    ]
    assert [row[0] for row in await rows(engine, SUPERSEDED)] == ["balance_change"]
    assert b'recorder_superseded_total{account="main",record="balance_change"} 1.0' in metrics.text()


async def test_either_is_said_once_for_all_lines_of_a_commit_and_counted(
    engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    told = [streamed(replace(FILL, trade_id=number, order_id=number), at(1)) for number in (1, 2)]
    otherwise = [
        streamed(replace(FILL, trade_id=number, order_id=number, price=Decimal(9)), at(2)) for number in (1, 2)
    ]
    again = [streamed(replace(FILL, trade_id=1, order_id=44, time=at(50)), at(60))]
    await write(engine, told, metrics=metrics)
    assert caplog.messages == []
    await write(engine, [*otherwise, *again], metrics=metrics)
    used, restated = sorted(caplog.messages, key=lambda said: "again with other" in said)
    assert "main: the exchange told 2 line(s) of fill again with other content" in restated
    assert "price 150.10 became 9" in restated
    assert "used the ids of 1 line(s) of fill again" in used
    counted = metrics.text().decode()
    assert 'recorder_superseded_total{account="main",record="fill"} 2.0' in counted
    assert 'recorder_reused_ids_total{account="main",record="fill"} 1.0' in counted
    caplog.clear()
    await write(engine, [*told, *otherwise, *again], metrics=metrics)
    assert caplog.messages == []
    assert metrics.text().decode().count(" 2.0") == counted.count(" 2.0")


def wiped() -> tuple[list[Fill], list[Income]]:
    """Trade 7 bought with a fee, and after a wipe trade 7 sold with another one, and with a profit."""
    fills, lines = [], []
    for number, (time, side, position_side, fee, profit) in enumerate(
        ((at(0), "BUY", "LONG", "-0.18", "0"), (at(20), "SELL", "SHORT", "-0.07", "4"))
    ):
        fills.append(
            replace(
                FILL,
                time=time,
                order_id=70 + number,
                side=side,
                position_side=position_side,
                commission=Decimal(fee),
                realized_profit=Decimal(profit),
            )
        )
        lines.append(replace(LINE, time=time, income=Decimal(fee)))
        if Decimal(profit):
            lines.append(replace(LINE, time=time, income_type="REALIZED_PNL", income=Decimal(profit)))
    return fills, lines


async def test_every_line_of_an_id_used_again_has_the_side_of_its_own_fill_and_counts_once(
    engine: AsyncEngine,
) -> None:
    fills, lines = wiped()
    await tell(engine, *fills)
    await book(engine, *lines)
    sides = """SELECT position_side, sum(realized_profit), sum(commission), count(*), bool_and(told_by_fill)
               FROM recorder.earning GROUP BY 1 ORDER BY 1"""
    assert await rows(engine, sides) == [
        ("LONG", 0, Decimal("-0.18"), 1, True),
        ("SHORT", 4, Decimal("-0.07"), 2, True),
    ]
    assert await rows(engine, "SELECT sum(realized_profit), sum(commission) FROM bi.pnl_daily") == [
        (4, Decimal("-0.25"))
    ]


async def test_a_line_whose_own_fill_is_not_recorded_takes_no_other_one_of_its_id(engine: AsyncEngine) -> None:
    fills, lines = wiped()
    await tell(engine, replace(fills[1], time=at(600)))
    await book(engine, lines[0])
    assert await rows(engine, "SELECT position_side, told_by_fill FROM recorder.earning") == [("BOTH", False)]


async def test_verify_lists_ids_used_again_and_restatements_as_notices_and_finds_no_violation(
    engine: AsyncEngine,
) -> None:
    fills, lines = wiped()
    await tell(engine, *fills)
    await book(engine, *lines)
    async with engine.begin() as connection:
        account_id = (await take_turn(connection, ["main"]))["main"]
        for ledger in (Ledger("income"), Ledger("fill", "SOLUSDT")):
            await mark_complete(connection, account_id, ledger, Interval(at(-99), at(99)))
    violated, notices = await violations_and_notices(engine)
    assert "fills" not in violated
    assert sorted(notices["reused ids"]) == [
        "COMMISSION 900 of USDT: 2 lines of different times or orders have this id, and all of them count",
        "trade 7: 2 lines of different times or orders have this id, and all of them count",
    ]
    assert "restated" not in notices
    await tell(engine, replace(fills[0], maker=True), told_at=at(100))
    violated, notices = await violations_and_notices(engine)
    assert "fills" not in violated
    (restated,) = notices["restated"]
    assert restated.startswith("fill 7: told otherwise at 2026-06-01 12:00:00")
