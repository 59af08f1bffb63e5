"""``recorder backfill``: what the exchange's ledgers still have."""

from recorder.cli.options import Account, Config, Since, Verbosity


def backfill(
    account: Account = None, since: Since = None, config: Config = None, log_level: Verbosity = "warning"
) -> None:
    """Record fills and income from the exchange's own ledgers, which reach back three months.

    The service does this by itself, little by little; this command does it now, and from --since on also where the
    ledgers are complete only from a later time. Interrupted, it goes on where it was. Changes of positions that nobody
    saw are rebuilt from the fills.

    Example: recorder backfill --account main --since 30d
    """
    import asyncio

    from recorder.cli.ledgers import backfill_accounts
    from recorder.cli.settings import load

    asyncio.run(backfill_accounts(load(config, log_level), account, since))
