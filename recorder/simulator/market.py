"""Prices: one seeded market in which the price of any moment, past or future, is known."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from math import exp
from random import Random
from zlib import crc32

from recorder.simulator.instruments import INSTRUMENTS, Instrument

TICK = timedelta(seconds=5)
"""Mark prices are constant in between."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MARK_DIGITS = Decimal("0.00000001")
_PERIODS = 10  # the longest is 4**9 ticks, fifteen days
_TABLE_BITS = 14
_STEP = 0.00018  # standard deviation of bitcoin's logarithmic price at the shortest period
_SHARED = 0.7  # how much of each price's movement is the whole market's


class Market:
    """Mark prices of every instrument at every moment. Two markets with equal seeds have equal prices."""

    def __init__(self, seed: int, instruments: Iterable[Instrument] = INSTRUMENTS) -> None:
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        random = Random(f"market/{seed}")
        table = [random.gauss() for _ in range(1 << _TABLE_BITS)]
        self._whole = _Drift(table, random.getrandbits(32))
        self._own = {symbol: _Drift(table, random.getrandbits(32)) for symbol in self.instruments}
        self._tick = -1
        self._shared = 0.0
        self._marks: dict[str, Decimal] = {}

    def mark_price(self, symbol: str, at: datetime) -> Decimal:
        """Return the mark price, with 8 decimals.

        Raises:
            KeyError: There is no such symbol.
        """
        tick = (at - _EPOCH) // TICK
        if tick != self._tick:
            self._tick = tick
            self._shared = _SHARED * self._whole.at(tick)
            self._marks.clear()
        mark = self._marks.get(symbol)
        if mark is None:
            instrument = self.instruments[symbol]
            drift = self._shared + (1 - _SHARED) * self._own[symbol].at(tick)
            price = float(instrument.price) * exp(instrument.volatility * drift)
            mark = Decimal(price).quantize(_MARK_DIGITS, ROUND_HALF_EVEN)
            self._marks[symbol] = mark
        return mark

    def funding_rate(self, symbol: str, at: datetime) -> Decimal:
        """Return what a long pays for eight hours, as a share of its value; negative when the short pays.

        It is between -0.0001 and 0.0003, and 0 for a contract with a delivery date.
        """
        if "_" in symbol:
            return Decimal(0)
        seed = (at - _EPOCH) // timedelta(hours=1) ^ crc32(symbol.encode())
        return Decimal(_scatter(seed) * 40_000 // (1 << _TABLE_BITS) - 10_000).scaleb(-8)

    def trade_price(self, symbol: str, at: datetime, *, buy: bool) -> Decimal:
        """Return what a market order pays or gets: the next multiple of the tick size on the far side of the mark."""
        tick_size = self.instruments[symbol].tick_size
        rounding = ROUND_CEILING if buy else ROUND_FLOOR
        ticks = (self.mark_price(symbol, at) / tick_size).to_integral_value(rounding)
        return max(ticks, Decimal(1)) * tick_size


class _Drift:
    """A logarithmic price without its level: a sum of noise with periods of 1, 4, 16 … ticks.

    It moves like a random walk up to the longest period and returns to zero beyond it. Each value is found by hashing
    its index, so that no price depends on which were asked for before and a leap over a week costs nothing; what is
    kept is only the stretch of each period that was asked for last.
    """

    def __init__(self, table: Sequence[float], salt: int) -> None:
        self._table = table
        self._salts = [(salt * (2 * period + 1)) & 0xFFFFFFFF for period in range(_PERIODS)]
        self._stretches = [(-1, 0.0, 0.0)] * _PERIODS  # index, value at its beginning, slope per tick

    def at(self, tick: int) -> float:
        total = 0.0
        for period, (known, before, slope) in enumerate(self._stretches):
            index = tick >> 2 * period
            if index == known:
                total += before + slope * (tick - (index << 2 * period))
            else:
                total += self._find(period, index, tick)
        return total

    def _find(self, period: int, index: int, tick: int) -> float:
        size = _STEP * (1 << period)
        before, after = (size * self._table[_scatter(corner ^ self._salts[period])] for corner in (index, index + 1))
        slope = (after - before) / (1 << 2 * period)
        self._stretches[period] = index, before, slope
        return before + slope * (tick - (index << 2 * period))


def _scatter(index: int) -> int:
    """Return a place in the table; neighbouring indices give unrelated places."""
    mixed = (index * 0x7FEB352D) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 0x846CA68B) & 0xFFFFFFFF
    return mixed >> (32 - _TABLE_BITS)
