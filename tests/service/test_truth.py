"""What the accounts really did, against what was recorded of it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from recorder.domain.position import NEVER
from recorder.simulator.account import Account
from recorder.simulator.exchange import Simulator
from recorder.simulator.position import Position
from recorder.simulator.scenario import Scenario
from recorder.simulator.trader import Habits
from tests.service.rows import Samples, as_recorded
from tests.service.running import Start, trade
from tests.service.tables import EVERY, Change, Tables, Taken

TRADING = Habits(positions=6, pause=timedelta(seconds=0.25), rest=timedelta(seconds=2.2))
Moment = tuple[str, str, datetime]


@pytest.mark.parametrize("scenario", [pytest.param(Scenario(accounts=3, habits=TRADING), id="trading")])
async def test_samples_are_what_was_sent_digit_for_digit_and_history_is_what_happened(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    async with recorder():
        first = await tables.first("ed25519", "ok")
        await tables.first("ed25519", "ok", after=first.time + 3 * EVERY)
    closes = 0
    for name, account in exchange.world.accounts.items():
        taken = await tables.snapshots(name)
        sent = [as_recorded(answer.rows or ()) for answer in exchange.traffic.answers_of(name)]
        assert all(row.ok for row in taken)
        assert [await tables.samples(name, row.time) for row in taken] == sent
        told = [change for change in await tables.history(name) if _is_after_a_fill(change, account)]

        expected = set(_seen_closes(account, taken, sent))
        assert {_moment(change) for change in told if not change.position_amt} == expected
        closes += len(expected)

        happened = {
            (state.symbol, state.position_side, state.update_time, state.amount, state.entry_price)
            for state in account.truth.states
        }
        seen = {
            (*key, row["update_time"], Decimal(row["position_amt"]), Decimal(row["entry_price"]))
            for rows in sent
            for key, row in rows.items()
            if row["update_time"] != NEVER
        }
        assert seen <= happened
        assert {
            (*_moment(change), change.position_amt, change.entry_price)
            for change in told
            if change.source == "snapshot"
        } == seen
    assert closes >= 5


async def test_every_side_that_is_closed_is_written_as_closed_at_the_next_slot(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    main, hedge = exchange.world.accounts["main"], exchange.world.accounts["hedge"]
    held = main.open_positions()[0]
    long, short = hedge.position("LTCUSDT", "LONG"), hedge.position("LTCUSDT", "SHORT")
    trade(exchange, "hedge", long, Decimal(3) - long.amount)
    trade(exchange, "hedge", short, Decimal(-2) - short.amount)
    async with recorder():
        first = await tables.first("hedge", "ok")
        trade(exchange, "hedge", short, Decimal(2))
        trade(exchange, "main", held, -held.amount)
        second = await tables.first("hedge", "ok", after=first.time)
        trade(exchange, "hedge", long, Decimal(-3))
        main.hedge = True  # as the exchange allows once nothing is held in the symbol
        opened = trade(exchange, "main", main.position(held.symbol, "LONG"), abs(held.amount))
        third = await tables.first("hedge", "ok", after=second.time)
        trade(exchange, "main", opened, -opened.amount)
        fourth = await tables.first("hedge", "ok", after=third.time)
    closes = await tables.inferred("main") + await tables.inferred("hedge")
    assert {_moment(close) for close in closes} == {
        ("LTCUSDT", "SHORT", second.time),
        ("LTCUSDT", "LONG", third.time),
        (held.symbol, "BOTH", second.time),
        (held.symbol, "LONG", fourth.time),
    }
    assert all(close.position_amt == close.entry_price == 0 for close in closes)


def _seen_closes(account: Account, taken: list[Taken], sent: list[Samples]) -> Iterator[Moment]:
    """Yield how each real close must be dated.

    By its own moment when a flat row was listed, for its open orders; else by the first slot whose answer did not have
    the position any more. A close before the first answer or after the last one was seen by nobody.
    """
    for close in account.truth.closes:
        key, closed_at = (close.symbol, close.position_side), _changed_at(close)
        listed = [rows.get(key) for rows in sent]
        if any(row is not None and row["update_time"] == closed_at for row in listed):
            yield *key, closed_at
            continue
        for row, (before, now) in zip(taken[1:], pairwise(listed), strict=True):
            if before is not None and before["update_time"] < closed_at <= row.taken_at + row.duration and now is None:
                yield *key, row.time
                break


def _changed_at(position: Position) -> datetime:
    assert position.update_time is not None, "only a fill makes a state"
    return position.update_time


def _is_after_a_fill(change: Change, account: Account) -> bool:
    """Whether it is about a position and not about a row that is listed for the sake of an order alone."""
    return any(
        (state.symbol, state.position_side) == (change.symbol, change.position_side)
        and _changed_at(state) <= change.update_time
        for state in account.truth.states
    )


def _moment(change: Change) -> Moment:
    return change.symbol, change.position_side, change.update_time
