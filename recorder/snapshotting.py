"""Snapshotting by hand: every account once, now, and no service."""

import asyncio
from functools import partial

from recorder.access import MEASURING, credentials, know_the_time, open_client
from recorder.config.settings import Settings
from recorder.domain.snapshot import Kind, Snapshot
from recorder.postgres.database import open_database, require_schema
from recorder.postgres.partitions import AHEAD, prepare_partitions_if_possible
from recorder.process.clock import Clock
from recorder.recording import write
from recorder.watching.asking import take_snapshot


async def snapshot_once(settings: Settings, account: str | None) -> list[Snapshot]:
    """Take one snapshot of *account*, or of each account, commit it, and return what came of it."""
    chosen = [each for each in credentials(settings) if account in (None, each.account)]
    clock = Clock()
    async with (
        open_database(settings.database_url, settings.data_dir) as engine,
        open_client(settings, clock.measured) as client,
    ):
        await require_schema(engine)
        await know_the_time(client, MEASURING)
        now = clock.now()
        await prepare_partitions_if_possible(engine, now, now + AHEAD)
        timeout = settings.snapshot.timeout
        snapshots = await asyncio.gather(
            *(
                take_snapshot(each.account, now, Kind.MANUAL, partial(client.positions, each, timeout), now=clock.now)
                for each in chosen
            )
        )
        await write(engine, snapshots)
    return snapshots
