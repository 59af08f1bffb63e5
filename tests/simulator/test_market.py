from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from recorder.simulator.market import TICK, Market

START = datetime(2026, 3, 1, tzinfo=UTC)
SATS = "1000SATSUSDT"


def path(market: Market, symbol: str, moments: int, every: timedelta) -> list[Decimal]:
    return [market.mark_price(symbol, START + number * every) for number in range(moments)]


def test_equal_seeds_have_equal_prices_and_others_do_not() -> None:
    prices = path(Market(1), "BTCUSDT", 50, TICK)
    assert path(Market(1), "BTCUSDT", 50, TICK) == prices
    assert path(Market(2), "BTCUSDT", 50, TICK) != prices


def test_a_price_does_not_depend_on_what_was_asked_before() -> None:
    straight = path(Market(1), "ETHUSDT", 200, TICK)
    jumping = Market(1)
    for number in (150, 3, 199, 42):
        jumping.mark_price("BTCUSDT", START + number * TICK - timedelta(days=9))
        assert jumping.mark_price("ETHUSDT", START + number * TICK) == straight[number]


def test_prices_are_constant_within_a_tick_and_move_with_the_next() -> None:
    market = Market(1)
    first = market.mark_price("BTCUSDT", START)
    assert market.mark_price("BTCUSDT", START + TICK - timedelta(microseconds=1)) == first
    assert market.mark_price("BTCUSDT", START + TICK) != first


def test_mark_prices_are_decimals_with_eight_digits_also_when_tiny() -> None:
    market = Market(1)
    for symbol in ("BTCUSDT", SATS):
        price = market.mark_price(symbol, START)
        assert price > 0
        assert price.as_tuple().exponent == -8


def test_prices_keep_near_their_level_for_months() -> None:
    market = Market(1)
    for symbol, instrument in market.instruments.items():
        prices = path(market, symbol, 180, timedelta(hours=12))
        assert instrument.price / 4 < min(prices) < max(prices) < instrument.price * 4
        assert max(prices) > min(prices) * Decimal("1.03")


def test_a_market_order_pays_the_spread_and_trades_in_ticks() -> None:
    market = Market(1)
    for symbol, instrument in market.instruments.items():
        mark = market.mark_price(symbol, START)
        bought = market.trade_price(symbol, START, buy=True)
        sold = market.trade_price(symbol, START, buy=False)
        assert sold <= mark <= bought <= sold + instrument.tick_size
        assert bought % instrument.tick_size == sold % instrument.tick_size == 0


def test_there_is_no_price_for_a_strange_symbol() -> None:
    with pytest.raises(KeyError):
        Market(1).mark_price("NOSUCHUSDT", START)


def test_funding_rates_are_small_differ_and_stay_the_same() -> None:
    hours = [START + timedelta(hours=8 * number) for number in range(200)]
    market, other = Market(1), Market(2)
    rates = [market.funding_rate("BTCUSDT", hour) for hour in hours]
    assert rates == [other.funding_rate("BTCUSDT", hour) for hour in hours]
    assert Decimal("-0.0001") <= min(rates) < 0 < max(rates) <= Decimal("0.0003")
    assert len(set(rates)) > 100
    assert rates != [market.funding_rate("ETHUSDT", hour) for hour in hours]
    assert market.funding_rate("BTCUSDT_270326", hours[0]) == 0
