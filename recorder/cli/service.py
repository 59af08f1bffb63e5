"""``recorder run`` and ``recorder snapshot``: asking the exchange."""

import asyncio

import typer

from recorder.cli.options import Account, Config, Json, Verbosity


def run(config: Config = None, log_level: Verbosity = "info") -> None:
    """Record every account at every slot, until stopped with Ctrl-C or SIGTERM.

    Two variables are enough: BINANCE_API_KEY and BINANCE_API_SECRET of a key that may only read. Everything else
    is in recorder.toml; look at it with `recorder check`.
    """
    from recorder.cli.memory import keep_large_blocks_apart
    from recorder.cli.settings import load
    from recorder.cli.signals import stop_signals
    from recorder.service import run as serve

    keep_large_blocks_apart()
    settings = load(config, log_level)

    async def until_stopped() -> None:
        await serve(settings, stop_signals())

    asyncio.run(until_stopped())


def snapshot(
    account: Account = None, json: Json = False, config: Config = None, log_level: Verbosity = "warning"
) -> None:
    """Take one snapshot of every account now, then exit: for cron.

    Exit code 1 when any account could not be asked; the failure is recorded like any other.
    """
    from recorder.cli.output import print_json, print_table
    from recorder.cli.settings import load
    from recorder.exceptions import ConfigurationError
    from recorder.service import snapshot_once

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
