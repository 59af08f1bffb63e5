"""Episodes: the lives of positions, from flat to flat. A flip through zero ends one and begins the next."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from recorder.simulator.books.fill import Fill
from recorder.simulator.books.income import Income
from recorder.simulator.position import ZERO, PositionKey, PositionSide, money


@dataclass(slots=True, kw_only=True)
class Episode:
    """One life. Money is signed as profit: commission and funding are negative when paid.

    Attributes:
        closed_at: ``None`` while it lasts.
        max_amount: The amount farthest from zero, signed.
        commission: Per asset. That of a fill which flips is shared out by quantity, cut to 8 decimals for the one that
            ends and the rest for the one that begins.
        funding: In the margin asset, of the full hours at which something was held.
    """

    symbol: str
    position_side: PositionSide
    opened_at: datetime
    closed_at: datetime | None = None
    max_amount: Decimal = ZERO
    realized_profit: Decimal = ZERO
    commission: dict[str, Decimal] = field(default_factory=dict)
    funding: Decimal = ZERO

    def pay(self, asset: str, commission: Decimal) -> None:
        self.commission[asset] = self.commission.get(asset, ZERO) - commission

    def reach(self, amount: Decimal) -> None:
        self.max_amount = max(self.max_amount, amount, key=abs)


def episodes_of(fills: Iterable[Fill], incomes: Iterable[Income]) -> list[Episode]:
    """Return the episodes that *fills*, in the order of time, make; in the order of opening."""
    episodes: list[Episode] = []
    open_: dict[PositionKey, tuple[Episode, Decimal]] = {}
    for fill in fills:
        key = fill.symbol, fill.position_side
        episode, held = open_.pop(key, (None, ZERO))
        amount = held + fill.quantity
        opening_share = fill.commission
        if episode is not None:
            opening_share = ZERO
            if held * amount < 0:
                closing_share = money(fill.commission * abs(held) / abs(fill.quantity))
                opening_share = fill.commission - closing_share
            episode.realized_profit += fill.realized_profit
            episode.pay(fill.commission_asset, fill.commission - opening_share)
            if held * amount <= 0:
                episode.closed_at = fill.time
                episode = None
        if amount and episode is None:
            episode = Episode(symbol=fill.symbol, position_side=fill.position_side, opened_at=fill.time)
            episodes.append(episode)
            episode.pay(fill.commission_asset, opening_share)
        if amount and episode is not None:
            episode.reach(amount)
            open_[key] = episode, amount
    _add_funding(episodes, incomes)
    return episodes


def _add_funding(episodes: Iterable[Episode], incomes: Iterable[Income]) -> None:
    lives: dict[tuple[str, PositionSide | None], list[Episode]] = {}
    for episode in episodes:
        lives.setdefault((episode.symbol, episode.position_side), []).append(episode)
    for income in incomes:
        if income.type == "FUNDING_FEE":
            for episode in lives.get((income.symbol, income.position_side), []):
                if episode.opened_at <= income.time and (episode.closed_at is None or income.time < episode.closed_at):
                    episode.funding += income.amount
