"""Whatever an account does, its books balance to the last digit: in SQL, and against the account itself."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.postgres.money_story import Story, at, rows

pytestmark = pytest.mark.every_postgres

HELD = [("BTCUSDT", "BOTH"), ("ETHUSDT", "LONG"), ("ETHUSDT", "SHORT")]
STEP = 0.25  # minutes between two things that happen
REALIZED = ["WELCOME_BONUS", "INSURANCE_CLEAR", "A_TYPE_OF_NEXT_YEAR"]
WALLET = {"USDT": Decimal(1000), "BNB": Decimal(5)}

NOTHING = [Decimal(0)] * 5
EQUITY = """
    SELECT time, asset, wallet_balance, unrealized_profit, net_transfers, net_profit
    FROM bi.account_equity WHERE equity IS NOT NULL ORDER BY time, asset
"""
CURVE = """
    SELECT time, asset, sum(unrealized_profit), sum(realized_profit), sum(commission), sum(funding), sum(net_profit)
    FROM bi.pnl_curve GROUP BY time, asset
"""
SERIES = "SELECT * FROM bi.pnl_series('main', NULL, :since, :until, '15 s')"
DAYS = "SELECT asset, sum(net_profit) FROM bi.pnl_daily GROUP BY asset"
LIVES = "SELECT symbol, sum(realized_profit) FROM bi.position_episode GROUP BY symbol"

_AMOUNTS = st.decimals(-9, 9, places=4).filter(bool)
_TRADES = st.tuples(
    st.just("trade"),
    st.sampled_from(HELD),
    st.decimals(-3, 3, places=3).filter(bool),
    st.decimals(90, 110, places=2),
    st.sampled_from(["USDT", "BNB"]),
)
_LINES = st.tuples(
    st.just("line"),
    st.sampled_from([*REALIZED, "FUNDING_FEE", "COMMISSION_REBATE", "TRANSFER"]),
    st.sampled_from(["USDT", "BNB"]),
    st.sampled_from(["", "BTCUSDT", "ETHUSDT"]),
    _AMOUNTS,
)
_SLOTS = st.tuples(st.just("slot"), st.sampled_from(["ok", "ok", "timeout"]), st.decimals(90, 110, places=2))
_BARE_SLOTS = st.tuples(st.just("bare_slot"), st.decimals(90, 110, places=2))


class Trader:
    """An account that keeps its own books, by other means than the views."""

    def __init__(self) -> None:
        self.story = Story()
        self.wallet = dict(WALLET)
        self.transfers: dict[str, Decimal] = defaultdict(Decimal)
        self.realized: dict[str, Decimal] = defaultdict(Decimal)
        self.equity: dict[tuple[float, str], tuple[Decimal, Decimal, Decimal]] = {}
        self._amount: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self._entry: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self._minute = 0.0
        self._trades = 0
        self.slot("ok", Decimal(100))

    def trade(self, key: tuple[str, str], quantity: Decimal, price: Decimal, fee_asset: str) -> None:
        symbol, side = key
        held = self._amount[key]
        signed = quantity
        if side != "BOTH" and (held + signed) * (1 if side == "LONG" else -1) < 0:
            signed = -signed  # a side of hedge mode never crosses zero
        closed = min(abs(held), abs(signed)) if held * signed < 0 else Decimal(0)
        profit = closed * (price - self._entry[key]) * (1 if held > 0 else -1)
        self._amount[key] = held + signed
        if not self._amount[key]:
            self._entry[key] = Decimal(0)
        elif not held or self._amount[key] * held < 0:
            self._entry[key] = price
        fee = Decimal("-0.0003") if fee_asset == "BNB" else -abs(signed) * price / 1000
        self._trades += 1
        self._minute += STEP
        self.story.change(self._minute, symbol, side, str(self._amount[key]), str(self._entry[key]))
        self.story.fill(
            self._minute,
            self._trades,
            symbol,
            side,
            str(signed),
            str(price),
            realized=str(profit),
            commission=str(fee),
            commission_asset=fee_asset,
        )
        self.wallet["USDT"] += profit
        self.wallet[fee_asset] += fee
        self.realized[symbol] += profit

    def line(self, kind: str, asset: str, symbol: str, amount: Decimal) -> None:
        self._minute += STEP
        self.story.income(self._minute, kind, str(amount), asset, "" if kind == "TRANSFER" else symbol)
        self.wallet[asset] += amount
        if kind == "TRANSFER":
            self.transfers[asset] += amount
        if kind in REALIZED and asset == "USDT" and self._amount.get((symbol, "BOTH")):
            self.realized[symbol] += amount

    def slot(self, outcome: str, mark: Decimal, *, balances: bool = True) -> None:
        self._minute += STEP
        profits = {key: amount * (mark - self._entry[key]) for key, amount in self._amount.items() if amount}
        held = [(*key, str(self._amount[key]), str(profit)) for key, profit in profits.items()]
        wallet = {asset: str(amount) for asset, amount in self.wallet.items() if amount}
        self.story.slot(
            self._minute, *(held if outcome == "ok" else ()), outcome=outcome, wallet=wallet if balances else None
        )
        if outcome == "ok" and balances:
            unrealized = {"USDT": sum(profits.values(), Decimal(0)), "BNB": Decimal(0)}
            for asset, amount in self.wallet.items():
                self.equity[self._minute, asset] = amount, unrealized[asset], self.transfers[asset]

    def bare_slot(self, mark: Decimal) -> None:
        self.slot("ok", mark, balances=False)


_PAID_IN_BNB = ("trade", ("ETHUSDT", "SHORT"), Decimal("0.001"), Decimal("90.00"), "BNB")


@example(actions=[_PAID_IN_BNB, _PAID_IN_BNB])
@given(actions=st.lists(st.one_of(_TRADES, _TRADES, _LINES, _SLOTS, _BARE_SLOTS), max_size=40))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_books_balance_to_the_last_digit(engine: AsyncEngine, actions: list[tuple[Any, ...]]) -> None:
    trader = Trader()
    for name, *details in actions:
        getattr(trader, name)(*details)
    trader.slot("ok", Decimal(101))
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE recorder.account, recorder.sample, recorder.balance CASCADE"))
    await trader.story.write(engine)

    equity = await rows(engine, EQUITY)
    assert [row[:5] for row in equity] == [
        (at(minute), asset, *amounts) for (minute, asset), amounts in sorted(trader.equity.items())
    ]
    earned = {(time, asset): amounts for time, asset, *amounts in await rows(engine, CURVE)}
    for time, asset, _, _, _, net_profit in equity:
        unrealized, realized, commission, funding, net = earned.get((time, asset), NOTHING)
        assert net_profit == net == unrealized + realized + commission + funding
    series = {(time, asset): amounts for time, asset, *amounts in await rows(engine, SERIES, since=at(0), until=at(60))}
    # An asset in which nothing was earned before has no row of its own there.
    assert {place: series.get(place, NOTHING) for place in earned} == earned

    days = dict(await rows(engine, DAYS))
    for asset, amount in trader.wallet.items():
        assert days.get(asset, 0) == amount - WALLET[asset] - trader.transfers[asset]
    assert dict(await rows(engine, LIVES)) == trader.realized
