"""``recorder run`` and ``recorder snapshot``: asking the exchange."""

import asyncio
import os
from typing import Annotated

import typer

from recorder.cli.options import Account, Config, Json, Verbosity

UNAVAILABLE = 69
"""Exit code of ``run --require-db`` without a database."""


def run(
    require_db: Annotated[
        bool, typer.Option("--require-db", help="Without the database at the start, end with exit code 69.")
    ] = False,
    config: Config = None,
    log_level: Verbosity = "info",
) -> None:
    """Record every account at every slot, until stopped with Ctrl-C or SIGTERM.

    Two variables are enough: BINANCE_API_KEY and BINANCE_API_SECRET of a key that may only read. Everything else
    is in recorder.toml; look at it with `recorder check`.
    """
    from recorder.cli.memory import keep_large_blocks_apart, loading

    with loading():
        from recorder.cli.output import print_error
        from recorder.cli.settings import load_with_redactor
        from recorder.cli.signals import stop_signals
        from recorder.exceptions import StorageUnavailable
        from recorder.process.systemd import Systemd
        from recorder.service import run as serve

    keep_large_blocks_apart()
    os.umask(0o077)  # whatever it writes is nobody else's, also if the shell or the init system thinks otherwise
    settings, redactor = load_with_redactor(config, log_level)
    systemd = Systemd.from_environment(os.environ)

    async def until_stopped() -> None:
        await serve(settings, stop_signals(), redactor.learn, systemd=systemd, require_database=require_db)

    try:
        asyncio.run(until_stopped())
    except StorageUnavailable as error:
        if not require_db:
            raise
        print_error(error)
        raise typer.Exit(UNAVAILABLE) from error


def snapshot(
    account: Account = None, json: Json = False, config: Config = None, log_level: Verbosity = "warning"
) -> None:
    """Take one snapshot of every account now, then exit: for cron.

    Exit code 1 when any account could not be asked; the failure is recorded like any other.
    """
    from recorder.cli.output import print_json, print_table
    from recorder.cli.settings import load
    from recorder.exceptions import ConfigurationError
    from recorder.snapshotting import snapshot_once

    os.umask(0o077)
    settings = load(config, log_level)
    names = [each.name for each in settings.accounts]
    if account is not None and account not in names:
        raise ConfigurationError(f"there is no account {account!r}", why=f"configured are: {', '.join(names)}")
    taken = asyncio.run(snapshot_once(settings, account))
    rows = [
        {
            "account": each.account,
            "time": each.time,
            "outcome": str(each.outcome),
            "position_count": len(each.positions),
            "detail": each.detail or None,
        }
        for each in taken
    ]
    if json:
        print_json(rows)
    else:
        headings = {"account": "account", "time": "time", "outcome": "outcome", "position_count": "rows"}
        print_table(rows, headings | {"detail": "detail"}, empty="no account")
    if not all(each.ok for each in taken):
        raise typer.Exit(1)
