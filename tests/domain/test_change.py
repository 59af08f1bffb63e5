"""The rules of history, on plain values; tests/postgres/test_snapshots.py holds the tables to the same."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from recorder.domain.change import Change, ChangeKey, ChangeSource, Dated, Observation, dated_by_exchange, hold
from recorder.domain.position import NEVER, PositionState
from recorder.domain.snapshot import Kind

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def state(
    amount: str, update_time: datetime, *, symbol: str = "BTCUSDT", side: str = "BOTH", entry: str = "100"
) -> PositionState:
    return PositionState(
        symbol=symbol,
        position_side=side,
        position_amt=Decimal(amount),
        entry_price=Decimal(entry),
        update_time=update_time,
        break_even_price=Decimal(entry),
        margin_asset="USDT",
    )


def seen(minute: int, *states: PositionState, kind: Kind = Kind.SLOT) -> Observation:
    time = NOON + minute * MINUTE
    return Observation(
        time=time,
        kind=kind,
        taken_at=time + timedelta(milliseconds=150),
        duration=timedelta(0),
        states={each.key: each for each in states},
    )


def history(*observations: Observation, told: Iterable[Dated] = ()) -> list[Change]:
    """What a recorder that saw these in order, and was *told* the rest, has written, in the order of being in force."""
    changes: dict[ChangeKey, Change] = {}
    for before, now in pairwise((None, *observations)):
        assert now
        for change in dated_by_exchange(before, now):
            changes.setdefault(change.key, change)
    since = None
    for before, now in pairwise((None, *observations)):
        assert now
        dated = [
            *told,
            *(
                Dated(
                    key=(each.symbol, each.position_side),
                    update_time=each.update_time,
                    position_amt=each.position_amt,
                    entry_price=each.entry_price,
                    margin_asset=each.margin_asset,
                )
                for each in changes.values()
                if each.dated_by_exchange
            ),
        ]
        between = [each for each in dated if (not since or each.update_time > since)]
        held = hold(
            before,
            since,
            now,
            sorted(
                (each for each in between if each.update_time <= now.received_at), key=lambda each: each.update_time
            ),
        )
        changes.update((change.key, change) for change in held.changes)
        since = held.true_at
    return sorted(changes.values(), key=lambda change: (change.update_time, change.dated_by_exchange))


def event(amount: str, at: datetime, *, entry: str = "100") -> Dated:
    return Dated(
        key=("BTCUSDT", "BOTH"),
        update_time=at,
        position_amt=Decimal(amount),
        entry_price=Decimal(entry),
        margin_asset="USDT",
    )


def amounts(changes: list[Change]) -> list[tuple[datetime, str]]:
    return [(change.update_time, str(change.position_amt)) for change in changes]


def test_a_repeated_update_time_adds_no_change() -> None:
    opened = state("1", NOON - SECOND)
    assert amounts(history(seen(0, opened), seen(1, opened), seen(2, opened))) == [(NOON - SECOND, "1")]


def test_each_update_time_is_one_change() -> None:
    changes = history(seen(0, state("1", NOON - SECOND)), seen(1, state("2", NOON + SECOND)))
    assert amounts(changes) == [(NOON - SECOND, "1"), (NOON + SECOND, "2")]
    assert all(change.dated_by_exchange and change.source is ChangeSource.SNAPSHOT for change in changes)


def test_a_position_that_vanishes_is_closed_by_an_inferred_change_at_the_slot() -> None:
    _, close = history(seen(0, state("1", NOON - SECOND)), seen(1))
    assert (close.update_time, close.position_amt, close.entry_price) == (NOON + MINUTE, Decimal(0), Decimal(0))
    assert close.source is ChangeSource.INFERRED
    assert close.observed_at == NOON + MINUTE + timedelta(milliseconds=150)


def test_a_close_is_inferred_once() -> None:
    assert len(history(seen(0, state("1", NOON - SECOND)), seen(1), seen(2), seen(3))) == 2


def test_a_row_of_open_orders_that_vanishes_closes_nothing() -> None:
    assert amounts(history(seen(0, state("0", NOON - SECOND)), seen(1))) == [(NOON - SECOND, "0")]


def test_a_close_that_the_exchange_dates_is_not_inferred_again() -> None:
    changes = history(seen(0, state("1", NOON - SECOND)), seen(1, state("0", NOON + SECOND)), seen(2))
    assert amounts(changes) == [(NOON - SECOND, "1"), (NOON + SECOND, "0")]


def test_both_sides_of_one_symbol_are_closed_apart() -> None:
    long, short = state("1", NOON - SECOND, side="LONG"), state("-1", NOON - SECOND, side="SHORT")
    closes = [change for change in history(seen(0, long, short), seen(1, short), seen(2)) if not change.position_amt]
    assert [(change.position_side, change.update_time) for change in closes] == [
        ("LONG", NOON + MINUTE),
        ("SHORT", NOON + 2 * MINUTE),
    ]


def test_a_switch_to_hedge_mode_closes_the_one_way_row() -> None:
    changes = history(seen(0, state("1", NOON - SECOND)), seen(1, state("1", NOON + SECOND, side="LONG")))
    assert [(change.position_side, str(change.position_amt), change.source) for change in changes] == [
        ("BOTH", "1", "snapshot"),
        ("LONG", "1", "snapshot"),
        ("BOTH", "0", "inferred"),
    ]


def test_a_state_without_update_time_is_dated_by_the_slot_that_first_saw_it() -> None:
    changes = history(seen(0, state("1", NEVER)), seen(1, state("1", NEVER)), seen(2, state("2", NEVER)))
    assert amounts(changes) == [(NOON, "1"), (NOON + 2 * MINUTE, "2")]
    assert not any(change.dated_by_exchange for change in changes)


def test_another_state_under_the_same_update_time_is_kept_and_dated_by_its_slot() -> None:
    first, restated = state("1", NOON - SECOND, entry="100"), state("1", NOON - SECOND, entry="101")
    changes = history(seen(0, first), seen(1, restated), seen(2, restated), seen(3, first))
    assert [(change.update_time, str(change.entry_price)) for change in changes] == [
        (NOON - SECOND, "100"),
        (NOON + MINUTE, "101"),
        (NOON + 3 * MINUTE, "100"),
    ]


def test_equal_numbers_written_otherwise_are_the_same_state() -> None:
    changes = history(seen(0, state("1.0", NEVER, entry="1E+2")), seen(1, state("1.000", NEVER, entry="100.00")))
    assert len(changes) == 1


def test_a_position_that_comes_back_with_its_old_date_is_open_again_from_that_slot() -> None:
    opened = state("1", NOON - SECOND)
    changes = history(seen(0, opened), seen(1), seen(2, opened))
    assert amounts(changes) == [(NOON - SECOND, "1"), (NOON + MINUTE, "0"), (NOON + 2 * MINUTE, "1")]


def test_a_state_with_an_older_date_is_in_force_from_its_slot_as_long_as_it_is_shown() -> None:
    newer, older = state("2", NOON - SECOND), state("1", NOON - 2 * SECOND)
    assert amounts(history(seen(0, newer), seen(1, older), seen(2, older))) == [
        (NOON - 2 * SECOND, "1"),
        (NOON - SECOND, "2"),
        (NOON + MINUTE, "1"),
    ]


def test_a_change_shown_late_by_the_exchange_is_in_force_at_the_end() -> None:
    first, late = state("1", NOON - MINUTE), state("2", NOON + MINUTE - SECOND)
    changes = history(seen(0, first), seen(1, first), seen(2, late))
    assert amounts(changes)[-1] == (NOON + 2 * MINUTE, "2")
    assert (NOON + MINUTE - SECOND, "2") in amounts(changes)


def test_a_close_is_never_dated_before_the_state_it_ends() -> None:
    opened_after_the_slot = state("1", NOON + SECOND)  # a slot that ran late shows what came after it was due
    by_hand = replace(seen(0), time=NOON + SECOND / 2, kind=Kind.MANUAL, taken_at=NOON + 3 * SECOND)
    opening, close = history(replace(seen(0, opened_after_the_slot), taken_at=NOON + 2 * SECOND), by_hand)
    assert close.update_time > opening.update_time


def test_an_imported_state_says_so() -> None:
    (change,) = history(seen(0, state("1", NOON - SECOND), kind=Kind.IMPORT))
    assert change.source is ChangeSource.IMPORT


def test_a_position_of_which_only_an_event_told_is_closed_by_the_snapshot_that_lacks_it() -> None:
    opened = event("4", NOON + 20 * SECOND)
    (close,) = history(seen(0), seen(1), seen(2), told=[opened])
    assert (close.update_time, close.source, close.margin_asset) == (NOON + MINUTE, ChangeSource.INFERRED, "USDT")


def test_a_position_that_opened_after_the_answer_is_not_closed_by_it() -> None:
    answer = replace(seen(1), duration=SECOND / 5)
    assert history(seen(0), answer, told=[event("4", answer.sent_at)]) == []
    assert history(seen(0), answer, told=[event("4", answer.received_at)]) == []
    (close,) = history(seen(0), answer, told=[event("4", answer.sent_at - timedelta(milliseconds=1))])
    assert close.update_time == answer.time


def test_a_change_between_sending_and_receiving_is_before_the_answer_that_shows_it() -> None:
    opened = state("1", NOON - SECOND)
    shown = replace(seen(1), duration=SECOND / 5)
    dated = [event("0", shown.received_at - timedelta(milliseconds=1))]
    held = hold(seen(0, opened), seen(0).taken_at, shown, dated)
    assert (held.true_at, held.changes) == (dated[0].update_time, ())
    not_yet = replace(shown, states={opened.key: opened})
    dated = [event("0", shown.sent_at + timedelta(milliseconds=1))]
    held = hold(seen(0, opened), seen(0).taken_at, not_yet, dated)
    assert (held.true_at, held.changes) == (dated[0].update_time - timedelta(microseconds=1), ())


def test_an_entry_price_that_is_shown_with_fewer_digits_is_the_same() -> None:
    told = event("1", NOON + SECOND, entry="100.12345678")
    assert history(seen(0), seen(1, state("1", NEVER, entry="100.1235")), told=[told]) == []
    assert len(history(seen(0), seen(1, state("1", NEVER, entry="100.1236")), told=[told])) == 1


def test_a_row_that_is_dated_later_than_its_answer_came_is_of_that_time() -> None:
    late = NOON + 61 * SECOND
    answer = replace(seen(1, state("4", late)), taken_at=late - SECOND / 2)
    held = hold(seen(0), seen(0).taken_at, answer, [event("4", late)])
    assert (held.true_at, held.changes) == (late, ())
