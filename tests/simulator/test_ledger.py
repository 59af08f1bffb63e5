from datetime import UTC, datetime, timedelta
from decimal import Decimal

from recorder.simulator.books.fill import Fill
from recorder.simulator.books.ledger import Ledger

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def fill(realized: str, commission: str, asset: str = "USDT") -> Fill:
    return Fill(
        account="main",
        symbol="LTCUSDT",
        position_side="BOTH",
        trade_id=7,
        order_id=8,
        time=NOON,
        quantity=Decimal(1),
        price=Decimal(80),
        realized_profit=Decimal(realized),
        commission=Decimal(commission),
        commission_asset=asset,
        margin_asset="USDT",
        maker=False,
    )


def ledger() -> Ledger:
    return Ledger("main", {"USDT": Decimal(100)})


def test_profit_and_commission_of_a_fill_are_two_lines_with_one_number() -> None:
    books = ledger()
    books.book_fill(fill("5", "0.5", "BNB"))
    profit, commission = books.incomes
    assert (profit.type, profit.asset, profit.amount, profit.trade_id) == ("REALIZED_PNL", "USDT", Decimal(5), 7)
    assert (commission.type, commission.asset, commission.amount) == ("COMMISSION", "BNB", Decimal("-0.5"))
    assert profit.tran_id == commission.tran_id > 2**53
    assert books.wallets == {"USDT": Decimal(105), "BNB": Decimal("-0.5")}


def test_nothing_is_not_booked() -> None:
    books = ledger()
    books.book_fill(fill("0", "-0.1"))
    (rebate,) = books.incomes
    assert (rebate.type, rebate.amount) == ("COMMISSION", Decimal("0.1"))


def test_a_line_can_say_another_time_than_that_of_booking() -> None:
    books = ledger()
    later = NOON + timedelta(seconds=2)
    books.book("FUNDING_FEE", "USDT", Decimal(-1), at=later, time=NOON, symbol="LTCUSDT")
    (funding,) = books.incomes
    assert (funding.time, funding.booked_at, books.times["USDT"]) == (NOON, later, later)
    assert books.history["USDT"][-1] == (later, Decimal(99))


def test_lines_of_different_types_have_equal_numbers() -> None:
    books = ledger()
    books.book("TRANSFER", "USDT", Decimal(1), at=NOON)
    books.book("API_REBATE", "USDT", Decimal(1), at=NOON)
    books.book("TRANSFER", "USDT", Decimal(1), at=NOON)
    first, other, second = (line.tran_id for line in books.incomes)
    assert first == other != second
