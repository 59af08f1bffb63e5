"""The settings with which a recorder records from the simulated exchange."""

from collections.abc import Iterable
from pathlib import Path

from recorder.simulator.account import Account
from recorder.simulator.exchange import Simulator
from recorder.simulator.frames import json_text
from recorder.simulator.keys import HmacKey, pem


def settings_text(exchange: Simulator, accounts: Iterable[Account], directory: Path | None = None) -> str:
    """Return the ``[exchange]`` and ``[[accounts]]`` parts of a recorder.toml, with keys and secrets written out.

    Private keys are written into *directory*, readable by their owner only.

    Raises:
        ValueError: An account has a private key, and there is no directory for it.
    """
    urls = (
        "[exchange]\n"
        f"ws_api_url = {json_text(exchange.ws_api_url)}\n"
        f"stream_url = {json_text(exchange.stream_url)}\n"
        f"rest_url = {json_text(exchange.rest_url)}\n"
    )
    return "\n".join([urls, *(_account_text(account, directory) for account in accounts)])


def _account_text(account: Account, directory: Path | None) -> str:
    key = account.key
    if isinstance(key, HmacKey):
        credential = f"api_secret = {json_text(key.secret)}"
    elif directory is None:
        raise ValueError(f"account {account.name} has a private key: say in which directory to write it")
    else:
        file = directory.resolve() / f"{account.name}.pem"
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(pem(key))
        credential = f"private_key = {json_text(f'file:{file}')}"
    return f"[[accounts]]\nname = {json_text(account.name)}\napi_key = {json_text(key.api_key)}\n{credential}\n"
