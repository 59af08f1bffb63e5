"""Thirty days in which everything happens that can be in the books: recorded, they balance to the last digit in SQL."""

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.binance.balances import decode_balances
from recorder.binance.ledger import decode_fills, decode_income
from recorder.binance.messages import decode_positions
from recorder.domain.snapshot import Kind, Outcome, Snapshot
from recorder.postgres.accounts import account_ids
from recorder.postgres.ledgers import Interval, Ledger, mark_complete, traded_symbols, write_fills, write_income
from recorder.postgres.partitions import prepare_partitions
from recorder.postgres.verification.audit import audit
from recorder.recording import write
from recorder.simulator.account import Account
from recorder.simulator.scenario import LEDGER
from recorder.simulator.world import World

START = datetime(2026, 3, 1, tzinfo=UTC)
HOURS = 30 * 24
AN_HOUR = timedelta(hours=1)
AFTERWARDS = timedelta(seconds=10)
"""A snapshot is taken when the funding of its full hour is booked, which carries the hour's time."""

WALLETS = """
    SELECT e.account, e.asset,
           (array_agg(e.wallet_balance ORDER BY e.time))[1], (array_agg(e.wallet_balance ORDER BY e.time DESC))[1],
           (SELECT coalesce(sum(i.income), 0) FROM bi.income i
            WHERE i.account = e.account AND i.asset = e.asset AND i.time > :first AND i.time <= :last)
    FROM bi.account_equity e GROUP BY e.account, e.asset
"""
WRONG_EQUITY = "SELECT count(*) FROM bi.account_equity WHERE equity <> wallet_balance + unrealized_profit"
PROFITS = """
    SELECT e.account, e.asset, e.net_profit, e.equity, e.unrealized_profit, e.net_transfers,
           c.realized_profit, c.commission, c.funding
    FROM bi.account_equity e
    JOIN (
      SELECT account, asset, time,
             sum(realized_profit) AS realized_profit, sum(commission) AS commission, sum(funding) AS funding
      FROM bi.pnl_curve GROUP BY account, asset, time
    ) AS c USING (account, asset, time)
    WHERE e.time = :time ORDER BY e.account, e.asset
"""
FIRST = "SELECT account, asset, equity, unrealized_profit FROM bi.account_equity WHERE time = :time"


def snapshots(world: World, hour: int) -> Iterator[Snapshot]:
    for name, account in world.accounts.items():
        positions = json.loads(world.answer_positions(account, 1))["result"]
        balances = json.loads(world.answer_balance(account, 1))["result"]
        yield Snapshot(
            account=name,
            time=START + timedelta(hours=hour),
            kind=Kind.SLOT,
            taken_at=world.now,
            positions=decode_positions(json.dumps(positions)),
            balance_outcome=Outcome.OK,
            balances=decode_balances(json.dumps(balances)),
        )


async def write_ledgers(engine: AsyncEngine, account: Account, world: World) -> None:
    async with engine.begin() as connection:
        account_id = (await account_ids(connection, [account.name]))[account.name]
        await write_fills(
            connection, account_id, decode_fills(world.answer_trades(account).encode()), told_at=world.now
        )
        await write_income(
            connection, account_id, decode_income(world.answer_income(account).encode()), told_at=world.now
        )


@pytest.fixture
async def month(engine: AsyncEngine) -> World:
    world = LEDGER.world(seed=1, start=START)
    for hour in range(HOURS + 1):
        world.advance(START + timedelta(hours=hour) + AFTERWARDS)
        await write(engine, list(snapshots(world, hour)))
    for account in world.accounts.values():
        await write_ledgers(engine, account, world)
    return world


async def assert_audit_agrees(engine: AsyncEngine, month: World) -> None:
    await prepare_partitions(engine, START, month.now)
    async with engine.begin() as connection:
        for account_id in (await account_ids(connection, month.accounts)).values():
            symbols = await traded_symbols(connection, account_id)
            for ledger in (Ledger("income"), *(Ledger("fill", symbol) for symbol in symbols)):
                await mark_complete(connection, account_id, ledger, Interval(START - AN_HOUR, month.now + AN_HOUR))
    results = {each.check.name: each for each in await audit(engine)}

    assert {name: each.answer.examples for name, each in results.items() if each.is_violated} == {}
    wallets = sum(len(account.wallets) for account in month.accounts.values())
    assert results["profit"].answer.checked == wallets
    assert results["books"].answer.checked > HOURS * wallets * 0.8
    assert results["fills"].answer.checked > HOURS
    assert results["history"].answer.checked > HOURS * len(month.accounts)


async def test_the_books_of_thirty_days_balance_to_the_last_digit_and_the_audit_proves_it(
    engine: AsyncEngine, month: World
) -> None:
    last = START + timedelta(hours=HOURS)
    async with engine.connect() as connection:
        given = {"first": START + AFTERWARDS, "last": last + AFTERWARDS}
        wallets = (await connection.execute(text(WALLETS), given)).all()
        wrong = (await connection.execute(text(WRONG_EQUITY))).scalar_one()
        profits = (await connection.execute(text(PROFITS), {"time": last})).all()
        began = {row[:2]: row[2:] for row in await connection.execute(text(FIRST), {"time": START})}

    truth = {(name, asset): amount for name, each in month.accounts.items() for asset, amount in each.wallets.items()}
    assert {(account, asset): now for account, asset, _, now, _ in wallets} == truth
    assert all(now == first + booked for _, _, first, now, booked in wallets)
    assert not wrong
    booked: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    assert {row[:2] for row in profits} >= {(name, "USDT") for name in month.accounts} | {("bnb", "BNB")}
    for account, asset, net_profit, equity, unrealized, transfers, realized, commission, funding in profits:
        first_equity, first_unrealized = began[account, asset]
        booked[account, asset] = realized + commission + funding
        assert booked[account, asset] == (equity - first_equity) - transfers - (unrealized - first_unrealized)
        assert net_profit == equity - first_equity - transfers
    assert all(booked.values())
    await assert_audit_agrees(engine, month)
