from datetime import UTC, datetime
from decimal import Decimal

from recorder.simulator.books.fees import STANDARD, Fees

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BNB = Fees(bnb_price=lambda _: Decimal(900))


def test_a_commission_is_paid_in_the_margin_asset() -> None:
    assert STANDARD.charged(Decimal("0.5"), "USDC", {"BNB": Decimal(9)}, NOON) == ("USDC", Decimal("0.5"))


def test_with_bnb_it_is_a_tenth_cheaper() -> None:
    assert BNB.charged(Decimal(2), "USDT", {"BNB": Decimal(1)}, NOON) == ("BNB", Decimal("0.002"))  # 2 x 0.9 / 900


def test_without_enough_bnb_it_is_paid_in_the_margin_asset() -> None:
    assert BNB.charged(Decimal(2), "USDT", {"BNB": Decimal("0.001")}, NOON) == ("USDT", Decimal(2))
    assert BNB.charged(Decimal(2), "USDT", {}, NOON) == ("USDT", Decimal(2))


def test_a_rebate_is_never_bnb() -> None:
    assert BNB.charged(Decimal(-2), "USDT", {"BNB": Decimal(1)}, NOON) == ("USDT", Decimal(-2))
