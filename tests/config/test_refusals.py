"""What is refused, with a name and a fix."""

from pathlib import Path

import pytest

from tests.config.given import ACCOUNT, KEYS, PEM, Load, refusal


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ('[snapshot]\nevrey = "60s"', "recorder.toml: snapshot.evrey is no setting", "snapshot.every"),
        ("[snapshots]", "recorder.toml: snapshots is no setting", "snapshot"),
        ('[database]\nevery = "60s"', "database.every is no setting", "[snapshot]"),
        ('every = "60s"', "every is no setting", "[snapshot]"),
        ("[http]\nzzz = 1", "http.zzz is no setting", "[http] has listen"),
        ('[snapshot]\nevery = "60"', "snapshot.every is '60', which is not a duration", '"10s"'),
        ("[snapshot]\nevery = 60", "snapshot.every is 60, which is not a duration", '"60s"'),
        ('[snapshot]\nevery = "7s"', "snapshot.every is 7s, which does not divide a day", '"10s"'),
        ('[snapshot]\nevery = "2d"', "does not divide a day", '"1h"'),
        ('[snapshot]\nevery = "0s"', "no time at all", '"10s"'),
        ('[snapshot]\ntimeout = "60s"', "snapshot.timeout is 1m, not shorter than snapshot.every = 1m", '"1m"'),
        ('[exchange]\nws_api_url = "https://x"', "exchange.ws_api_url is not a URL of the form wss://", "simulate"),
        ('[exchange]\nrest_url = "https://"', "exchange.rest_url is not a URL", "simulate"),
        ('[exchange]\nstream_url = "wss://host:port"', "exchange.stream_url is not a URL", "simulate"),
        ("[exchange]\nweight_budget = 0", "weight_budget should be greater than or equal to 1", "Correct"),
        ("[stream]\nkeys_per_connection = 0", "keys_per_connection should be greater than or equal to 1", "Correct"),
        ('[http]\nlisten = "9464"', "http.listen is '9464', not a host and a port", "127.0.0.1:9464"),
        ('[http]\nlisten = "::1:80"', "not a host and a port", "[::1]"),
        ('[http]\nlisten = "localhost:65536"', "not a host and a port", "9464"),
        ('[storage]\ndata_dir = ""', "storage.data_dir is empty", "leave it out"),
        ('[database]\nurl = ""', "database.url is empty", "leave the line out"),
        ('database = "url"', "recorder.toml: database should be a valid dictionary", "Correct"),
        (ACCOUNT + ACCOUNT, "accounts has several accounts named 'main'", "its own name"),
        (ACCOUNT.replace("main", " "), "accounts.name of account ' ' is empty, longer than 64", "short name"),
        (ACCOUNT.replace("main", "x" * 65), "longer than 64 characters", "short name"),
        (ACCOUNT.replace("main", "a\\u0007"), "control characters", "short name"),
        (ACCOUNT + 'private_key = "x"', "private_key of account 'main' (literal) is not a private key", "api_secret"),
        ('[[accounts]]\nname = "a"\napi_key = "k"', "account 'a' has neither api_secret nor", "exactly one"),
        ('[[accounts]]\napi_key = "k"', "accounts.name of account number 1 is missing", "name ="),
        (ACCOUNT.replace("literal-key", "two words"), "(literal) holds blanks or several lines", "one"),
        (ACCOUNT.replace('"literal-key"', "5"), "accounts.api_key of account 'main' is not text", "env:NAME"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_name_and_a_fix(load: Load, text: str, what: str, fix: str) -> None:
    error = refusal(load, text, KEYS)
    assert what in error.what
    assert fix in error.fix


def test_an_account_with_both_ways_to_sign_is_refused(load: Load, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(PEM)
    error = refusal(load, ACCOUNT + 'private_key = "file:key.pem"')
    assert "account 'main' has both api_secret and private_key" in error.what


def test_a_public_key_is_called_one(load: Load, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(PEM.replace("PRIVATE", "PUBLIC"))
    error = refusal(load, environ={"BINANCE_API_KEY": "key", "BINANCE_PRIVATE_KEY_FILE": "key.pem"})
    assert "(file:key.pem) is a public key" in error.what


def test_every_problem_is_named_at_once(load: Load) -> None:
    text = '[snapshot]\nevery = "7s"\n[http]\nlisten = "x"\n[[accounts]]\nname = "a"\napi_key = "env:NOT_SET"\n'
    error = refusal(load, text, {"RECORDER_STREAM__ENABLE": "x"})
    assert error.what.startswith("4 settings are wrong:")
    for name in ("RECORDER_STREAM__ENABLE", "snapshot.every", "http.listen", "'NOT_SET'"):
        assert name in error.what


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("RECORDER_SNAPSHOT__EVREY", "RECORDER_SNAPSHOT__EVERY"),
        ("RECORDER_SNAPSHT__EVERY", "RECORDER_SNAPSHOT__EVERY"),
        ("RECORDER_SNAPSHOT_EVERY", "RECORDER_SNAPSHOT__EVERY"),
        ("RECORDER_ACCOUNTS__API_KEY", "RECORDER_DATABASE__URL"),
    ],
)
def test_a_misspelt_variable_is_refused_with_a_suggestion(load: Load, variable: str, meant: str) -> None:
    error = refusal(load, environ=KEYS | {variable: "60s"})
    assert f"The environment variable {variable} is no setting" in error.what
    assert meant in error.fix


def test_variables_of_others_with_the_same_prefix_are_left_alone(load: Load) -> None:
    assert load(environ=KEYS | {"RECORDER_PORT": "tcp://10.0.0.1:80", "RECORDER_SERVICE_HOST": "10.0.0.1"}).accounts


def test_a_wrong_variable_is_named_as_the_variable(load: Load) -> None:
    error = refusal(load, '[snapshot]\nevery = "60s"', KEYS | {"RECORDER_SNAPSHOT__EVERY": "never"})
    assert error.what.startswith("The environment variable RECORDER_SNAPSHOT__EVERY is 'never'")
