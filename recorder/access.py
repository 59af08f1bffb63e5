"""Access: from the settings to the accounts and the exchange they give access to."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from math import ceil
from typing import Literal

from recorder.binance.client import Client
from recorder.binance.pause import PauseFile
from recorder.binance.signing import Credentials, Signer, hmac_signer, private_key_signer
from recorder.binance.weight import BALANCES, INCOME, LISTEN_KEY, POSITIONS, WeightBudget
from recorder.config.database_url import passwords
from recorder.config.sections import AccountSettings
from recorder.config.settings import Settings
from recorder.config.weight import ALLOWANCE
from recorder.exceptions import ConfigurationError, ExchangeError
from recorder.process.supervision import Supervision

MEASURING = timedelta(seconds=2)
"""How long a start waits for the exchange's clock at most; half a slot if that is shorter."""


def credentials(settings: Settings) -> list[Credentials]:
    """Return what it takes to ask for each account. Raises ``ConfigurationError`` for a key that cannot be used."""
    return [
        Credentials(account=each.name, api_key=each.api_key.reveal(), signer=_signer(each))
        for each in settings.accounts
    ]


def database_url(settings: Settings, learned_secret: Callable[[str], None]) -> Callable[[], str] | None:
    """Return what tells the database's URL as it is now, password included; ``None`` for the embedded database.

    A password that is changed in the file that holds the URL is used from the next connection on.
    """
    first = settings.database_url
    if first is None:
        return None
    known = first

    def current() -> str:
        nonlocal known
        url = settings.current_database_url() or known
        if url != known:
            known = url
            for password in passwords(url):
                learned_secret(password)
        return url

    return current


def open_client(
    settings: Settings,
    clock_measured: Callable[[datetime], None] = lambda _: None,
    supervision: Supervision | None = None,
) -> Client:
    """Return the client of the configured exchange, which also heeds a pause imposed before a restart.

    What the snapshots do not need of the weight is left to the ledgers. *clock_measured* is told exchange time whenever
    it was measured.
    """
    budget = settings.exchange.weight_budget
    return Client(
        settings.exchange.ws_api_url,
        WeightBudget(budget, background=max(0, budget - _kept_weight(settings, balances_are_scheduled(settings)))),
        stream_url=settings.exchange.stream_url,
        rest_url=settings.exchange.rest_url,
        pause_file=PauseFile(settings.data_dir / "pause.json"),
        clock_measured=clock_measured,
        keys_per_connection=settings.stream.keys_per_connection,
        supervision=supervision,
    )


def balances_are_scheduled(settings: Settings) -> bool:
    """Whether the weight is enough to ask for balances at every slot, and for the ledgers besides.

    Otherwise balances are asked for only as far as there is weight to spare.
    """
    return _kept_weight(settings, balances=True) + 2 * INCOME <= settings.exchange.weight_budget


def _kept_weight(settings: Settings, balances: bool) -> int:
    """What the slots of a minute need, and one more round of all accounts, as after a start or a lost connection."""
    accounts = len(settings.accounts)
    weight = POSITIONS + (BALANCES if balances and settings.snapshot.balances else 0)
    rounds = timedelta(minutes=1) / settings.snapshot.every + 1
    return ceil(accounts * weight * rounds) + accounts * LISTEN_KEY + ALLOWANCE


def _signer(account: AccountSettings) -> Signer:
    if account.private_key is not None:
        return private_key_signer(account.private_key.reveal(), account=account.name)
    if account.api_secret is not None:
        return hmac_signer(account.api_secret.reveal(), account=account.name)
    raise ConfigurationError(
        f"account {account.name} has nothing to sign with", fix="set its api_secret or its private_key"
    )


def balances_wanted(settings: Settings) -> Literal["always", "spare", "never"]:
    """Return whether balances are asked for with every snapshot, or as far as there is weight to spare."""
    if not settings.snapshot.balances:
        return "never"
    return "always" if balances_are_scheduled(settings) else "spare"


async def know_the_time(client: Client, patience: timedelta) -> None:
    """Measure the exchange's clock, if that is possible now; otherwise this machine's must do for the time being."""
    with suppress(TimeoutError, ExchangeError):
        async with asyncio.timeout(patience.total_seconds()):
            await client.measure_clock()
