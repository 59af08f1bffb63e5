import base64
import hashlib
import hmac
import json
from pathlib import Path
from urllib.parse import unquote

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from recorder.binance.signing import (
    Credentials,
    KeyType,
    Params,
    hmac_signer,
    payload,
    private_key_signer,
    signed_params,
    signed_query,
)
from recorder.exceptions import ConfigurationError

# The demonstration keys that Binance publishes in its Spot documentation.
DEMO_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
DEMO_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
DEMO_ED25519 = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u
-----END PRIVATE KEY-----
"""
TIME = 1_702_920_680_303
VECTORS = Path(__file__).resolve().parents[2] / ".." / "shared" / "exchange" / "signing_vectors.json"

demo = Credentials("demo", DEMO_KEY, hmac_signer(DEMO_SECRET, account="demo"))


def pem(
    key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    encryption: KeySerializationEncryption | None = None,
) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


@pytest.mark.parametrize(
    ("params", "signature"),
    [
        (
            {
                "symbol": "BTCUSDT",
                "side": "SELL",
                "type": "LIMIT",
                "timeInForce": "GTC",
                "quantity": "0.01000000",
                "price": "52000.00",
                "recvWindow": 100,
            },
            "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24",
        ),
        (
            {
                "symbol": "\uff11\uff12\uff13\uff14\uff15\uff16",  # full-width digits
                "side": "BUY",
                "type": "LIMIT",
                "timeInForce": "GTC",
                "quantity": "1.00000000",
                "price": "0.10000000",
                "recvWindow": 5000,
            },
            "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd",
        ),
    ],
)
def test_the_examples_of_the_documentation_come_out(params: Params, signature: str) -> None:
    assert demo.signer.sign(payload({**params, "apiKey": DEMO_KEY, "timestamp": 1_645_423_376_532})) == signature


def test_a_request_is_complete_and_signed() -> None:
    assert signed_params(demo, {"symbol": "BTCUSDT"}, TIME) == {
        "symbol": "BTCUSDT",
        "apiKey": DEMO_KEY,
        "recvWindow": 5000,
        "timestamp": TIME,
        "signature": "a60b696234199b20f0e8f21b9510c0b78a04ada84bc43fb59d6db0c13f2c6b85",
    }


def test_ed25519_signs_the_bytes_of_the_name_as_they_are() -> None:
    signer = private_key_signer(DEMO_ED25519, account="demo")
    assert signer.key_type is KeyType.ED25519
    params = signed_params(Credentials("demo", DEMO_KEY, signer), {"symbol": "币安人生USDT"}, TIME)
    assert params["signature"] == (
        "COG9S+9svKZBZ/b0bwD4UUVwrlvTL2l6tz0uhi1tCpBJVPOUs3xYf2n58FDE7xK9YSudYiqe4VjCoN75LLkiCQ=="
    )


def test_an_rsa_signature_is_verified_by_the_public_half() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signer = private_key_signer(pem(key), account="demo")
    assert signer.key_type is KeyType.RSA
    signature = base64.b64decode(signer.sign("symbol=币安人生USDT"))
    key.public_key().verify(signature, "symbol=币安人生USDT".encode(), PKCS1v15(), SHA256())


def test_parameters_are_sorted_by_their_bytes_and_booleans_are_words() -> None:
    assert payload({"b": True, "a": 1, "Z": "x y", "apiKey": "k", "é": False}) == "Z=x y&a=1&apiKey=k&b=true&é=false"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "cannot be read"),
        ("not a key", "cannot be read"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "cannot be read"),
        (pem(ed25519.Ed25519PrivateKey.generate(), BestAvailableEncryption(b"passphrase")), "encrypted"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "of a type that Binance does not take"),
        (
            ed25519.Ed25519PrivateKey.generate()
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "public key",
        ),
    ],
)
def test_a_key_that_cannot_sign_is_refused_with_its_cure(text: str | bytes, what: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"account main.*{what}") as caught:
        private_key_signer(text, account="main")
    assert caught.value.why
    assert caught.value.fix


@pytest.mark.parametrize("secret", ["", " ", "ab cd", "abc\n", "äöü", DEMO_ED25519])
def test_a_secret_that_is_none_is_refused_without_being_quoted(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="account main") as caught:
        hmac_signer(secret, account="main")
    assert not secret.strip() or secret.strip() not in f"{caught.value} {caught.value.why} {caught.value.fix}"


def test_an_api_key_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="API key of account main"):
        Credentials("main", "key\n", demo.signer)


def test_a_repr_shows_no_secret() -> None:
    assert repr(demo) == "Credentials(account='demo')"
    assert repr(demo.signer) == "Signer(key_type=<KeyType.HMAC: 'hmac'>)"


def test_what_the_exchange_quotes_is_redacted() -> None:
    assert demo.redacted(f"key {DEMO_KEY} is bad") == "key [api key] is bad"


@pytest.mark.skipif(not VECTORS.exists(), reason="the signing vectors are not beside the repository")
def test_every_vector_comes_out() -> None:
    vectors = json.loads(VECTORS.read_text())
    keys = {
        "hmac_sha256_hex": hmac_signer(vectors["hmac_secret"], account="demo"),
        "ed25519_base64": private_key_signer(DEMO_ED25519, account="demo"),
    }
    for vector in vectors["own"]:
        assert payload(vector["params"]) == vector["payload_utf8"]
        for name, signer in keys.items():
            assert signer.sign(payload(vector["params"])) == vector[name]


def test_a_query_is_percent_encoded_before_it_is_signed() -> None:
    query = signed_query(demo, {"symbol": "币安人生USDT", "limit": 1000, "flag": True}, TIME)
    unsigned, _, signature = query.partition("&signature=")
    encoded = "symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT&limit=1000&flag=true"
    assert unsigned == f"{encoded}&recvWindow=5000&timestamp={TIME}"
    assert signature == hmac.new(DEMO_SECRET.encode(), unsigned.encode(), hashlib.sha256).hexdigest()
    assert DEMO_KEY not in query


def test_a_query_can_hold_the_signature_of_a_private_key() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    credentials = Credentials("main", "key", private_key_signer(pem(key), account="main"))
    for timestamp in range(TIME, TIME + 20):  # some of them have + or / in their signature, all of them have =
        unsigned, _, signature = signed_query(credentials, {}, timestamp).partition("&signature=")
        assert not set(signature) & set("+/=")
        key.public_key().verify(base64.b64decode(unquote(signature), validate=True), unsigned.encode())


def test_a_query_can_hold_the_signature_of_an_rsa_key() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    credentials = Credentials("main", "key", private_key_signer(pem(key), account="main"))
    unsigned, _, signature = signed_query(credentials, {"symbol": "BTCUSDT"}, TIME).partition("&signature=")
    key.public_key().verify(base64.b64decode(unquote(signature)), unsigned.encode(), PKCS1v15(), SHA256())
