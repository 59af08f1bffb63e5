import copy
import pickle
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from recorder.config.database_url import passwords, redacted
from recorder.config.duration import format_duration, parse_duration
from recorder.config.problem import InvalidSetting
from recorder.config.secret import MASK, Secret
from recorder.config.sections import AccountSettings, SnapshotSettings
from recorder.config.settings import Settings
from recorder.config.sources import default_data_dir
from recorder.exceptions import ConfigurationError

KEYS = {"BINANCE_API_KEY": "key-from-environment", "BINANCE_API_SECRET": "secret-from-environment"}
PEM = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEICanaryCanaryCanaryCanary0
TailOfTheKey==
-----END PRIVATE KEY-----"""
ACCOUNT = '[[accounts]]\nname = "main"\napi_key = "literal-key"\napi_secret = "literal-secret"\n'

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load settings in an empty folder, with *text* as its recorder.toml."""

    def load_settings(
        text: str | None = None, environ: dict[str, str] | None = None, *, need_accounts: bool = True
    ) -> Settings:
        if text is not None:
            (tmp_path / "recorder.toml").write_text(text)
            (tmp_path / "recorder.toml").chmod(0o600)
        environ = {"HOME": str(tmp_path / "home")} | (environ or {})
        return Settings.load(None, environ, tmp_path, need_accounts=need_accounts)

    return load_settings


def refusal(load: Load, text: str | None = None, environ: dict[str, str] | None = None) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load(text, environ)
    assert caught.value.fix
    return caught.value


# sources and their order


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


# what is refused


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


# the weight budget


def accounts(count: int) -> tuple[AccountSettings, ...]:
    return tuple(
        AccountSettings(name=f"a{number}", api_key=Secret(f"k{number}"), api_secret=Secret("s"))
        for number in range(count)
    )


def test_a_schedule_beyond_the_weight_budget_is_refused_with_the_sum_and_the_fix(load: Load) -> None:
    text = "\n".join(ACCOUNT.replace("main", f"a{number}") for number in range(50))
    error = refusal(load, '[snapshot]\nevery = "10s"\n' + text)
    assert "needs 1520 request weight a minute" in error.what
    assert "exchange.weight_budget = 1200" in error.what
    assert "50 accounts x 5 every 10s" in error.what
    assert error.fix == 'Raise snapshot.every to at least "15s" or exchange.weight_budget to at least 1520.'


def test_the_suggested_settings_are_accepted() -> None:
    assert Settings.model_validate({"accounts": accounts(50), "snapshot": {"every": "15s"}})
    assert Settings.model_validate(
        {"accounts": accounts(50), "snapshot": {"every": "10s"}, "exchange": {"weight_budget": 1520}}
    )
    with pytest.raises(ValidationError):
        Settings.model_validate(
            {"accounts": accounts(50), "snapshot": {"every": "10s"}, "exchange": {"weight_budget": 1519}}
        )


# durations and time-outs


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("250ms", timedelta(milliseconds=250)),
        ("10s", timedelta(seconds=10)),
        ("5m", timedelta(minutes=5)),
        ("1h", timedelta(hours=1)),
        ("30d", timedelta(days=30)),
    ],
)
def test_durations_are_whole_numbers_with_a_unit(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration
    assert format_duration(duration) == text


@pytest.mark.parametrize(
    "text", ["", "10", "10 s", "-1s", "1.5s", "1h30m", "10S", "٣s", "0ms", "999999999999d", True, None]
)
def test_anything_else_is_no_duration(text: object) -> None:
    with pytest.raises(InvalidSetting):
        parse_duration(text)


@given(st.integers(1, 10**9))
def test_a_duration_is_read_back_as_it_was_written(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


def test_the_default_timeout_is_shorter_than_a_short_schedule() -> None:
    assert SnapshotSettings.model_validate({"every": "10s"}).timeout == timedelta(seconds=5)
    assert SnapshotSettings.model_validate({"every": "1h"}).timeout == timedelta(seconds=10)


# secrets


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


# the database's URL


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://recorder@db.internal/positions", "postgresql://recorder@db.internal/positions"),
        (
            "postgres://u:p%2Fw@[::1]:5433/db?sslmode=verify-full",
            f"postgres://u:{MASK}@[::1]:5433/db?sslmode=verify-full",
        ),
        ("postgresql://u@h/db?password=secret&a=b%20c", f"postgresql://u@h/db?password={MASK}&a=b%20c"),
        ("postgresql:///positions?host=/run/postgresql", "postgresql:///positions?host=/run/postgresql"),
    ],
)
def test_a_good_url_is_kept_as_it_is_and_shown_without_its_password(load: Load, url: str, shown: str) -> None:
    database = load(f'[database]\nurl = "{url}"', KEYS).database
    assert database.url is not None
    assert database.url.reveal() == url
    assert database.redacted == redacted(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:c4n/ary@db/positions",
        "postgresql://user:12/c4nary@db/positions",
        "postgresql://user:c4n#ary@db/positions",
        "postgresql://user:12#c4nary@db/positions",
        "postgresql://user:c4n?ary@db/positions",
        "postgresql://user:12?c4nary@db/positions",
        "postgresql://user:c4n@ary@db/positions",
        "postgresql://user:c4n[ary@db/positions",
        "postgresql://user:c4n ary@db/positions",
        "postgresql://user:pw@db:c4nary/positions",
        "mysql://user:c4nary@db/positions",
        "postgresql+asyncpg://user:c4nary@db/positions",
        "c4nary",
        "c4nary://x",
    ],
)
def test_a_malformed_url_is_refused_without_showing_it(load: Load, url: str) -> None:
    error = refusal(load, environ=KEYS | {"RECORDER_DATABASE__URL": url})
    assert error.what.startswith("The environment variable RECORDER_DATABASE__URL ")
    shown = "".join(traceback.format_exception(error)) + error.what + error.why + error.fix
    for part in ("c4n", "ary@", url):
        assert part not in shown.replace("c4nary://" if url == "c4nary://x" else "\0", "")


@given(password=st.text(min_size=1).filter(lambda text: text.isprintable() and text.isascii()))
def test_a_quoted_password_is_always_found_and_never_shown(password: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in password.encode())
    url = f"postgresql://u:{quoted}@h/db"
    assert password in passwords(url)
    assert quoted in passwords(url)
    assert redacted(url) == f"postgresql://u:{MASK}@h/db"


# warnings and places


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
