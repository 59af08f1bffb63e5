"""A story of one account's money, told in minutes from noon and written into the tables as the recorder would."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Table, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.postgres import tables

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANSWER = timedelta(milliseconds=200)  # from the due time of a slot to the moment its answer is true

Held = tuple[str, str, str, str]
"""Symbol, side, amount and unrealised profit of one position of a snapshot."""


def at(minute: float) -> datetime:
    return NOON + timedelta(minutes=minute)


def money(*texts: str | None) -> tuple[Decimal | None, ...]:
    return tuple(None if each is None else Decimal(each) for each in texts)


class Story:
    """What the exchange did with an account; ``write`` puts it into the database."""

    def __init__(self, account: str = "main", margin_asset: str = "USDT") -> None:
        self._account = account
        self._margin_asset = margin_asset
        self._rows: list[tuple[Table, dict[str, Any]]] = []
        self._lines = 0

    def slot(self, minute: float, *held: Held, wallet: Mapping[str, str] | None = None, outcome: str = "ok") -> None:
        """A snapshot; with *wallet* one that has balances, where an asset that is left out has none."""
        time = at(minute)
        self._add(
            tables.snapshot,
            time=time,
            kind="slot",
            taken_at=time + ANSWER,
            outcome=outcome,
            position_count=len(held),
            duration_ms=100,
            balance_outcome=None if wallet is None else "ok",
        )
        for symbol, side, amount, profit in held:
            self._add(
                tables.sample,
                time=time,
                update_time=NOON,
                symbol=symbol,
                position_side=side,
                position_amt=Decimal(amount),
                entry_price=Decimal(100),
                mark_price=Decimal(100),
                unrealized_profit=Decimal(profit),
                margin_asset=self._margin_asset,
            )
        for asset, balance in (wallet or {}).items():
            self._add(
                tables.balance,
                time=time,
                asset=asset,
                update_time=time,
                wallet_balance=Decimal(balance),
                cross_wallet_balance=Decimal(balance),
                cross_unrealized_profit=Decimal(0),
            )

    def change(self, minute: float, symbol: str, side: str, amount: str, entry: str = "100", /, **fields: Any) -> None:
        time = at(minute)
        self._add(
            tables.change,
            symbol=symbol,
            position_side=side,
            update_time=time,
            position_amt=Decimal(amount),
            entry_price=Decimal(entry),
            **{
                "dated_by_exchange": True,
                "source": "stream",
                "observed_at": time,
                "margin_asset": self._margin_asset,
            }
            | fields,
        )

    def fill(  # noqa: PLR0917 - a table of fills reads best without names
        self,
        minute: float,
        trade_id: int,
        symbol: str,
        side: str,
        quantity: str,
        price: str,
        *,
        realized: str = "0",
        commission: str = "0",
        commission_asset: str | None = None,
        booked: bool = True,
    ) -> None:
        """A fill; a positive *quantity* is bought. With the lines of the ledger that it brings, when *booked*."""
        asset = commission_asset or self._margin_asset
        self._add(
            tables.fill,
            symbol=symbol,
            trade_id=trade_id,
            order_id=trade_id,
            time=at(minute),
            position_side=side,
            side="BUY" if Decimal(quantity) > 0 else "SELL",
            price=Decimal(price),
            quantity=abs(Decimal(quantity)),
            realized_profit=Decimal(realized),
            commission=Decimal(commission),
            commission_asset=asset,
            maker=False,
            source="stream",
        )
        if booked and Decimal(realized):
            self.income(minute, "REALIZED_PNL", realized, symbol=symbol, trade_id=trade_id, tran_id=trade_id)
        if booked and Decimal(commission):
            self.income(minute, "COMMISSION", commission, asset, symbol, trade_id=trade_id, tran_id=trade_id)

    def income(
        self,
        minute: float,
        income_type: str,
        income: str,
        asset: str | None = None,
        symbol: str = "",
        *,
        trade_id: int | None = None,
        tran_id: int | None = None,
    ) -> None:
        self._lines += 1
        self._add(
            tables.income,
            income_type=income_type,
            tran_id=8_000_000_000_000_000_000 + self._lines if tran_id is None else tran_id,
            asset=asset or self._margin_asset,
            symbol=symbol,
            time=at(minute),
            income=Decimal(income),
            trade_id=trade_id,
        )

    async def write(self, engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            await connection.execute(insert(tables.account).values(name=self._account))
            account = select(tables.account.c.id).where(tables.account.c.name == self._account)
            number = await connection.scalar(account)
            for table, row in self._rows:
                await connection.execute(insert(table).values(account_id=number, **row))

    def _add(self, table: Table, **row: Any) -> None:
        self._rows.append((table, row))


async def rows(engine: AsyncEngine, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
    async with engine.connect() as connection:
        return [tuple(each) for each in await connection.execute(text(sql), parameters)]
