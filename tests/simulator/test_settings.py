import tomllib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recorder.simulator.exchange import Simulator
from recorder.simulator.keys import Ed25519Key, HmacKey, RsaKey, pem
from recorder.simulator.scenario import Scenario
from recorder.simulator.settings import settings_text


@pytest.fixture
async def exchange() -> AsyncIterator[Simulator]:
    async with Simulator(Scenario(accounts=4).world(seed=11, start=datetime.now(UTC))) as simulator:
        yield simulator


def test_the_settings_name_the_exchange_and_each_account_with_its_secret(exchange: Simulator) -> None:
    main, hedge = list(exchange.world.accounts.values())[:2]
    settings = tomllib.loads(settings_text(exchange, [main, hedge]))
    assert settings["exchange"] == {
        "ws_api_url": exchange.ws_api_url,
        "stream_url": exchange.stream_url,
        "rest_url": exchange.rest_url,
    }
    assert isinstance(main.key, HmacKey)
    assert settings["accounts"][0] == {"name": "main", "api_key": main.key.api_key, "api_secret": main.key.secret}
    assert settings["accounts"][1]["name"] == "hedge"


def test_private_keys_are_files_for_their_owner_only(exchange: Simulator, tmp_path: Path) -> None:
    for _ in range(2):  # a second time over the first
        settings = tomllib.loads(settings_text(exchange, exchange.world.accounts.values(), tmp_path))
    for account in settings["accounts"][2:]:
        file = Path(account["private_key"].removeprefix("file:"))
        assert file.stat().st_mode & 0o777 == 0o600
        key = exchange.world.accounts[account["name"]].key
        assert isinstance(key, Ed25519Key | RsaKey)
        assert file.read_bytes() == pem(key)
        assert "api_secret" not in account


def test_a_private_key_needs_a_directory(exchange: Simulator) -> None:
    with pytest.raises(ValueError, match="ed25519 has a private key"):
        settings_text(exchange, exchange.world.accounts.values())
