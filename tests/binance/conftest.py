from collections.abc import AsyncIterator

import pytest

from recorder.binance.client import Client
from tests.binance.clients import a_client
from tests.binance.exchange import Exchange


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    async with Exchange() as exchange:
        yield exchange


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
async def client(exchange: Exchange) -> AsyncIterator[Client]:
    async with a_client(exchange.url) as client:
        yield client
