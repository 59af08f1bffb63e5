"""Two services on the same accounts and database."""

from pathlib import Path

from recorder.simulator.exchange import Simulator
from tests.service.rows import as_recorded
from tests.service.running import Start, next_slot, trade
from tests.service.tables import Tables


async def test_two_services_leave_the_tables_that_one_would_leave(
    recorder: Start, exchange: Simulator, tables: Tables, tmp_path: Path
) -> None:
    held, kept, closed = exchange.world.accounts["main"].open_positions()
    await next_slot()
    async with recorder(folder=tmp_path / "one") as one, recorder(folder=tmp_path / "other") as other:
        first = await tables.first("hedge", "ok")
        more = trade(exchange, "main", held, held.amount)
        trade(exchange, "main", closed, -closed.amount)
        second = await tables.first("main", "ok", after=first.time)
        await tables.first("hedge", "ok", after=second.time)
        assert one.alive
        assert other.alive
    for account in ("main", "hedge"):
        answers = [as_recorded(answer.rows or ()) for answer in exchange.traffic.answers_of(account)]
        rows = await tables.snapshots(account)
        assert len(answers) > len(rows)
        assert all(row.ok for row in rows)
        assert len({row.time for row in rows}) == len(rows)
        for row in rows:
            assert await tables.samples(account, row.time) in answers
    assert await tables.gaps() == []
    history = {(row.symbol, row.update_time, row.position_amt, row.source) for row in await tables.history("main")}
    assert history == {
        *((each.symbol, each.update_time, each.amount, "snapshot") for each in (held, more, kept, closed)),
        (closed.symbol, second.time, 0, "inferred"),
    }
    assert len(await tables.history("hedge")) == 3
