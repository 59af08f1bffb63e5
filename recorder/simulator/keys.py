"""API keys as the exchange sees them: whose they are, and whether a signature was made with them."""

import hashlib
import hmac
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from string import ascii_letters, digits
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_ALPHABET = ascii_letters + digits
_KEY_LENGTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class HmacKey:
    api_key: str = field(repr=False)
    secret: str = field(repr=False)

    def verifies(self, payload: bytes, signature: str) -> bool:
        """Whether *signature*, in hexadecimal of either case, was made with the secret."""
        expected = hmac.new(self.secret.encode(), payload, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected.encode(), signature.lower().encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ed25519Key:
    api_key: str = field(repr=False)
    private_key: Ed25519PrivateKey = field(repr=False)

    def verifies(self, payload: bytes, signature: str) -> bool:
        """Whether *signature*, in base64, is a pure Ed25519 signature of the private key."""
        try:
            self.private_key.public_key().verify(b64decode(signature, validate=True), payload)
        except (InvalidSignature, Base64Error, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class RsaKey:
    api_key: str = field(repr=False)
    private_key: RSAPrivateKey = field(repr=False)

    def verifies(self, payload: bytes, signature: str) -> bool:
        """Whether *signature*, in base64, is an RSASSA-PKCS1-v1_5 signature with SHA-256 of the private key."""
        try:
            self.private_key.public_key().verify(b64decode(signature, validate=True), payload, PKCS1v15(), SHA256())
        except (InvalidSignature, Base64Error, ValueError):
            return False
        return True


Key = HmacKey | Ed25519Key | RsaKey


def hmac_key(seed: str) -> HmacKey:
    random = Random(seed)
    return HmacKey(api_key=_text(random), secret=_text(random))


def ed25519_key(seed: str) -> Ed25519Key:
    random = Random(seed)
    return Ed25519Key(api_key=_text(random), private_key=Ed25519PrivateKey.from_private_bytes(random.randbytes(32)))


def rsa_key(seed: str) -> RsaKey:
    """Make a key whose ``api_key`` comes from *seed*; the private key, which cannot, is new at every call."""
    return RsaKey(api_key=_text(Random(seed)), private_key=generate_private_key(65537, 2048))


def pem(key: Ed25519Key | RsaKey) -> bytes:
    """Return the private key as unencrypted PKCS#8."""
    return key.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def well_formed(api_key: str) -> bool:
    """Whether this could be an API key at all; one that could, but is nobody's, is another error."""
    return len(api_key) == _KEY_LENGTH and api_key.isascii() and api_key.isalnum()


def signed_payload(params: Mapping[str, Any]) -> bytes:
    """Return what a request's signature signs: its parameters by name, raw UTF-8, nothing percent-encoded."""
    return "&".join(f"{name}={_plain(params[name])}" for name in sorted(params) if name != "signature").encode(
        "utf-8", "surrogatepass"
    )


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _text(random: Random) -> str:
    return "".join(random.choices(_ALPHABET, k=_KEY_LENGTH))
