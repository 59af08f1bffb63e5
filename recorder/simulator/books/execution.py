"""What executing an order, or a part of it, makes of the order and the position, and the fill that it gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from recorder.simulator.books.fees import Fees
from recorder.simulator.books.fill import Fill
from recorder.simulator.books.order import Order
from recorder.simulator.instruments import Instrument
from recorder.simulator.position import ZERO, Position


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms an account trades a symbol.

    Attributes:
        wallets: What fees can be paid from.
    """

    account: str
    instrument: Instrument
    leverage: int
    fees: Fees
    wallets: Mapping[str, Decimal]


def execute(
    order: Order, position: Position, quantity: Decimal, price: Decimal, *, terms: Terms, trade_id: int, time: datetime
) -> tuple[Order, Position, Fill]:
    """Return order and position afterwards, and the fill. Limit orders are makers, and auto-deleveraging is free.

    Raises:
        ValueError: The position's side cannot hold the result.
    """
    instrument = terms.instrument
    maker = order.kind == "LIMIT"
    after, realized, commission = position.filled(
        quantity=quantity,
        price=price,
        fee_rate=ZERO if order.kind == "ADL" else terms.fees.rate(maker=maker),
        time=time,
        entry_digits=instrument.entry_digits,
        leverage=terms.leverage,
    )
    fee_asset = instrument.margin_asset
    if order.kind != "LIQUIDATION":  # that one pays from its own margin
        fee_asset, commission = terms.fees.charged(commission, fee_asset, terms.wallets, time)
    fill = Fill(
        account=terms.account,
        symbol=order.symbol,
        position_side=order.position_side,
        trade_id=trade_id,
        order_id=order.order_id,
        time=time,
        quantity=quantity,
        price=price,
        realized_profit=realized,
        commission=commission,
        commission_asset=fee_asset,
        margin_asset=instrument.margin_asset,
        maker=maker,
    )
    return order.executed(quantity, price), after, fill
