"""Many accounts at once. How fast they are committed, the benchmarks tell: it depends on the machine."""

from datetime import UTC, datetime

import pytest

from recorder.simulator.exchange import Simulator
from tests.service.rows import as_recorded
from tests.service.running import Start, quiet, trade
from tests.service.tables import Tables


@pytest.mark.parametrize("scenario", [pytest.param(quiet(50, positions=20), id="50x20")])
async def test_fifty_accounts_of_twenty_positions_are_recorded_at_every_slot_with_every_close(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    accounts = exchange.world.accounts
    *_, last = accounts
    async with recorder(every="2s", timeout="1900ms", weight_budget=50_000):
        await tables.first(last, "ok")
        closed = {name: account.open_positions()[0] for name, account in accounts.items()}
        for name, held in closed.items():
            trade(exchange, name, held, -held.amount)
        second = await tables.first(last, "ok", after=datetime.now(UTC))  # everybody is asked after the closes
        await tables.until(lambda rows: sum(row.time == second.time for row in rows) == len(accounts))
    for name, held in closed.items():
        rows = await tables.snapshots(name)
        assert all(row.ok for row in rows)
        assert {row.position_count for row in rows if row.time >= second.time} == {19}
        seen = next(row.time for row in rows if row.position_count == 19)
        (close,) = await tables.inferred(name)
        assert (close.symbol, close.position_side, close.update_time) == (held.symbol, held.position_side, seen)
        assert [await tables.samples(name, row.time) for row in rows] == [
            as_recorded(answer.rows or ()) for answer in exchange.traffic.answers_of(name)
        ]
