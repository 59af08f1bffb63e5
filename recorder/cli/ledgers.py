"""A back-fill of the ledgers, with a bar that shows how far it is."""

import sys
from datetime import datetime, timedelta

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from recorder.access import credentials, open_client
from recorder.cli.output import lines, stderr
from recorder.config.settings import Settings
from recorder.exceptions import ConfigurationError
from recorder.postgres.database import open_database, require_schema
from recorder.postgres.ledgers import Ledger
from recorder.watching.backfill import Backfill, Reached

_SECOND = timedelta(seconds=1)


async def backfill_accounts(settings: Settings, account: str | None, since: datetime | None) -> None:
    """Bring the ledgers of *account*, or of every account, up to date. Raises ``RecorderError``."""
    chosen = [each for each in credentials(settings) if account in (None, each.account)]
    if not chosen:
        names = ", ".join(each.name for each in settings.accounts)
        raise ConfigurationError(f"there is no account {account!r}", why=f"configured are: {names}")
    bars: dict[tuple[str, Ledger], TaskID] = {}
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[reached]}"),
        TimeRemainingColumn(),
        console=stderr(),
        disable=not sys.stderr.isatty(),
    ) as progress:

        def tell(reached: Reached) -> None:
            key = reached.account, reached.ledger
            missing = reached.missing
            if key not in bars:
                name = f"{reached.account}: {reached.ledger.kind} {reached.ledger.symbol}".rstrip()
                bars[key] = progress.add_task(name, total=(missing.until - missing.since) // _SECOND, reached="")
            progress.update(
                bars[key], completed=(reached.at - missing.since) // _SECOND, reached=f"{reached.at:%Y-%m-%d}"
            )

        async with open_database(settings.database_url, settings.data_dir) as engine, open_client(settings) as client:
            await require_schema(engine)
            backfill = Backfill(engine, client.rest, tell)
            for each in chosen:
                await backfill.run(each, since)
    lines([f"The ledgers of {', '.join(each.account for each in chosen)} are complete."])
