"""Pages of the ledgers: which lines a request for income or trades gets."""

from bisect import bisect_left
from collections.abc import Iterable
from datetime import datetime, timedelta

from recorder.simulator import errors
from recorder.simulator.account import Account
from recorder.simulator.books.fill import Fill
from recorder.simulator.books.income import Income
from recorder.simulator.clock import epoch_ms
from recorder.simulator.rest.call import Call

_MOST_ROWS = 1_000
_KEPT = timedelta(days=90)
_WEEK = timedelta(days=7)
_MILLISECOND = timedelta(milliseconds=1)


def asked_income(account: Account, call: Call, now: datetime) -> list[Income]:
    """Return a page of income, oldest first.

    Without any time it is of the last seven days; with ``startTime`` alone from there on, with ``endTime`` alone of the
    seven days before. Nothing is older than three months. Lines of one millisecond keep the order of booking.

    Raises:
        ApiError: -1102, -1023, -1130.
    """
    limit = _limit(call, 100)
    page = call.number("page") or 1
    start, end = call.number("startTime"), call.number("endTime")
    _check_order(start, end)
    if start is None:
        start = (epoch_ms(now) if end is None else end) - _WEEK // _MILLISECOND
    start = max(start, epoch_ms(now - _KEPT))
    type_, symbol = call.text("incomeType"), call.text("symbol")
    lines = sorted(account.truth.incomes, key=lambda income: income.time)
    wanted = [
        income
        for income in lines[bisect_left(lines, start, key=lambda income: epoch_ms(income.time)) :]
        if (end is None or epoch_ms(income.time) <= end)
        and not _is_forgotten(account, income.time)
        and type_ in {None, income.type}
        and symbol in {None, income.symbol}
    ]
    return wanted[(page - 1) * limit : page * limit]


def asked_trades(account: Account, call: Call, now: datetime) -> list[Fill]:
    """Return a page of one symbol's trades, oldest first.

    With ``fromId`` it begins with that trade, with ``startTime`` at that moment, for seven days at the most; otherwise
    it holds the newest, of the last seven days or of those before ``endTime``. Nothing is older than three months.

    Raises:
        ApiError: -1102, -1023, -1127, -1128, -1130.
    """
    symbol = call.text("symbol")
    if symbol is None:
        raise errors.missing("symbol")
    if symbol not in account.leverage:
        raise errors.bad_symbol()
    limit = _limit(call, 500)
    start, end, from_id = call.number("startTime"), call.number("endTime"), call.number("fromId")
    order_id = call.number("orderId")
    kept = (
        fill
        for fill in account.truth.fills
        if fill.symbol == symbol
        and fill.time >= now - _KEPT
        and order_id in {None, fill.order_id}
        and not _is_forgotten(account, fill.time)
    )
    if from_id is not None:
        if start is not None or end is not None:
            raise errors.bad_combination("fromId with startTime or endTime")
        return [fill for fill in kept if fill.trade_id >= from_id][:limit]
    _check_order(start, end)
    week = _WEEK // _MILLISECOND
    if start is not None and end is not None and end - start > week:
        raise errors.interval_too_long(_WEEK.days)
    if start is not None:
        return _between(kept, start, start + week if end is None else end)[:limit]
    end = epoch_ms(now) if end is None else end
    return _between(kept, end - week, end)[-limit:]


def _is_forgotten(account: Account, time: datetime) -> bool:
    return account.forgotten_until is not None and time < account.forgotten_until


def _between(fills: Iterable[Fill], start: int, end: int) -> list[Fill]:
    return [fill for fill in fills if start <= epoch_ms(fill.time) <= end]


def _check_order(start: int | None, end: int | None) -> None:
    if start is not None and end is not None and start > end:
        raise errors.start_after_end()


def _limit(call: Call, default: int) -> int:
    limit = call.number("limit")
    if limit is None:
        return default
    if not 1 <= limit <= _MOST_ROWS:
        raise errors.bad_parameter("limit")
    return limit
