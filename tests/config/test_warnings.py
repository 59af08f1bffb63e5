"""What is allowed and unwise, and where files are kept."""

from datetime import timedelta
from pathlib import Path

import pytest

from recorder.config.sources import default_data_dir
from tests.config.given import ACCOUNT, KEYS, Load, refusal


def test_what_is_allowed_and_unwise_is_warned_about(load: Load, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-file")
    (tmp_path / "key").chmod(0o644)
    second = '[[accounts]]\nname = "second"\napi_key = "file:key"\napi_secret = "env:SECRET"\n'
    third = '[[accounts]]\nname = "third"\napi_key = "file:key"\napi_secret = "env:SECRET"\n'
    exchange = '[exchange]\nrest_url = "http://exchange.test"\n[http]\nlisten = "0.0.0.0:9464"\n'
    file = tmp_path / "recorder.toml"
    settings = load(exchange + ACCOUNT + second + third, {"SECRET": "s"})
    file.chmod(0o644)
    told = settings.warnings()
    for expected in (
        f"accounts.api_key of account 'main' is written in {file} itself",
        f"accounts.api_secret of account 'main' is written in {file} itself",
        f"{file} holds a secret that every user of this machine can read: `chmod 600 {file}`",
        f"{tmp_path}/key holds a secret that every user of this machine can read: `chmod 600 {tmp_path}/key`",
        "Accounts 'second' and 'third' have the same api_key",
        "exchange.ws_api_url, exchange.stream_url still means the live exchange",
        "exchange.rest_url is not encrypted",
        "http.listen = '0.0.0.0:9464' can be reached from other machines",
    ):
        assert [line for line in told if expected in line], expected
    assert len(told) == 8
    assert not [line for line in told if "from-file" in line or "literal-key" in line]


def test_a_url_without_a_password_is_nothing_to_warn_about(load: Load, tmp_path: Path) -> None:
    settings = load('[database]\nurl = "postgresql://recorder@db/positions"', KEYS)
    (tmp_path / "recorder.toml").chmod(0o644)
    assert settings.warnings() == []


def test_the_data_folder_follows_the_user_unless_a_setting_names_it(load: Load, tmp_path: Path) -> None:
    assert default_data_dir({"HOME": "/home/op"}, root=False) == Path("/home/op/.local/share/position-recorder")
    assert default_data_dir({"HOME": "/h", "XDG_DATA_HOME": "/d"}, root=False) == Path("/d/position-recorder")
    assert default_data_dir({"HOME": "/h", "XDG_DATA_HOME": "d"}, root=False) == Path(
        "/h/.local/share/position-recorder"
    )
    assert default_data_dir({"HOME": "/root"}, root=True) == Path("/var/lib/position-recorder")
    assert load('[storage]\ndata_dir = "~/here"', KEYS).data_dir == tmp_path / "home" / "here"
    assert load('[storage]\ndata_dir = "here"', KEYS).data_dir == tmp_path / "here"
    assert load(environ=KEYS | {"RECORDER_STORAGE__DATA_DIR": "/here"}).data_dir == Path("/here")
    (tmp_path / "recorder.toml").unlink()
    assert load(environ=KEYS).data_dir.name == "position-recorder"


def test_the_spool_has_a_limit_and_a_window_with_units(load: Load) -> None:
    assert load(ACCOUNT).storage.spool_limit == 1024**3
    assert load(ACCOUNT).storage.replay_window == timedelta(minutes=30)
    storage = load(f'[storage]\nspool_limit = "64MiB"\nreplay_window = "1h"\n{ACCOUNT}').storage
    assert (storage.spool_limit, storage.replay_window) == (64 * 1024**2, timedelta(hours=1))
    assert load(ACCOUNT, {"RECORDER_STORAGE__SPOOL_LIMIT": "2GiB"}).storage.spool_limit == 2 * 1024**3


@pytest.mark.parametrize("size", ['"1 GB"', '"64"', '"-1MiB"', '"1KiB"', "true"])
def test_a_limit_of_the_spool_that_is_none_is_refused_with_an_example(load: Load, size: str) -> None:
    error = refusal(load, f"[storage]\nspool_limit = {size}\n{ACCOUNT}")
    assert "storage.spool_limit" in error.what + error.why
    assert "MiB" in error.fix
