"""Secrets: where they come from, and that none shows itself."""

import copy
import pickle
import traceback
from pathlib import Path

import pytest

from recorder.config.secret import MASK, Secret
from recorder.config.sections import AccountSettings
from recorder.config.settings import Settings
from tests.config.given import ACCOUNT, PEM, Load, refusal


def test_secrets_come_from_variables_files_and_literals(load: Load, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-file\n")
    text = '[[accounts]]\nname = "main"\napi_key = "file:key"\napi_secret = "env:MY_SECRET"\n'
    settings = load('[database]\nurl = "postgresql://db/positions"\n' + text, {"MY_SECRET": " from-environment \n"})
    assert {name: (secret.reveal(), secret.origin) for name, secret in settings.secrets().items()} == {
        "database.url": ("postgresql://db/positions", "literal"),
        "accounts.api_key of account 'main'": ("from-file", "file:key"),
        "accounts.api_secret of account 'main'": ("from-environment", "env:MY_SECRET"),
    }


def test_a_bare_file_name_is_looked_for_among_the_credentials_of_systemd_first(load: Load, tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "binance").write_text("credential")
    (tmp_path / "binance").write_text("beside")
    text = '[[accounts]]\nname = "main"\napi_key = "file:binance"\napi_secret = "file:./binance"\n'
    account = load(text, {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}).accounts[0]
    assert (account.api_key, account.api_secret) == (Secret("credential"), Secret("beside"))


def test_a_relative_secret_file_is_relative_to_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "key").write_text("beside")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "secret").write_text("at-home")
    file = tmp_path / "etc" / "settings.toml"
    file.write_text('[[accounts]]\nname = "main"\napi_key = "file:key"\napi_secret = "file:~/secret"\n')
    settings = Settings.load(file, {"HOME": str(tmp_path / "home")}, tmp_path / "home")
    assert settings.accounts[0].api_key.reveal() == "beside"
    assert settings.accounts[0].api_secret == Secret("at-home")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read: No such file"),
        (b"", "empty"),
        (b"\xff\xfe\x00", "not text"),
        (b"x" * 70_000, "too large"),
    ],
)
def test_a_secret_file_that_holds_no_secret_is_named(
    load: Load, tmp_path: Path, content: bytes | None, told: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    error = refusal(load, '[[accounts]]\nname = "main"\napi_key = "file:key"\napi_secret = "s"\n')
    assert f"names the file {tmp_path / 'key'}" in error.what
    assert told in error.what


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret("c4nary-secret")
    account = AccountSettings(name="main", api_key=secret, api_secret=secret)
    settings = Settings(accounts=(account,))
    for shown in (f"{secret}", repr(secret), repr([secret]), repr(account), repr(settings), settings.model_dump_json()):
        assert "c4nary" not in shown
        assert MASK in shown
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(secret, protocol)
    assert secret.reveal() == "c4nary-secret"
    assert copy.deepcopy(secret) is copy.copy(secret) is secret
    assert secret == Secret("c4nary-secret") != Secret("other")


def test_no_refusal_shows_a_secret(load: Load) -> None:
    canary = "c4nary+secret"
    text = f"""
        api_secret = "{canary}"
        [database]
        url = "postgresql://user:{canary}/x@db/positions"
        pasword = "{canary}"
        [[accounts]]
        name = "main"
        api_key = "{canary} and more"
        api_secret = "{canary}"
        private_key = "{canary}"
        api_secrt = "{canary}"
    """
    error = refusal(load, text)
    assert error.what.startswith("6 settings are wrong")
    shown = "".join(traceback.format_exception(error)) + error.what + error.why + error.fix + repr(error)
    assert "c4nary" not in shown


def test_secret_values_hold_every_form_that_could_be_logged(load: Load, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(PEM)
    text = '[database]\nurl = "postgresql://user:p%40ss%2Fword@db/positions?sslpassword=ssl-pw"\n' + ACCOUNT
    text += '[[accounts]]\nname = "second"\napi_key = "a+b"\nprivate_key = "file:key.pem"\n'
    values = set(load(text).secret_values())
    assert {"p@ss/word", "p%40ss%2Fword", "ssl-pw", "literal-key", "literal-secret", "a+b", "a%2Bb", PEM} <= values
    assert {"MC4CAQAwBQYDK2VwBCIEICanaryCanaryCanaryCanary0", "TailOfTheKey=="} <= values
    assert not {"", "user", "-----BEGIN PRIVATE KEY-----"} & values
