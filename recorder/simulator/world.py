"""The world behind the exchange: one market, the accounts that trade in it, and a time that only goes forward."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from heapq import heapify, heapreplace

from recorder.simulator.account import Account
from recorder.simulator.actor import Actor
from recorder.simulator.balances import balance_rows
from recorder.simulator.events import Event, event_of
from recorder.simulator.frames import Answer, array_text, json_text, rate_limits_text
from recorder.simulator.history import income_row, trade_row
from recorder.simulator.market import Market
from recorder.simulator.rows import position_rows

WEIGHT_LIMIT = 2400
"""Per minute and address."""


class World:
    """Accounts and prices in virtual time.

    The same market, actors and span of time give the same trades and prices, in however many steps the span is gone
    through. What the exchange would send can be had as text, for recording without sockets.

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
        self._agenda: list[tuple[datetime, int, Actor]] = []

    def let_trade(self, actors: Iterable[Actor]) -> None:
        """Put traders, and whoever else acts, to work from now on; without, accounts change by the caller's hand."""
        for actor in actors:
            self._agenda.append((actor.next(self.now), len(self._agenda), actor))
        heapify(self._agenda)

    def advance(self, to: datetime) -> None:
        """Let everything happen that happens until *to*; a moment that has passed already changes nothing."""
        while self._agenda and self._agenda[0][0] <= to:
            moment, place, actor = self._agenda[0]
            actor.act(moment)
            heapreplace(self._agenda, (actor.next(moment), place, actor))
        self.now = max(self.now, to)

    def account(self, api_key: str) -> Account | None:
        return self._by_key.get(api_key)

    def position_rows(self, account: Account, symbol: str | None = None) -> tuple[str, ...]:
        """Return the JSON texts of the account's rows at this moment; *symbol* leaves others out."""
        return tuple(json_text(row) for row in position_rows(account, self.market, self.now, symbol))

    def answer_positions(self, account: Account, request_id: str | int) -> str:
        """Return the frame that answers ``v2/account.position`` at this moment."""
        rows = self.position_rows(account)
        return _frame(request_id, array_text(rows), rows)

    def answer_balance(self, account: Account, request_id: str | int) -> str:
        """Return the frame that answers ``v2/account.balance`` at this moment."""
        return _frame(request_id, json_text(balance_rows(account, self.market, self.now)))

    def answer_income(self, account: Account) -> str:
        """Return all that REST has to say of the account's income, as if a page had no end; in the order of time."""
        return json_text([income_row(income) for income in sorted(account.truth.incomes, key=lambda each: each.time)])

    def answer_trades(self, account: Account, symbol: str | None = None) -> str:
        """Return all that REST has to say of the account's trades; without *symbol* those of all symbols."""
        fills = (fill for fill in account.truth.fills if symbol in {None, fill.symbol})
        return json_text([trade_row(fill, account.instrument(fill.symbol)) for fill in fills])

    def events(self, account: Account, first: int = 0) -> Iterator[Event]:
        """Yield what a stream that loses nothing has carried, from the event of number *first*, in the order sent."""
        for happening in account.truth.happenings[first:]:
            yield event_of(happening, account, self.market)


def _frame(request_id: str | int, body: str, rows: tuple[str, ...] | None = None) -> str:
    rate_limits = rate_limits_text(WEIGHT_LIMIT, 5)
    return Answer(request_id=json_text(request_id), status=200, body=body, rate_limits=rate_limits, rows=rows).text()
