"""What opens and closes between two slots is recorded as it was."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from recorder.simulator.account import Account
from recorder.simulator.instruments import INSTRUMENTS
from recorder.simulator.keys import hmac_key
from recorder.simulator.market import Market
from recorder.simulator.world import World
from tests.money.conftest import At

HISTORY = """
    SELECT update_time, position_amt, entry_price, accumulated_realized, reason, source
    FROM bi.position_history WHERE symbol = 'BTCUSDT' ORDER BY update_time
"""
FILLS = """
    SELECT trade_id, time, side, quantity, price, realized_profit, commission, commission_asset, source
    FROM bi.fill ORDER BY trade_id
"""
EPISODES = """
    SELECT opened_at, closed_at, max_position_amt, entry_price, exit_price, realized_profit, commission
    FROM bi.position_episode
"""


@pytest.fixture
def world() -> World:
    """One account that does nothing by itself."""
    market = Market(5)
    account = Account(
        "main",
        hmac_key("main"),
        market.instruments,
        wallets={"USDT": Decimal(100_000)},
        leverage=dict.fromkeys((instrument.symbol for instrument in INSTRUMENTS), 10),
    )
    return World(market, [account], datetime.now(UTC) - timedelta(minutes=1))


async def test_a_position_opened_and_closed_between_two_slots_is_recorded_to_the_last_digit(
    recorder_at: At, world: World
) -> None:
    account = world.accounts["main"]
    async with recorder_at(world) as recorder, recorder.recording(every="1h"):
        now = recorder.exchange.clock.now
        account.fill("BTCUSDT", "BOTH", Decimal("-0.137"), Decimal("60123.40"), time=_millisecond(now()))
        await recorder.until("SELECT count(*) = 1 FROM bi.fill")
        account.fill("BTCUSDT", "BOTH", Decimal("0.137"), Decimal("60001.70"), time=_millisecond(now()))
        await recorder.until("SELECT count(*) = 2 FROM bi.fill")
        history = await recorder.rows(HISTORY)
        fills = await recorder.rows(FILLS)
        episodes = await recorder.rows(EPISODES)
        seen = await recorder.value("SELECT count(*) FROM bi.position_sample")

    assert history == [
        (state.update_time, state.amount, state.entry_price, state.accumulated_realized, "ORDER", "stream")
        for state in account.truth.states
    ]
    assert [amount for _, amount, *_ in history] == [Decimal("-0.137"), 0]
    assert fills == [
        (
            fill.trade_id,
            fill.time,
            "BUY" if fill.quantity > 0 else "SELL",
            abs(fill.quantity),
            fill.price,
            fill.realized_profit,
            -fill.commission,
            fill.commission_asset,
            "stream",
        )
        for fill in account.truth.fills
    ]
    (life,) = account.truth.episodes
    opening, closing = account.truth.fills
    assert episodes == [
        (
            life.opened_at,
            life.closed_at,
            life.max_amount,
            opening.price,
            closing.price,
            life.realized_profit,
            life.commission["USDT"],
        )
    ]
    assert not seen


def _millisecond(time: datetime) -> datetime:
    return time.replace(microsecond=time.microsecond // 1000 * 1000)
