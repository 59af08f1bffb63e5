from decimal import Decimal

import pytest

from recorder.simulator.instruments import INSTRUMENTS, Instrument

BY_SYMBOL = {instrument.symbol: instrument for instrument in INSTRUMENTS}


def test_the_awkward_kinds_of_symbol_are_all_there() -> None:
    assert BY_SYMBOL["1000SATSUSDT"].price < Decimal("0.001")
    assert not BY_SYMBOL["币安人生USDT"].symbol.isascii()
    assert "BTCUSDT_270326" in BY_SYMBOL
    assert BY_SYMBOL["BTCUSDC"].margin_asset == "USDC"
    assert BY_SYMBOL["BTCUSDT_270326"].margin_asset == "USDT"


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda instrument: instrument.symbol)
def test_levels_are_prices_that_could_be_traded(instrument: Instrument) -> None:
    assert instrument.price % instrument.tick_size == 0


def test_an_entry_price_has_more_decimals_than_the_ticks_it_is_an_average_of() -> None:
    assert BY_SYMBOL["BTCUSDT"].entry_digits == 8
    assert BY_SYMBOL["1000SATSUSDT"].entry_digits == 12
