"""The world behind the exchange: one market, the accounts that trade in it, and a time that only goes forward."""

from collections.abc import Iterable
from datetime import datetime
from heapq import heapify, heapreplace

from recorder.simulator.account import Account
from recorder.simulator.frames import Answer, array_text, json_text, rate_limits_text
from recorder.simulator.market import Market
from recorder.simulator.rows import position_rows
from recorder.simulator.trader import Trader

WEIGHT_LIMIT = 2400
"""Per minute and address."""


class World:
    """Accounts and prices in virtual time.

    The same market, traders and span of time give the same trades and prices, in however many steps the span is gone
    through.

    Attributes:
        accounts: By name.
        now: The moment the world has reached.
    """

    def __init__(self, market: Market, accounts: Iterable[Account], start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError(f"start {start} has no time zone")
        self.market = market
        self.accounts = {account.name: account for account in accounts}
        self.now = start
        self._by_key = {account.key.api_key: account for account in self.accounts.values()}
        self._agenda: list[tuple[datetime, int, Trader]] = []

    def let_trade(self, traders: Iterable[Trader]) -> None:
        """Put traders to work from now on; accounts without one change only by the caller's hand."""
        for trader in traders:
            self._agenda.append((self.now + trader.pause(), len(self._agenda), trader))
        heapify(self._agenda)

    def advance(self, to: datetime) -> None:
        """Let everything happen that happens until *to*; a moment that has passed already changes nothing."""
        while self._agenda and self._agenda[0][0] <= to:
            moment, place, trader = self._agenda[0]
            trader.act(moment)
            heapreplace(self._agenda, (moment + trader.pause(), place, trader))
        self.now = max(self.now, to)

    def account(self, api_key: str) -> Account | None:
        return self._by_key.get(api_key)

    def position_rows(self, account: Account, symbol: str | None = None) -> tuple[str, ...]:
        """Return the JSON texts of the account's rows at this moment; *symbol* leaves others out."""
        return tuple(json_text(row) for row in position_rows(account, self.market, self.now, symbol))

    def answer_positions(self, account: Account, request_id: str | int) -> str:
        """Return the frame that answers ``v2/account.position`` at this moment, for recording without sockets."""
        rows = self.position_rows(account)
        return Answer(
            request_id=json_text(request_id),
            status=200,
            body=array_text(rows),
            rate_limits=rate_limits_text(WEIGHT_LIMIT, 5),
            rows=rows,
        ).text()
