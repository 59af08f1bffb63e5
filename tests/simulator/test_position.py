from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.simulator.position import Position, money

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FEE = Decimal("0.0004")


def after(position: Position, quantity: str, price: str) -> tuple[Position, Decimal, Decimal]:
    return position.filled(quantity=Decimal(quantity), price=Decimal(price), fee_rate=FEE, time=NOON)


def flat(side: Literal["BOTH", "LONG", "SHORT"] = "BOTH") -> Position:
    return Position(symbol="ADAUSDT", position_side=side)


def test_money_is_cut_towards_zero() -> None:
    assert str(money(Decimal("0.431412268"))) == "0.43141226"
    assert str(money(Decimal("-394.168385846"))) == "-394.16838584"


def test_opening_costs_the_fee_and_realizes_nothing() -> None:
    position, realized, commission = after(flat(), "30", "0.385")
    assert (position.amount, position.entry_price, position.update_time) == (Decimal(30), Decimal("0.385"), NOON)
    assert realized == 0
    assert commission == Decimal("0.00462")  # 30 x 0.385 x 0.0004


def test_the_break_even_price_of_a_new_position_is_the_entry_and_its_fee() -> None:
    long, _, _ = after(flat(), "30", "0.385")
    assert long.break_even_price == Decimal("0.385154")  # 0.385 x 1.0004
    short, _, _ = after(flat(), "-30", "0.385")
    assert short.break_even_price == Decimal("0.384846")  # 0.385 x 0.9996


def test_adding_averages_the_entry_price() -> None:
    position, _, _ = after(flat(), "1", "100")
    position, realized, _ = after(position, "2", "101")
    assert position.entry_price == Decimal("100.66666666")
    assert realized == 0


def test_reducing_realizes_a_profit_and_keeps_the_entry_price() -> None:
    position, _, _ = after(flat(), "-3", "100")
    position, realized, commission = after(position, "1", "90")
    assert (position.amount, position.entry_price) == (Decimal(-2), Decimal(100))
    assert realized == Decimal(10)
    assert commission == Decimal("0.036")
    # 10 taken, 0.12 and 0.036 paid, 2 left: they may rise by 4.922 each
    assert position.break_even_price == Decimal("104.922")


def test_closing_leaves_nothing_but_what_was_realized() -> None:
    position, _, _ = after(flat(), "2", "100")
    position, realized, _ = after(position, "-2", "99")
    assert not any((position.amount, position.entry_price, position.break_even_price))
    assert realized == position.accumulated_realized == -2
    position, _, _ = after(position, "1", "50")
    position, realized, _ = after(position, "-1", "53")
    assert (realized, position.accumulated_realized) == (Decimal(3), Decimal(1))


def test_a_flip_closes_the_old_position_and_opens_the_rest_the_other_way() -> None:
    position, _, _ = after(flat(), "2", "100")
    position, realized, commission = after(position, "-5", "110")
    assert (position.amount, position.entry_price) == (Decimal(-3), Decimal(110))
    assert realized == Decimal(20)
    assert commission == Decimal("0.22")  # of all five
    assert position.break_even_price == Decimal("109.956")  # 110 x 0.9996


def test_the_sides_of_hedge_mode_do_not_go_through_zero() -> None:
    long, _, _ = after(flat("LONG"), "2", "100")
    with pytest.raises(ValueError, match="LONG"):
        after(long, "-3", "100")
    with pytest.raises(ValueError, match="SHORT"):
        after(flat("SHORT"), "1", "100")


def test_a_fill_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing"):
        after(flat(), "0", "100")


@given(st.lists(st.tuples(st.integers(-9, 9).filter(bool), st.integers(1, 500)), min_size=1, max_size=30))
def test_what_is_realized_is_what_the_trades_earned(trades: list[tuple[int, int]]) -> None:
    position = flat()
    spent = Decimal(0)
    for quantity, price in [*trades, (-sum(quantity for quantity, _ in trades), 100)]:
        if quantity:
            position, _, _ = after(position, str(quantity), str(price))
            spent += quantity * price
    assert position.amount == 0
    assert abs(position.accumulated_realized + spent) < Decimal("0.0001")  # averages are cut to 8 decimals


def test_an_isolated_position_puts_margin_aside_and_gives_it_back() -> None:
    position = Position(symbol="ADAUSDT", position_side="BOTH", isolated=True)
    wallets = []
    for quantity in ("4", "6", "-3", "-10", "3"):
        position, _, _ = position.filled(
            quantity=Decimal(quantity), price=Decimal(100), fee_rate=FEE, time=NOON, leverage=20
        )
        wallets.append(position.isolated_wallet)
    assert wallets == [20, 50, 35, 15, 0]
    assert position.isolated


def test_a_cross_position_puts_nothing_aside() -> None:
    position, _, _ = after(flat(), "4", "100")
    assert position.isolated_wallet == 0


def test_margin_can_be_moved() -> None:
    position = Position(symbol="ADAUSDT", position_side="BOTH", amount=Decimal(1), isolated=True)
    moved = position.with_margin(Decimal(5), NOON)
    assert (moved.isolated_wallet, moved.update_time) == (Decimal(5), NOON)
