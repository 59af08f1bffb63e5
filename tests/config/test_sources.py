"""Where settings come from, and which source outranks which."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from recorder.config.secret import Secret
from recorder.config.sections import SnapshotSettings
from recorder.config.settings import Settings
from recorder.exceptions import ConfigurationError
from tests.config.given import ACCOUNT, KEYS, PEM, Load, refusal


def test_two_variables_and_no_file_make_one_account_with_every_default(load: Load) -> None:
    settings = load(environ=KEYS)
    assert [account.name for account in settings.accounts] == ["main"]
    assert settings.accounts[0].api_secret is not None
    assert settings.accounts[0].api_secret.reveal() == KEYS["BINANCE_API_SECRET"]
    assert settings.accounts[0].api_secret.origin == "env:BINANCE_API_SECRET"
    assert settings.file is None
    assert settings.database.url is None
    assert settings.storage.data_dir is None
    assert settings.snapshot.every == timedelta(seconds=60)
    assert settings.snapshot.timeout == timedelta(seconds=10)
    assert settings.stream.enabled
    assert settings.stream.keys_per_connection == 40
    assert settings.exchange.ws_api_url == "wss://ws-fapi.binance.com/ws-fapi/v1"
    assert settings.exchange.weight_budget == 1200
    assert settings.http.address == ("127.0.0.1", 9464)
    assert settings.warnings() == []


def test_a_private_key_file_takes_the_place_of_the_secret(load: Load, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(PEM)
    settings = load(environ={"BINANCE_API_KEY": "key", "BINANCE_PRIVATE_KEY_FILE": "key.pem"})
    assert settings.accounts[0].api_secret is None
    assert settings.accounts[0].private_key == Secret(PEM)


def test_an_account_in_the_file_outranks_the_two_variables(load: Load) -> None:
    settings = load(ACCOUNT.replace("main", "fund"), KEYS)
    assert [account.name for account in settings.accounts] == ["fund"]


def test_the_two_variables_complete_a_file_without_accounts(load: Load) -> None:
    assert load('[snapshot]\nevery = "5m"', KEYS).accounts[0].name == "main"


def test_without_any_account_the_two_variables_are_the_fix(load: Load) -> None:
    error = refusal(load)
    assert "No account" in error.what
    assert "BINANCE_API_KEY and BINANCE_API_SECRET" in error.fix


def test_half_a_key_in_the_environment_names_the_other_half(load: Load) -> None:
    assert "BINANCE_API_SECRET" in refusal(load, environ={"BINANCE_API_KEY": "key"}).what
    assert "BINANCE_API_KEY" in refusal(load, environ={"BINANCE_API_SECRET": "secret"}).what


def test_commands_that_need_no_account_neither_miss_nor_read_them(load: Load) -> None:
    text = '[[accounts]]\nname = "main"\napi_key = "file:/nowhere/key"\napi_secret = "env:NOT_SET"\n'
    assert load(text, need_accounts=False).accounts == ()
    assert "/nowhere/key" in refusal(load, text).what


def test_the_file_is_looked_for_by_option_variable_folder_and_user(tmp_path: Path) -> None:
    def written(folder: str, port: int) -> Path:
        (tmp_path / folder).mkdir(parents=True)
        file = tmp_path / folder / "recorder.toml"
        file.write_text(f'[http]\nlisten = "localhost:{port}"')
        return file

    option, variable = written("option", 1), written("variable", 2)
    here, user = written("here", 3), written("home/.config/position-recorder", 4)
    environ = KEYS | {"HOME": str(tmp_path / "home"), "RECORDER_CONFIG": str(variable)}

    assert Settings.load(option, environ, here.parent).file == option
    assert Settings.load(None, environ, here.parent).http.listen == "localhost:2"
    del environ["RECORDER_CONFIG"]
    assert Settings.load(None, environ, here.parent).file == here
    here.unlink()
    assert Settings.load(None, environ, here.parent).file == user
    assert Settings.load(Path("../option/recorder.toml"), environ, here.parent).http.listen == "localhost:1"


@pytest.mark.parametrize("environ", [{}, {"RECORDER_CONFIG": "missing.toml"}])
def test_a_named_file_that_is_missing_is_an_error(environ: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"missing\.toml"):
        Settings.load(None if environ else Path("missing.toml"), environ | KEYS, tmp_path)


@pytest.mark.parametrize(("content", "told"), [(b"[http", "not TOML"), (b'x = "\xff"', "not UTF-8")])
def test_a_file_that_cannot_be_parsed_is_named(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "recorder.toml").write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"recorder.toml is {told}"):
        Settings.load(None, KEYS, tmp_path)


def test_variables_override_the_file(load: Load) -> None:
    text = '[http]\nlisten = "127.0.0.1:1"\n[snapshot]\nevery = "30s"\ntimeout = "3s"\n[stream]\nenabled = true'
    environ = {"RECORDER_HTTP__LISTEN": "", "RECORDER_SNAPSHOT__EVERY": "5m", "RECORDER_STREAM__ENABLED": "false"}
    settings = load(text, KEYS | environ | {"RECORDER_EXCHANGE__WEIGHT_BUDGET": "2000"})
    assert settings.http.address is None
    assert settings.snapshot == SnapshotSettings(every=timedelta(minutes=5), timeout=timedelta(seconds=3))
    assert settings.stream.enabled is False
    assert settings.exchange.weight_budget == 2000


def test_settings_built_directly_ignore_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "HTTP", "RECORDER_HTTP__LISTEN"):
        monkeypatch.setenv(name, "nonsense")
    assert Settings().http.address == ("127.0.0.1", 9464)


def test_settings_cannot_be_changed() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.http = settings.http
    with pytest.raises(ValidationError):
        settings.http.listen = ""
