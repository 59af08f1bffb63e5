"""An exchange that begins its ids again, or tells a trade again otherwise, loses nothing of the record."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.postgres.verification.audit import audit
from recorder.simulator.account import Account
from recorder.simulator.alterations import restated
from recorder.simulator.instruments import INSTRUMENTS
from recorder.simulator.keys import hmac_key
from recorder.simulator.knobs import Altered
from recorder.simulator.market import Market
from recorder.simulator.world import World
from tests.money.conftest import At
from tests.money.recorder_at_work import RecorderAtWork

SYMBOL = "SOLUSDT"
FILLS = "SELECT trade_id, order_id, time, quantity, commission FROM bi.fill ORDER BY time"
INCOME = "SELECT income_type, tran_id, time, income FROM bi.income ORDER BY time, income_type"
FEES = "SELECT count(*) = :lines FROM bi.income WHERE income_type = 'COMMISSION'"
TOLD_BY_REST = "SELECT count(*) = :fills AND bool_and(source = 'rest') FROM bi.fill"
BOOKED_UNTIL = "SELECT min(complete_until) > :time FROM recorder.ledger HAVING count(*) > 1"


@pytest.fixture
def world() -> World:
    """One account that does nothing by itself."""
    market = Market(7)
    account = Account(
        "main",
        hmac_key("main"),
        market.instruments,
        wallets={"USDT": Decimal(50_000)},
        leverage=dict.fromkeys((instrument.symbol for instrument in INSTRUMENTS), 5),
    )
    return World(market, [account], datetime.now(UTC) - timedelta(minutes=30))


def ago(minutes: float) -> datetime:
    moment = datetime.now(UTC) - timedelta(minutes=minutes)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


async def is_as_it_was(recorder: RecorderAtWork, account: Account) -> None:
    """Assert that every fill and every line that there ever was is recorded, and nothing else."""
    assert await recorder.rows(FILLS) == [
        (fill.trade_id, fill.order_id, fill.time, abs(fill.quantity), -fill.commission) for fill in account.truth.fills
    ]
    assert await recorder.rows(INCOME) == sorted(
        ((line.type, line.tran_id, line.time, line.amount) for line in account.truth.incomes),
        key=lambda line: (line[2], line[0]),
    )


async def test_trades_of_a_network_that_was_wiped_are_all_recorded_with_their_fees_though_their_ids_are_the_same(
    recorder_at: At, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    account = world.accounts["main"]
    async with recorder_at(world) as recorder, recorder.recording(every="1h", ledger="1s"):
        account.fill(SYMBOL, "BOTH", Decimal(7), Decimal("151.20"), time=ago(0))
        await recorder.until(FEES, lines=1)
        await recorder.until(TOLD_BY_REST, fills=1)
        account.begin_again(time=ago(0))
        account.fill(SYMBOL, "BOTH", Decimal(-2), Decimal("149.80"), time=ago(0))
        await recorder.until("SELECT count(*) = 2 FROM bi.fill")
        await recorder.until(FEES, lines=2)
        await is_as_it_was(recorder, account)
    assert len({fill.trade_id for fill in account.truth.fills}) == 1
    said = [message for message in caplog.messages if "used the ids of 1 line(s)" in message]
    assert {record for record in ("fill", "income") if any(f"of {record} again" in each for each in said)} == {
        "fill",
        "income",
    }


async def test_a_record_with_ids_used_again_and_a_trade_that_is_told_otherwise_is_proved(
    recorder_at: At, world: World, engine: AsyncEngine
) -> None:
    account = world.accounts["main"]
    async with recorder_at(world) as recorder:
        account.fill(SYMBOL, "BOTH", Decimal(7), Decimal("151.20"), time=ago(9))
        account.fill(SYMBOL, "BOTH", Decimal(-7), Decimal("151.90"), time=ago(8))
        async with recorder.recording(every="1s", ledger="1s"):
            await recorder.until(TOLD_BY_REST, fills=2)
            await recorder.until(BOOKED_UNTIL, time=ago(2))
        account.begin_again(time=ago(6))
        account.fill(SYMBOL, "BOTH", Decimal(-3), Decimal("152.50"), time=ago(5))
        account.fill(SYMBOL, "BOTH", Decimal(3), Decimal("150.10"), time=ago(4))
        last = account.truth.fills[-1]
        told_wrongly = Altered(restated({"id": last.trade_id}, commission="0.5", maker=True))
        recorder.exchange.knobs.on_request(told_wrongly, method="GET /fapi/v1/userTrades", times=None)
        async with recorder.recording(every="1s", ledger="1s"):
            await recorder.until(TOLD_BY_REST, fills=4)
            assert await recorder.rows("SELECT record FROM bi.superseded") == []
            recorder.exchange.knobs.clear()
            await recorder.until("SELECT count(*) = 1 FROM bi.superseded")
            await is_as_it_was(recorder, account)
    ((record, time, symbol, commission, maker),) = await recorder.rows(
        "SELECT record, time, symbol, body -> 'commission', body -> 'maker' FROM bi.superseded"
    )
    assert (record, time, symbol, commission, maker) == ("fill", last.time, SYMBOL, -0.5, True)
    results = {each.check.name: each for each in await audit(engine)}
    assert {name: each.answer.examples for name, each in results.items() if each.is_violated} == {}
    assert results["fills"].answer.checked == 4
    assert results["restated"].answer.found == 1
    assert results["reused ids"].answer.found > 2
