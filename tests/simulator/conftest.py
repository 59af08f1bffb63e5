import hashlib
import hmac
import json
from asyncio import timeout
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from websockets.asyncio.client import ClientConnection, connect

from recorder.simulator.account import Account
from recorder.simulator.exchange import Simulator
from recorder.simulator.instruments import INSTRUMENTS
from recorder.simulator.keys import Ed25519Key, HmacKey, Key, hmac_key
from recorder.simulator.scenario import Scenario
from recorder.simulator.world import World

PLENTY = 5.0  # seconds; an answer that takes longer is not coming


def _signature(key: Key, payload: bytes) -> str:
    if isinstance(key, HmacKey):
        return hmac.new(key.secret.encode(), payload, hashlib.sha256).hexdigest()
    if isinstance(key, Ed25519Key):
        return b64encode(key.private_key.sign(payload)).decode()
    return b64encode(key.private_key.sign(payload, PKCS1v15(), SHA256())).decode()


@pytest.fixture
def signed() -> Callable[..., str]:
    """Make the text of a signed request; a parameter that is given overrides the usual one, ``None`` leaves it out."""

    def text(account: Account, request_id: str | int = 1, method: str = "v2/account.position", **given: Any) -> str:
        now = datetime.now(UTC)
        usual = {"apiKey": account.key.api_key, "timestamp": int(now.timestamp() * 1000)}
        params = {name: value for name, value in {**usual, **given}.items() if value is not None}
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params)).encode()
        params.setdefault("signature", _signature(account.key, payload))
        return json.dumps({"id": request_id, "method": method, "params": params})

    return text


@pytest.fixture
def world() -> World:
    """Two accounts, "main" in one-way and "hedge" in hedge mode, that have just begun."""
    return Scenario().world(seed=11, start=datetime.now(UTC) - timedelta(minutes=10))


@pytest.fixture
async def exchange(world: World) -> AsyncIterator[Simulator]:
    async with Simulator(world) as simulator:
        yield simulator


@pytest.fixture
async def connection(exchange: Simulator) -> AsyncIterator[ClientConnection]:
    async with connect(exchange.ws_api_url) as client:
        yield client


@pytest.fixture
def receive() -> Callable[[ClientConnection], Awaitable[Any]]:
    """Receive one JSON frame."""

    async def received(connection: ClientConnection) -> Any:
        async with timeout(PLENTY):
            return json.loads(await connection.recv())

    return received


@pytest.fixture
def ask(receive: Callable[[ClientConnection], Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Send a request and receive the next frame."""

    async def answer(connection: ClientConnection, text: str) -> Any:
        await connection.send(text)
        return await receive(connection)

    return answer


@pytest.fixture
def new_account() -> Callable[..., Account]:
    """Make an account with 1000 USDT, 1000 USDC and 1 BNB and a leverage of 10, otherwise as the caller wants it."""
    instruments = {instrument.symbol: instrument for instrument in INSTRUMENTS}

    def made(**given: Any) -> Account:
        wallets = {"USDT": Decimal(1000), "USDC": Decimal(1000), "BNB": Decimal(1)}
        usual = {"wallets": wallets, "leverage": dict.fromkeys(instruments, 10)}
        return Account("main", hmac_key("1"), instruments, **{**usual, **given})

    return made
