from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from recorder.simulator.account import Account
from recorder.simulator.instruments import INSTRUMENTS
from recorder.simulator.keys import hmac_key

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
INSTRUMENT_BY_SYMBOL = {instrument.symbol: instrument for instrument in INSTRUMENTS}


def account(*, hedge: bool = False) -> Account:
    return Account(
        "main",
        hmac_key("1"),
        INSTRUMENT_BY_SYMBOL,
        hedge=hedge,
        wallets={"USDT": Decimal(1000)},
        leverage=dict.fromkeys(INSTRUMENT_BY_SYMBOL, 10),
    )


def test_a_fill_changes_the_wallet_by_profit_less_commission() -> None:
    main = account()
    main.fill("ADAUSDT", "BOTH", Decimal(100), Decimal("0.5"), time=NOON)
    assert main.wallets["USDT"] == Decimal("999.98")  # 50 x 0.0004
    main.fill("ADAUSDT", "BOTH", Decimal(-100), Decimal("0.6"), time=NOON + timedelta(seconds=1))
    assert main.wallets["USDT"] == Decimal("1009.956")  # + 10 - 60 x 0.0004
    assert main.wallet_times["USDT"] == NOON + timedelta(seconds=1)


def test_profit_and_fees_are_in_the_margin_asset() -> None:
    main = account()
    main.fill("BTCUSDC", "BOTH", Decimal("0.010"), Decimal(90000), time=NOON)
    assert main.wallets == {"USDT": Decimal(1000), "USDC": Decimal("-0.36")}


def test_the_truth_has_every_fill_and_state_in_order_and_the_times_of_closes() -> None:
    main = account()
    for second, quantity in enumerate(("2", "-1", "-1", "3")):
        main.fill("LTCUSDT", "BOTH", Decimal(quantity), Decimal(80), time=NOON + timedelta(seconds=second))
    assert [fill.quantity for fill in main.truth.fills] == [2, -1, -1, 3]
    assert [state.amount for state in main.truth.states] == [2, 1, 0, 3]
    assert [close.update_time for close in main.truth.closes] == [NOON + timedelta(seconds=2)]
    assert len({fill.trade_id for fill in main.truth.fills}) == 4


def test_a_row_with_amount_0_appears_with_an_open_order_and_vanishes_with_it() -> None:
    main = account()
    order = main.place("XRPUSDT", "BOTH", Decimal(5), Decimal(2), time=NOON)
    ((position, orders),) = main.rows()
    assert (position.amount, position.update_time, orders) == (Decimal(0), None, [order])
    main.cancel(order.order_id, time=NOON)
    assert list(main.rows()) == []


def test_an_order_is_filled_as_the_maker_and_is_gone() -> None:
    main = account()
    order = main.place("XRPUSDT", "BOTH", Decimal(5), Decimal(2), time=NOON)
    fill = main.fill("XRPUSDT", "BOTH", Decimal(5), Decimal(2), time=NOON, order_id=order.order_id)
    assert fill.maker
    assert fill.commission == Decimal("0.002")  # 10 x 0.0002
    assert not list(main.orders())


def test_a_closed_position_with_an_open_order_keeps_its_time() -> None:
    main = account()
    main.fill("LTCUSDT", "BOTH", Decimal(1), Decimal(80), time=NOON)
    main.place("LTCUSDT", "BOTH", Decimal(1), Decimal(70), time=NOON)
    main.fill("LTCUSDT", "BOTH", Decimal(-1), Decimal(81), time=NOON + timedelta(hours=1))
    ((position, _),) = main.rows()
    assert (position.amount, position.update_time) == (Decimal(0), NOON + timedelta(hours=1))
    assert main.open_positions() == []


def test_hedge_mode_holds_both_sides_of_a_symbol_apart() -> None:
    hedge = account(hedge=True)
    hedge.fill("LTCUSDT", "LONG", Decimal(1), Decimal(80), time=NOON)
    hedge.fill("LTCUSDT", "SHORT", Decimal(-2), Decimal(80), time=NOON)
    amounts = {held.position_side: held.amount for held in hedge.open_positions()}
    assert amounts == {"LONG": Decimal(1), "SHORT": Decimal(-2)}


def test_an_account_has_only_the_sides_of_its_mode() -> None:
    with pytest.raises(ValueError, match="one-way mode and has no side LONG"):
        account().fill("LTCUSDT", "LONG", Decimal(1), Decimal(80), time=NOON)
    with pytest.raises(ValueError, match="hedge mode and has no side BOTH"):
        account(hedge=True).place("LTCUSDT", "BOTH", Decimal(1), Decimal(80), time=NOON)


def test_an_order_filled_in_part_stays_in_the_book_with_what_is_left() -> None:
    main = account()
    order = main.place("XRPUSDT", "BOTH", Decimal(5), Decimal(2), time=NOON)
    main.fill("XRPUSDT", "BOTH", Decimal(2), Decimal(2), time=NOON, order_id=order.order_id)
    assert [(open_.order_id, open_.left) for open_ in main.orders()] == [(order.order_id, Decimal(3))]


def test_an_order_can_be_filled_in_several_trades_of_one_millisecond() -> None:
    main = account()
    parts = [(Decimal(1), Decimal(80)), (Decimal(2), Decimal(81))]
    one, other = main.trade("LTCUSDT", "BOTH", parts, time=NOON)
    assert one.order_id == other.order_id
    assert one.trade_id != other.trade_id
    assert one.time == other.time == NOON
    assert [state.amount for state in main.truth.states] == [1, 3]


def test_the_cross_wallet_is_the_wallet_without_isolated_margin() -> None:
    main = account()
    main.isolated.add("LTCUSDT")
    main.fill("LTCUSDT", "BOTH", Decimal(1), Decimal(80), time=NOON)
    assert main.wallets["USDT"] - main.cross_wallet("USDT") == 8
    assert main.cross_wallet("BNB") == 0


def test_deposits_and_withdrawals_are_lines() -> None:
    main = account()
    main.transfer("USDT", Decimal(50), time=NOON)
    main.transfer("USDT", Decimal(-20), time=NOON)
    assert main.wallets["USDT"] == 1030
    assert [(line.type, line.amount) for line in main.truth.incomes] == [
        ("TRANSFER", Decimal(50)),
        ("TRANSFER", Decimal(-20)),
    ]


def test_all_ids_come_once_more_when_an_account_begins_again() -> None:
    main = account()
    main.fill("XRPUSDT", "BOTH", Decimal(5), Decimal(2), time=NOON)
    main.begin_again(time=NOON + timedelta(minutes=1))
    main.fill("XRPUSDT", "BOTH", Decimal(3), Decimal(2), time=NOON + timedelta(minutes=2))
    first, second = main.truth.fills
    assert (first.trade_id, first.order_id) == (second.trade_id, second.order_id)
    assert len({line.tran_id for line in main.truth.incomes}) == 1
    assert main.position("XRPUSDT", "BOTH").amount == 8
