"""Income and trades as REST sends them."""

from recorder.simulator.books.fill import Fill
from recorder.simulator.books.income import Income
from recorder.simulator.clock import epoch_ms
from recorder.simulator.frames import Row
from recorder.simulator.instruments import Instrument
from recorder.simulator.rows import money_text, quantity_text


def income_row(income: Income) -> Row:
    """Return a row of ``/fapi/v1/income``."""
    return {
        "symbol": income.symbol,
        "incomeType": income.type,
        "income": money_text(income.amount),
        "asset": income.asset,
        "time": epoch_ms(income.time),
        "info": income.type,
        "tranId": income.tran_id,
        "tradeId": "" if income.trade_id is None else str(income.trade_id),
    }


def trade_row(fill: Fill, instrument: Instrument) -> Row:
    """Return a row of ``/fapi/v1/userTrades``. Here a commission is positive when paid."""
    quantity = abs(fill.quantity)
    return {
        "symbol": fill.symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "side": "BUY" if fill.quantity > 0 else "SELL",
        "price": format(fill.price, "f"),
        "qty": quantity_text(quantity, instrument.step_size),
        "realizedPnl": money_text(fill.realized_profit),
        "marginAsset": fill.margin_asset,
        "quoteQty": format(quantity * fill.price, "f"),
        "baseQty": "0",
        "commission": money_text(fill.commission),
        "commissionAsset": fill.commission_asset,
        "pair": fill.symbol.partition("_")[0],
        "time": epoch_ms(fill.time),
        "positionSide": fill.position_side,
        "buyer": fill.quantity > 0,
        "maker": fill.maker,
    }
