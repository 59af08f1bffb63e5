"""Signatures of requests on both channels, for the three types of keys that the exchange knows."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote, urlencode

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from recorder.exceptions import ConfigurationError

Params = Mapping[str, str | int | bool]

RECV_WINDOW = 5_000
"""Milliseconds after its timestamp in which a request is accepted; the exchange's own default."""

_MAKE_KEY = "Make a key with: openssl genpkey -algorithm ed25519 -out binance.pem"


class KeyType(StrEnum):
    """How an API key signs; the exchange goes by what was registered with the key."""

    HMAC = "hmac"
    ED25519 = "ed25519"
    RSA = "rsa"


@dataclass(frozen=True, slots=True)
class Signer:
    """Turns a payload into the text of its signature. Deterministic for every type of key."""

    key_type: KeyType
    sign: Callable[[str], str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What it takes to ask for one account. Its repr shows the account's name only."""

    account: str
    api_key: str = field(repr=False)
    signer: Signer = field(repr=False)

    def __post_init__(self) -> None:
        _require_one_word(self.api_key, f"The API key of account {self.account}")

    def redacted(self, text: str) -> str:
        """Return *text*, which comes from the exchange, without the API key it may quote."""
        return text.replace(self.api_key, "[api key]")


def hmac_signer(secret: str, *, account: str) -> Signer:
    """Return the signer of an API key that came with a secret; raises ConfigurationError."""
    if "-----BEGIN" in secret:
        raise ConfigurationError(
            f"The secret of account {account} is a PEM key",
            why="Ed25519 and RSA keys have a setting of their own.",
            fix="Give it as private_key instead of api_secret.",
        )
    _require_one_word(secret, f"The secret of account {account}")
    key = secret.encode()

    def sign(payload: str) -> str:
        return hmac.new(key, payload.encode(), hashlib.sha256).hexdigest()

    return Signer(KeyType.HMAC, sign)


def private_key_signer(pem: str | bytes, *, account: str) -> Signer:
    """Return the signer of an Ed25519 or RSA key, told apart by the PEM itself; raises ConfigurationError."""
    key = _load(pem.encode() if isinstance(pem, str) else pem, account)
    match key:
        case Ed25519PrivateKey():
            return Signer(KeyType.ED25519, lambda payload: _base64(key.sign(payload.encode())))
        case RSAPrivateKey():
            return Signer(KeyType.RSA, lambda payload: _base64(key.sign(payload.encode(), PKCS1v15(), SHA256())))
        case _:
            raise ConfigurationError(
                f"The private key of account {account} is of a type that Binance does not take",
                why="API keys are Ed25519 or RSA; this one is something else, such as an elliptic curve key.",
                fix=_MAKE_KEY,
            )


def payload(params: Params) -> str:
    """Return the text that is signed: raw UTF-8, sorted by the bytes of the names, nothing percent-encoded."""
    return "&".join(f"{name}={_text(params[name])}" for name in sorted(params, key=str.encode))


def signed_params(credentials: Credentials, params: Params, timestamp: int) -> dict[str, str | int | bool]:
    """Return *params* with key, timestamp (epoch milliseconds of the exchange's clock), window and signature."""
    complete = {**params, "apiKey": credentials.api_key, "recvWindow": RECV_WINDOW, "timestamp": timestamp}
    return {**complete, "signature": credentials.signer.sign(payload(complete))}


def signed_query(credentials: Credentials, params: Params, timestamp: int) -> str:
    """Return the query of a REST request; the API key goes into a header.

    Percent-encoded before it is signed, where the WebSocket API signs raw text.
    """
    complete = {**params, "recvWindow": RECV_WINDOW, "timestamp": timestamp}
    query = urlencode({name: _text(value) for name, value in complete.items()}, quote_via=quote, safe="")
    return f"{query}&signature={quote(credentials.signer.sign(query), safe='')}"


def _load(pem: bytes, account: str) -> object:
    subject = f"The private key of account {account}"
    if b"PUBLIC KEY-----" in pem:
        raise ConfigurationError(
            f"{subject} is a public key",
            why="The public half was registered at Binance; requests are signed with the other one.",
            fix="Give the file that begins with -----BEGIN PRIVATE KEY-----.",
        )
    try:
        return load_pem_private_key(pem, password=None)
    except TypeError as exc:
        raise ConfigurationError(
            f"{subject} is encrypted",
            why="A service has nobody to ask for the passphrase.",
            fix="Decrypt it with: openssl pkey -in binance.pem -out plain.pem; and let only this service read it.",
        ) from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise ConfigurationError(
            f"{subject} cannot be read",
            why="It is not a complete PEM of an Ed25519 or RSA private key.",
            fix=f"Give the whole file, from -----BEGIN PRIVATE KEY----- on. {_MAKE_KEY}",
        ) from exc


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _base64(signature: bytes) -> str:
    return base64.b64encode(signature).decode()


def _require_one_word(value: str, subject: str) -> None:
    if not value.isascii() or not value.isprintable() or len(value.split()) != 1 or " " in value:
        raise ConfigurationError(
            f"{subject} is empty or has other than plain characters in it",
            why="It was probably not copied as a whole, or with a blank or a line break.",
            fix="Copy it again from the API management page of Binance.",
        )
