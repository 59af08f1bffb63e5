"""What an account's owner does with margin: move it, change the leverage, change the margin type."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from recorder.simulator.account import Account
from recorder.simulator.books.happening import AccountChange, LeverageChange
from recorder.simulator.position import PositionKey


def move_margin(account: Account, key: PositionKey, amount: Decimal, *, time: datetime) -> None:
    """Put *amount* more of the cross wallet aside for an isolated position, or take it back when it is negative.

    Raises:
        ValueError: There is no such position, or it does not have that much.
    """
    position = account.position(*key)
    if not (position.isolated and position.amount) or position.isolated_wallet + amount < 0:
        raise ValueError(f"{position.symbol} {position.position_side} has no isolated margin of {-amount}")
    position = position.with_margin(amount, time)
    account.hold(position)
    asset = account.instrument(position.symbol).margin_asset
    account.announce_change("MARGIN_TRANSFER", [asset], time=time, positions=[position])


def set_leverage(account: Account, symbol: str, leverage: int, *, time: datetime) -> None:
    """Change the leverage of a symbol. What an isolated position has put aside stays as it is."""
    account.leverage[symbol] = leverage
    account.announce(LeverageChange(time=time, symbol=symbol, leverage=leverage))


def set_isolated(account: Account, symbol: str, *, isolated: bool, time: datetime) -> None:
    """Change the margin type of a symbol. The stream tells of its flat rows.

    Raises:
        ValueError: Something is held, or there are open orders.
    """
    if any(position.symbol == symbol for position, _ in account.rows()):
        raise ValueError(f"{symbol} is not flat: its margin type cannot change")
    (account.isolated.add if isolated else account.isolated.discard)(symbol)
    positions = tuple(
        replace(account.position(symbol, side), isolated=isolated, update_time=time) for side in account.sides
    )
    for position in positions:
        account.hold(position)
    account.announce(AccountChange(time=time, reason="MARGIN_TYPE_CHANGE", positions=positions))
