"""What tests do to a recorded database, and what the audit says of it."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.postgres.verification.audit import audit_in
from recorder.postgres.verification.check import Example

MAIN = "(SELECT id FROM recorder.account WHERE name = 'main')"
A_SLOT = f"account_id = {MAIN} AND time = '2026-03-31 12:00Z'"
HELD_ON = f"""
    SELECT p.* FROM recorder.sample p
    JOIN recorder.sample b ON (b.account_id, b.symbol, b.position_side, b.update_time)
      = (p.account_id, p.symbol, p.position_side, p.update_time) AND b.time = p.time - interval '30 minutes'
    JOIN recorder.sample a ON (a.account_id, a.symbol, a.position_side, a.update_time)
      = (p.account_id, p.symbol, p.position_side, p.update_time) AND a.time = p.time + interval '30 minutes'
    WHERE p.account_id = {MAIN} AND p.time > '2026-03-31Z' ORDER BY p.time, p.symbol LIMIT 1
"""
"""A sample in the middle of a position's quiet hour: no change is told by it."""

ITS_CHANGE = f"""
    SELECT c.* FROM recorder.change c JOIN ({HELD_ON}) AS held
      ON (c.account_id, c.symbol, c.position_side, c.update_time)
       = (held.account_id, held.symbol, held.position_side, held.update_time)
"""


async def do(month: AsyncConnection, *statements: str) -> None:
    for statement in statements:
        await month.exec_driver_sql(statement)


async def one(month: AsyncConnection, sql: str) -> Any:
    return (await month.exec_driver_sql(sql)).one()


async def violated(month: AsyncConnection, **given: Any) -> dict[str, tuple[Example, ...]]:
    """Return the checks that are violated, each with its examples."""
    return {each.check.name: each.answer.examples for each in await audit_in(month, **given) if each.is_violated}


def places(examples: tuple[Example, ...]) -> list[tuple[str | None, str | None, str | None]]:
    """Return account, day of the month and minute, and symbol of each."""
    return [(each.account, f"{each.time:%d %H:%M}" if each.time else None, each.symbol) for each in examples]
