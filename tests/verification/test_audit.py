"""The audit as a whole: everything is checked, and only what was asked for."""

from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.postgres.verification.audit import CHECKS, audit_in
from tests.verification.damage import HELD_ON, MAIN, do, one, violated


async def test_what_the_recorder_wrote_breaks_no_promise_and_every_check_had_something_to_check(
    month: AsyncConnection,
) -> None:
    results = await audit_in(month)

    assert {each.check.name: each.answer.examples for each in results if each.is_violated} == {}
    without_gaps = {"gaps", "open gaps", "repairs"}
    assert {each.check.name for each in results if not each.answer.checked} == without_gaps
    assert [each.check for each in results] == list(CHECKS)


async def test_what_lies_before_since_or_in_another_account_is_not_looked_at(month: AsyncConnection) -> None:
    held = await one(month, HELD_ON)
    await do(
        month,
        f"UPDATE recorder.sample s SET position_amt = p.position_amt + 1 FROM ({HELD_ON}) AS p"
        " WHERE (s.account_id, s.time, s.symbol) = (p.account_id, p.time, p.symbol)",
    )
    assert list(await violated(month, account="main")) == ["history"]
    assert await violated(month, account="hedge") == {}
    assert list(await violated(month, since=held.time)) == ["history"]
    assert await violated(month, since=held.time.replace(microsecond=1)) == {}


async def test_of_many_violations_all_are_counted_and_the_first_are_named(month: AsyncConnection) -> None:
    await do(month, f"DELETE FROM recorder.change WHERE account_id = {MAIN}")
    (history,) = (each for each in await audit_in(month, examples=3) if each.check.name == "history")
    (samples,) = await one(
        month, f"SELECT count(*) FROM recorder.sample WHERE account_id = {MAIN} AND position_amt <> 0"
    )
    assert history.answer.found == samples
    assert [each.time for each in history.answer.examples] == sorted(
        each.time for each in history.answer.examples if each.time
    )
    assert len(history.answer.examples) == 3
