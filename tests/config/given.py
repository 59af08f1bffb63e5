"""What the tests of settings have in common: keys, an account, and how a refusal is had."""

from collections.abc import Callable

import pytest

from recorder.config.settings import Settings
from recorder.exceptions import ConfigurationError

KEYS = {"BINANCE_API_KEY": "key-from-environment", "BINANCE_API_SECRET": "secret-from-environment"}
PEM = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEICanaryCanaryCanaryCanary0
TailOfTheKey==
-----END PRIVATE KEY-----"""
ACCOUNT = '[[accounts]]\nname = "main"\napi_key = "literal-key"\napi_secret = "literal-secret"\n'

Load = Callable[..., Settings]


def refusal(load: Load, text: str | None = None, environ: dict[str, str] | None = None) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load(text, environ)
    assert caught.value.fix
    return caught.value
