"""Books that do not balance are found, with the interval, and nothing else is blamed."""

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.verification.damage import A_SLOT, MAIN, do, one, places, violated

EARNING_WITHOUT_FUNDING = """
    SELECT replace(pg_get_viewdef('recorder.earning'), ';', '') || ' AND i.income_type <> ''FUNDING_FEE'''
"""


async def test_an_answer_about_balances_without_rows_is_found(month: AsyncConnection) -> None:
    await do(month, f"UPDATE recorder.snapshot SET balance_outcome = 'timeout' WHERE {A_SLOT}")
    found = await violated(month)
    assert list(found) == ["balances"]
    assert places(found["balances"]) == [("main", "31 12:00", None)]


async def test_wallets_that_are_gone_for_one_slot_are_found(month: AsyncConnection) -> None:
    await do(
        month,
        "DELETE FROM recorder.ledger",
        "DELETE FROM recorder.income",
        f"DELETE FROM recorder.balance WHERE {A_SLOT}",
    )
    found = await violated(month)
    assert list(found) == ["balances"]
    assert places(found["balances"]) == [("main", "31 12:00", None)]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE recorder.income SET income = income + 0.00000001 WHERE {line}",
        "DELETE FROM recorder.income WHERE {line}",
        "UPDATE recorder.income SET income_type = 'A_NEW_ONE', income = income + 5 WHERE {line}",
    ],
)
async def test_a_line_of_the_ledger_that_was_tampered_with_unbalances_the_books_where_it_stands(
    month: AsyncConnection, damage: str
) -> None:
    line = f"""
        SELECT account_id, income_type, tran_id, asset, "time" FROM recorder.income
        WHERE account_id = {MAIN} AND income_type = 'FUNDING_FEE' AND "time" > '2026-03-31Z' ORDER BY "time" LIMIT 1"""
    booked = await one(month, line)
    await do(
        month,
        damage.format(
            line=f"(account_id, income_type, tran_id) IN (SELECT account_id, income_type, tran_id FROM ({line}) AS l)"
        ),
    )
    found = await violated(month)
    assert list(found) == ["books", "profit"]
    (step,) = found["books"]
    assert (step.account, step.symbol) == ("main", "USDT")
    assert step.time is not None
    assert 0 <= (step.time - booked.time).total_seconds() < 3600 * 2


async def test_a_wallet_that_was_tampered_with_unbalances_the_books_before_and_after(month: AsyncConnection) -> None:
    await do(
        month, f"UPDATE recorder.balance SET wallet_balance = wallet_balance + 1 WHERE {A_SLOT} AND asset = 'USDC'"
    )
    found = await violated(month)
    assert list(found) == ["books"]
    assert places(found["books"]) == [("main", "31 12:00", "USDC"), ("main", "31 12:30", "USDC")]


async def test_profit_that_the_views_do_not_count_is_found(month: AsyncConnection) -> None:
    (definition,) = await one(month, EARNING_WITHOUT_FUNDING)
    await do(month, f"CREATE OR REPLACE VIEW recorder.earning AS {definition}")
    found = await violated(month)
    assert list(found) == ["profit"]
    assert {each.symbol for each in found["profit"]} == {"USDT", "USDC"}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE recorder.fill f SET realized_profit = realized_profit + 0.01",
        "UPDATE recorder.fill f SET commission = commission * 2",
        "UPDATE recorder.fill f SET commission_asset = 'USDC'",
        "DELETE FROM recorder.fill f",
    ],
)
async def test_a_fill_that_the_ledger_does_not_know_so_is_found(month: AsyncConnection, damage: str) -> None:
    which = """
        SELECT f.* FROM recorder.fill f JOIN recorder.account a ON a.id = f.account_id AND a.name = 'bnb'
        WHERE f."time" > '2026-03-31Z' AND f.commission_asset = 'BNB' ORDER BY f."time", f.trade_id LIMIT 1"""
    fill = await one(month, which)
    await do(
        month,
        f"{damage} WHERE (account_id, symbol, trade_id) IN (SELECT account_id, symbol, trade_id FROM ({which}) AS w)",
    )
    found = await violated(month)
    assert list(found) == ["fills"]
    assert (found["fills"][0].account, found["fills"][0].symbol) == ("bnb", fill.symbol)
    assert f"trade {fill.trade_id}" in found["fills"][0].what
