"""The database's URL, shown without its password."""

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.config.database_url import passwords, redacted
from recorder.config.secret import MASK
from tests.config.given import KEYS, Load, refusal


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
