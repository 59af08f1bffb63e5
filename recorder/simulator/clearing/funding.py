"""Funding: what holders of perpetual contracts pay each other every eight hours."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from recorder.simulator.account import Account
from recorder.simulator.market import Market
from recorder.simulator.position import PositionKey, money

PERIOD = timedelta(hours=8)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Funding:
    """Charges one account. What is due at a full hour is booked some seconds later, and its line carries the hour."""

    def __init__(self, account: Account, market: Market, delay: timedelta) -> None:
        if not timedelta(0) < delay < PERIOD:
            raise ValueError(f"funding cannot be booked {delay} after it is due")
        self._account = account
        self._market = market
        self._delay = delay
        self._due: tuple[datetime, list[tuple[PositionKey, Decimal]]] | None = None

    def next(self, after: datetime) -> datetime:
        """Return when to act again: at a full hour, or to book what was due at the last."""
        if self._due is not None:
            return self._due[0] + self._delay
        return _EPOCH + ((after - _EPOCH) // PERIOD + 1) * PERIOD

    def act(self, now: datetime) -> None:
        if self._due is None:
            self._due = now, self._charges(now)
            return
        (due, charges), self._due = self._due, None
        for key, amount in charges:  # all in one millisecond: only their order tells which balance is the last
            self._pay(key, amount, due=due, time=now)

    def _charges(self, now: datetime) -> list[tuple[PositionKey, Decimal]]:
        charges = []
        for position in self._account.open_positions():
            rate = self._market.funding_rate(position.symbol, now)
            amount = -money(position.amount * self._market.mark_price(position.symbol, now) * rate)
            if amount:
                charges.append(((position.symbol, position.position_side), amount))
        return charges

    def _pay(self, key: PositionKey, amount: Decimal, *, due: datetime, time: datetime) -> None:
        account, (symbol, side) = self._account, key
        asset = account.instrument(symbol).margin_asset
        account.ledger.book("FUNDING_FEE", asset, amount, at=time, time=due, symbol=symbol, position_side=side)
        position = account.position(symbol, side)
        changed = []
        if position.isolated and position.amount:
            changed = [position.with_margin(amount, time)]
            account.hold(changed[0])
        account.announce_change("FUNDING_FEE", [asset], time=time, change=amount, positions=changed, symbol=symbol)
