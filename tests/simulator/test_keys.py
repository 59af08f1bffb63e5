import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from recorder.simulator.keys import (
    Ed25519Key,
    HmacKey,
    ed25519_key,
    hmac_key,
    pem,
    rsa_key,
    signed_payload,
    well_formed,
)

VECTORS = Path(__file__).resolve().parents[2] / ".." / "shared" / "exchange" / "signing_vectors.json"
PAYLOAD = "apiKey=k&symbol=币安人生USDT&timestamp=1".encode()


def test_the_payload_is_every_parameter_but_the_signature_sorted_by_name_and_raw() -> None:
    params = {"timestamp": 1, "symbol": "币安人生USDT", "signature": "x", "returnRateLimits": True, "apiKey": "k"}
    expected = "apiKey=k&returnRateLimits=true&symbol=币安人生USDT&timestamp=1"
    assert signed_payload(params) == expected.encode()


def test_an_hmac_signature_is_hexadecimal_of_either_case() -> None:
    key = hmac_key("1")
    signature = hmac.new(key.secret.encode(), PAYLOAD, hashlib.sha256).hexdigest()
    assert key.verifies(PAYLOAD, signature)
    assert key.verifies(PAYLOAD, signature.upper())
    assert not key.verifies(PAYLOAD + b"0", signature)
    assert not hmac_key("2").verifies(PAYLOAD, signature)


def test_an_ed25519_signature_is_base64_of_its_own_case() -> None:
    key = ed25519_key("1")
    signature = b64encode(key.private_key.sign(PAYLOAD)).decode()
    assert key.verifies(PAYLOAD, signature)
    assert not key.verifies(PAYLOAD, signature.swapcase())
    assert not key.verifies(PAYLOAD + b"0", signature)


def test_an_rsa_signature_is_pkcs1_with_sha256() -> None:
    key = rsa_key("1")
    signature = b64encode(key.private_key.sign(PAYLOAD, PKCS1v15(), SHA256())).decode()
    assert key.verifies(PAYLOAD, signature)
    assert not key.verifies(PAYLOAD + b"0", signature)


@pytest.mark.parametrize("nonsense", ["", "=", "not base64 at all", "签名", "AAAA"])
def test_nonsense_is_a_wrong_signature_and_no_fault(nonsense: str) -> None:
    assert not hmac_key("1").verifies(PAYLOAD, nonsense)
    assert not ed25519_key("1").verifies(PAYLOAD, nonsense)


def test_keys_come_from_the_seed_and_never_show_themselves() -> None:
    key = hmac_key("5")
    assert key == hmac_key("5") != hmac_key("6")
    assert well_formed(key.api_key)
    assert key.api_key not in repr(key)
    assert key.secret not in repr(key)
    assert pem(ed25519_key("5")) == pem(ed25519_key("5"))


def test_a_private_key_is_written_as_pem_that_signs_for_it() -> None:
    key = ed25519_key("1")
    loaded = load_pem_private_key(pem(key), password=None)
    assert isinstance(loaded, Ed25519PrivateKey)
    assert key.verifies(PAYLOAD, b64encode(loaded.sign(PAYLOAD)).decode())


@pytest.mark.parametrize("text", ["", "short", "x" * 63, "x" * 65, "é" * 64, "-" * 64])
def test_what_cannot_be_a_key_is_told_apart(text: str) -> None:
    assert not well_formed(text)


@pytest.mark.skipif(not VECTORS.exists(), reason="the published signing vectors are not beside the repository")
def test_the_published_vectors_verify() -> None:
    vectors: dict[str, Any] = json.loads(VECTORS.read_text())
    by_secret = HmacKey(api_key=vectors["apiKey"], secret=vectors["hmac_secret"])
    private_key = load_der_private_key(b64decode(vectors["ed25519_pkcs8_base64"]), password=None)
    assert isinstance(private_key, Ed25519PrivateKey)
    by_pair = Ed25519Key(api_key=vectors["apiKey"], private_key=private_key)
    assert vectors["own"]
    for vector in vectors["own"]:
        payload = signed_payload(vector["params"])
        assert payload == vector["payload_utf8"].encode()
        assert by_secret.verifies(payload, vector["hmac_sha256_hex"])
        assert by_pair.verifies(payload, vector["ed25519_base64"])
