"""Between two told states the fills tell the others, as far as they add up; nothing is invented."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from recorder.domain.walk import Execution, Told, Walk, walk

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def fill(seconds: float, quantity: str, price: str = "100", realized: str = "0") -> Execution:
    return Execution(
        time=at(seconds), quantity=Decimal(quantity), price=Decimal(price), realized_profit=Decimal(realized)
    )


def told(seconds: float, amount: str, entry: str = "100", *, begins: bool = True, realized: str | None = None) -> Told:
    return Told(
        time=at(seconds),
        begins=begins,
        position_amt=Decimal(amount),
        entry_price=Decimal(entry),
        accumulated_realized=None if realized is None else Decimal(realized),
        margin_asset="USDT",
        observed_at=at(seconds),
    )


def flat(seconds: float) -> Told:
    """A snapshot in which the position was not."""
    return told(seconds, "0", "0", begins=False)


def states(walked: Walk) -> list[tuple[float, str, str | None]]:
    return [
        (
            (state.update_time - NOON).total_seconds(),
            str(state.position_amt),
            None if state.entry_price is None else str(state.entry_price),
        )
        for state in walked.rebuilt
    ]


def require_closed(walked: Walk, expected: Iterable[tuple[float, str, str | None]]) -> None:
    assert states(walked) == list(expected)
    assert not walked.unexplained
    assert walked.until is None


def test_a_position_opened_and_closed_unseen_is_told_with_the_times_of_its_fills() -> None:
    walked = walk([flat(0), flat(60)], [fill(10, "2", "101"), fill(20, "-2", "103", "4")])
    require_closed(walked, [(10, "2", "101"), (20, "0", "0")])


def test_what_is_told_is_not_rebuilt() -> None:
    walked = walk([told(1, "1"), told(2, "3"), told(3, "0", "0")], [fill(1, "1"), fill(2, "2"), fill(3, "-3")])
    require_closed(walked, [])


def test_a_flip_has_the_price_of_the_fill_that_went_through_zero() -> None:
    walked = walk([told(0, "1"), told(9, "-5", "107")], [fill(3, "-3", "110", "10"), fill(9, "-3", "105.5")])
    require_closed(walked, [(3, "-2", "110")])


def test_fills_of_one_instant_are_one_state() -> None:
    walked = walk([told(0, "1"), flat(9)], [fill(3, "1"), fill(3, "2"), fill(6, "-4")])
    require_closed(walked, [(3, "4", "100"), (6, "0", "0")])


def test_an_average_that_the_exchange_did_not_tell_is_unknown() -> None:
    walked = walk([told(0, "1"), told(9, "4", "103.3")], [fill(3, "1", "101"), fill(9, "2", "106.1")])
    require_closed(walked, [(3, "2", None)])


def test_an_entry_price_is_carried_back_as_far_as_the_position_was_but_reduced() -> None:
    fills = [fill(3, "1", "101"), fill(4, "1", "102"), fill(5, "-1", "99", "-2"), fill(9, "-1", "99", "-2")]
    require_closed(walk([told(0, "1"), told(9, "1", "101")], fills), [(3, "2", None), (4, "3", "101"), (5, "2", "101")])


def test_an_entry_price_that_both_ends_tell_differently_is_unknown() -> None:
    walked = walk([told(0, "3", "100"), told(9, "1", "100.5")], [fill(3, "-1", "99", "-1"), fill(9, "-1", "99", "-1")])
    require_closed(walked, [(3, "2", None)])


@pytest.mark.parametrize(("before", "after"), [("7", None), (None, "9.5"), ("7", "9.5")])
def test_the_realised_profit_is_the_exchange_s_own_sum(before: str | None, after: str | None) -> None:
    fills = [fill(3, "-1", "101", "1"), fill(6, "-1", "101.5", "1.5"), fill(9, "2", "100")]
    walked = walk([told(0, "3", realized=before), told(9, "3", realized=after)], fills)
    assert [state.accumulated_realized for state in walked.rebuilt] == [8, Decimal("9.5")]


def test_no_realised_profit_is_told_where_none_was() -> None:
    walked = walk([told(0, "3"), flat(9)], [fill(3, "-3", "101", "3")])
    assert [state.accumulated_realized for state in walked.rebuilt] == [None]


def test_fills_that_do_not_add_up_leave_a_stretch_unexplained_and_nothing_is_invented() -> None:
    walked = walk([told(0, "3"), told(9, "1"), flat(20)], [fill(3, "-1"), fill(12, "-0.5"), fill(15, "-0.5")])
    assert [(each.started_at, each.ended_at) for each in walked.unexplained] == [(at(0), at(9))]
    assert states(walked) == [(12, "0.5", "100"), (15, "0.0", "0")]


def test_a_position_that_moved_without_any_fill_is_unexplained() -> None:
    assert [(each.started_at, each.ended_at) for each in walk([told(0, "3"), flat(9)], []).unexplained] == [
        (at(0), at(9))
    ]


def test_fills_after_the_last_told_state_wait_for_the_next() -> None:
    walked = walk([told(0, "3"), told(5, "2")], [fill(5, "-1"), fill(8, "-1")])
    assert walked.until == at(5)
    assert states(walked) == []


@pytest.mark.parametrize("lag", [-0.9, -0.003, 0.003, 0.04, 0.9])
def test_a_snapshot_s_date_stands_for_the_fill_it_is_near(lag: float) -> None:
    walked = walk([told(0, "1"), told(10 + lag, "3"), flat(20)], [fill(5, "1"), fill(10, "1"), fill(15, "-3")])
    require_closed(walked, [(5, "2", "100"), (15, "0", "0")])


def test_of_two_near_fills_the_one_that_adds_up_is_meant() -> None:
    walked = walk([told(0, "1"), told(10.02, "2"), flat(20)], [fill(10, "1"), fill(10.01, "1"), fill(15, "-3")])
    require_closed(walked, [(10.01, "3", "100"), (15, "0", "0")])


def test_an_answer_that_did_not_know_yet_what_happened_is_passed_over() -> None:
    require_closed(walk([flat(0), told(10, "1"), flat(10.3), told(20, "2")], [fill(10, "1"), fill(20, "1")]), [])


def test_an_event_that_was_not_the_last_of_its_instant_is_refuted() -> None:
    fills = [fill(5, "1"), fill(5, "1"), fill(5, "1"), fill(9, "-3")]
    walked = walk([flat(0), told(5, "2"), told(9, "0", "0")], fills)
    assert walked.refuted == (at(5),)
    require_closed(walked, [(5, "3", "100")])


def test_no_digit_is_lost() -> None:
    tiny = "0." + "0" * 34 + "1"
    walked = walk([flat(0), flat(9)], [fill(1, "1000000"), fill(2, tiny), fill(3, "-" + "1000000" + tiny[1:])])
    assert [str(state.position_amt) for state in walked.rebuilt][1] == "1000000" + tiny[1:]


def test_an_event_of_the_middle_is_refuted_though_a_snapshot_dates_the_last_state_before_it() -> None:
    fills = [fill(5, "-1"), fill(5, "3"), fill(9, "-4")]
    walked = walk([told(0, "2"), told(4.997, "4"), told(5, "1"), told(9, "0", "0")], fills)
    assert walked.refuted == (at(5),)
    require_closed(walked, [])


def test_a_snapshot_may_date_a_change_before_the_event_of_the_one_before() -> None:
    fills = [fill(5, "-2"), fill(5.001, "-1"), fill(9, "3")]
    walked = walk([flat(0), told(4.998, "-3"), told(5, "-2"), flat(10)], fills)
    require_closed(walked, [(5, "-2", "100"), (9, "0", "0")])  # the first gives way to the event of its very time
