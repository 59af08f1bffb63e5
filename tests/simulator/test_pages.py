from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from recorder.simulator.account import Account
from recorder.simulator.books.income import Income
from recorder.simulator.clock import epoch_ms
from recorder.simulator.errors import ApiError
from recorder.simulator.rest.call import Call
from recorder.simulator.rest.pages import asked_income, asked_trades

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SYMBOL = "LTCUSDT"


def call(**params: object) -> Call:
    return Call(method="GET", path="/", query="&".join(f"{name}={value}" for name, value in params.items()))


def key(income: Income) -> tuple[str, int]:
    return income.type, income.tran_id


@pytest.fixture
def account(new_account: Callable[..., Account]) -> Account:
    """A trade a day in the hundred days before noon, and yesterday 2300 lines in one millisecond."""
    account = new_account()
    for day in range(100, 0, -1):
        quantity = Decimal(1) if day % 2 else Decimal(-1)
        account.fill(SYMBOL, "BOTH", quantity, Decimal(80 + day), time=NOON - day * DAY)
    account.credit("API_REBATE", "USDT", [Decimal(1)] * 2300, time=NOON - DAY / 2, reason="ADJUSTMENT")
    account.fill("XRPUSDT", "BOTH", Decimal(1), Decimal(2), time=NOON)
    return account


def code(asked: Callable[[Account, Call, datetime], object], account: Account, **params: object) -> int:
    with pytest.raises(ApiError) as caught:
        asked(account, call(**params), NOON)
    return caught.value.code


def test_paging_by_time_and_by_page_gives_every_line_once_though_more_than_a_page_share_a_millisecond(
    account: Account,
) -> None:
    expected = [key(line) for line in account.truth.incomes if line.time >= NOON - 90 * DAY]
    found: dict[tuple[str, int], None] = {}
    start, page = epoch_ms(NOON - 90 * DAY), 1
    while True:
        rows = asked_income(account, call(startTime=start, limit=1000, page=page), NOON)
        found |= dict.fromkeys(key(row) for row in rows)
        if len(rows) < 1000:
            break
        last = epoch_ms(rows[-1].time)
        start, page = (last, 1) if last > start else (start, page + 1)
    assert list(found) == expected


def test_pages_alone_give_every_line_once_too(account: Account) -> None:
    pages = [
        asked_income(account, call(startTime=0, endTime=epoch_ms(NOON), limit=700, page=page), NOON)
        for page in range(1, 6)
    ]
    found = [key(line) for page in pages for line in page]
    assert found == [key(line) for line in account.truth.incomes if line.time >= NOON - 90 * DAY]


def test_income_is_in_the_order_of_time_though_booked_late(new_account: Callable[..., Account]) -> None:
    account = new_account()
    account.transfer("USDT", Decimal(1), time=NOON + timedelta(seconds=1))
    account.ledger.book("FUNDING_FEE", "USDT", Decimal(-1), at=NOON + timedelta(seconds=2), time=NOON)
    lines = asked_income(account, call(), NOON + DAY)
    assert [line.type for line in lines] == ["FUNDING_FEE", "TRANSFER"]


def test_without_times_income_is_of_the_last_seven_days(account: Account) -> None:
    lines = asked_income(account, call(symbol=SYMBOL, limit=1000), NOON)
    assert min(line.time for line in lines) == NOON - 7 * DAY
    lines = asked_income(account, call(symbol=SYMBOL, limit=1000, endTime=epoch_ms(NOON - 20 * DAY)), NOON)
    assert (lines[0].time, lines[-1].time) == (NOON - 27 * DAY, NOON - 20 * DAY)
    assert len(asked_income(account, call(), NOON)) == 100


def test_income_can_be_of_one_type_or_symbol(account: Account) -> None:
    lines = asked_income(account, call(incomeType="REALIZED_PNL", symbol=SYMBOL, limit=1000), NOON)
    assert {(line.type, line.symbol) for line in lines} == {("REALIZED_PNL", SYMBOL)}


def test_income_requests_that_make_no_sense_are_refused(account: Account) -> None:
    assert code(asked_income, account, limit=1001) == -1130
    assert code(asked_income, account, limit=0) == -1130
    assert code(asked_income, account, startTime=2, endTime=1) == -1023
    assert code(asked_income, account, startTime="x") == -1102


def test_trades_are_had_from_an_id_on_for_three_months(account: Account) -> None:
    ids = [fill.trade_id for fill in account.truth.fills if fill.symbol == SYMBOL]
    kept = asked_trades(account, call(symbol=SYMBOL, fromId=0), NOON)
    assert [fill.trade_id for fill in kept] == ids[10:]
    some = asked_trades(account, call(symbol=SYMBOL, fromId=ids[50], limit=3), NOON)
    assert [fill.trade_id for fill in some] == ids[50:53]


def test_trades_are_had_for_seven_days(account: Account) -> None:
    start = epoch_ms(NOON - 30 * DAY)
    week = asked_trades(account, call(symbol=SYMBOL, startTime=start), NOON)
    assert [fill.time for fill in week] == [NOON - day * DAY for day in range(30, 22, -1)]
    newest = asked_trades(account, call(symbol=SYMBOL, limit=2), NOON)
    assert [fill.time for fill in newest] == [NOON - 2 * DAY, NOON - DAY]
    before = asked_trades(account, call(symbol=SYMBOL, endTime=start), NOON)
    assert (before[0].time, before[-1].time) == (NOON - 37 * DAY, NOON - 30 * DAY)
    (one,) = asked_trades(account, call(symbol=SYMBOL, orderId=newest[0].order_id), NOON)
    assert one == newest[0]


def test_trade_requests_that_make_no_sense_are_refused(account: Account) -> None:
    assert code(asked_trades, account) == -1102
    assert code(asked_trades, account, symbol="NOSUCHUSDT") == -1121
    assert code(asked_trades, account, symbol=SYMBOL, fromId=1, startTime=1) == -1128
    assert code(asked_trades, account, symbol=SYMBOL, startTime=1, endTime=8 * 86_400_000) == -1127
    assert code(asked_trades, account, symbol=SYMBOL, startTime=2, endTime=1) == -1023
    assert code(asked_trades, account, symbol=SYMBOL, limit=1001) == -1130


def test_nothing_is_told_of_what_was_before_an_account_began_again(account: Account) -> None:
    account.begin_again(time=NOON - DAY)
    times = [fill.time for fill in asked_trades(account, call(symbol=SYMBOL, limit=1000), NOON)]
    assert times == [NOON - DAY]
    assert {line.time for line in asked_income(account, call(startTime=0, limit=1000), NOON)} == {
        NOON - DAY,
        NOON - DAY / 2,
    }
