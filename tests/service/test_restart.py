"""Time in which the service was not running."""

from datetime import timedelta

import pytest

from tests.service.running import Start, sleep_until
from tests.service.tables import EVERY, Gap, Tables


@pytest.mark.parametrize("into_the_slot", [0.3, 0.9], ids=["in time for a slot", "between slots"])
async def test_a_stop_of_several_slots_is_one_gap_per_account_from_the_last_snapshot_to_the_first_one_after(
    recorder: Start, tables: Tables, into_the_slot: float
) -> None:
    async with recorder() as first:
        await tables.first("hedge", "ok")
    before = (await tables.snapshots())[-1].time
    await sleep_until(before + 2 * EVERY + timedelta(seconds=into_the_slot))
    async with recorder() as second:
        await tables.first("hedge", "ok", after=before)
    after = {name: await tables.times(name, after=before) for name in first.accounts}
    assert await tables.gaps() == [
        Gap(account=name, started_at=before, ended_at=after[name][0], reason="stopped") for name in ("hedge", "main")
    ]
    await tables.assert_every_slot_is_answered(first.accounts, first.started_at, second.stopped_at - EVERY / 5)


async def test_a_restart_that_misses_no_slot_leaves_no_gap(recorder: Start, tables: Tables) -> None:
    every = 3 * EVERY  # so long that a busy machine stops and starts in time
    async with recorder(every="3s", timeout="2900ms") as first:
        await tables.first("hedge", "ok")
    async with recorder(every="3s", timeout="2900ms") as second:
        await tables.first("hedge", "ok", after=second.started_at)
    assert await tables.gaps() == []
    await tables.assert_every_slot_is_answered(first.accounts, first.started_at, second.stopped_at - EVERY / 5, every)
