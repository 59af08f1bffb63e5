"""What can be traded on the simulated exchange."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One contract; linear, one contract is one unit of the base asset.

    Attributes:
        price: The level its price wanders around.
        tick_size: Prices of orders and fills are multiples of it; mark prices are not.
        step_size: Quantities are multiples of it.
        maint_margin_rate: Of the first leverage bracket, the only one simulated.
        volatility: How far it wanders, in multiples of what bitcoin does.
    """

    symbol: str
    price: Decimal
    tick_size: Decimal
    step_size: Decimal
    maint_margin_rate: Decimal
    volatility: float
    margin_asset: str

    @property
    def entry_digits(self) -> int:
        """Decimals of an average entry price: eight, and more where the price itself needs them."""
        exponent = self.tick_size.as_tuple().exponent
        if not isinstance(exponent, int):
            raise TypeError(f"{self.symbol}: tick size {self.tick_size} is not a number")
        return max(8, 5 - exponent)


_TABLE = """
BTCUSDT        91250.4   0.1       0.001 0.004  1.0
ETHUSDT        3041.27   0.01      0.001 0.005  1.4
BNBUSDT        884.60    0.01      0.01  0.005  1.2
SOLUSDT        136.850   0.010     0.01  0.005  1.8
XRPUSDT        2.1354    0.0001    0.1   0.005  1.8
DOGEUSDT       0.147830  0.000010  1     0.0065 2.0
ADAUSDT        0.43170   0.00010   1     0.0065 1.9
LTCUSDT        83.42     0.01      0.001 0.0065 1.4
LINKUSDT       13.206    0.001     0.01  0.006  1.8
AVAXUSDT       14.1520   0.0010    1     0.0065 2.0
TRXUSDT        0.27914   0.00001   1     0.0065 0.8
COMPUSDT       34.61     0.01      0.001 0.01   1.9
WLDUSDT        0.6318    0.0001    1     0.006  2.4
SUIUSDT        1.572300  0.000100  0.1   0.006  2.2
1INCHUSDT      0.1894    0.0001    1     0.015  1.9
1000SATSUSDT   0.0001873 0.0000001 1     0.015  2.6
1000PEPEUSDT   0.0046150 0.0000001 1     0.01   2.6
币安人生USDT       0.15326   0.00001   1     0.02   3.0
BTCUSDT_270326 93180.5   0.1       0.001 0.004  1.0
ETHUSDT_270326 3102.14   0.01      0.001 0.005  1.4
BTCUSDC        91248.1   0.1       0.001 0.004  1.0
ETHUSDC        3041.09   0.01      0.001 0.005  1.4
SOLUSDC        136.840   0.010     0.01  0.005  1.8
XRPUSDC        2.1352    0.0001    0.1   0.005  1.8
"""


def _instrument(line: str) -> Instrument:
    symbol, price, tick_size, step_size, maint_margin_rate, volatility = line.split()
    return Instrument(
        symbol=symbol,
        price=Decimal(price),
        tick_size=Decimal(tick_size),
        step_size=Decimal(step_size),
        maint_margin_rate=Decimal(maint_margin_rate),
        volatility=float(volatility),
        margin_asset="USDC" if symbol.endswith("USDC") else "USDT",
    )


INSTRUMENTS = tuple(_instrument(line) for line in _TABLE.strip().splitlines())
"""More than anyone holds at once, for in one-way mode an account holds at most one position in each."""
